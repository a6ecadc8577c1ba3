//! `docs/runbook.md`: a section for each alert, and no other.

use std::collections::BTreeSet;

use super::read;
use super::rules::alerts;

const PARTS: [&str; 5] = ["**Noticed.**", "**Look.**", "**Causes.**", "**Do.**", "**Escalate.**"];

/// Heading and text of each section that is about an alert.
fn sections() -> Vec<(String, String)> {
    let page = read("docs/runbook.md");
    let sections = page.split("\n### ").skip(1).map(|section| section.split_once('\n').unwrap());
    sections
        .map(|(heading, text)| (heading.trim().to_owned(), text.split("\n## ").next().unwrap().to_owned()))
        .collect()
}

#[test]
fn every_alert_has_its_section_and_every_section_its_alert() {
    // The link in `runbook_url` is the heading in lower case.
    let sections: BTreeSet<_> = sections().into_iter().map(|(heading, _)| heading).collect();
    let alerts: BTreeSet<_> = alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!(sections, alerts, "left: docs/runbook.md, right: the rules");
}

#[test]
fn every_section_answers_what_somebody_who_was_woken_asks() {
    for (heading, text) in sections() {
        let places: Vec<_> = PARTS.iter().map(|part| text.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{heading} needs, in this order, {PARTS:?}");
    }
}
