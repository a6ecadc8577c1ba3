//! The alert rules: well-formed, complete, tried by `promtool` firing and not firing, and on metrics that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::query::Query;
use super::{RULES, at, passed, promtool, read};

const TESTS: &str = "tests/deploy/monitoring/alerts.test.yaml";

/// One alert, as it stands in the file.
#[derive(Debug, Default)]
pub struct Alert {
    pub name: String,
    pub expression: String,
    pub severity: String,
    pub annotations: BTreeMap<String, String>,
}

/// The file's own regular form; `promtool` judges it as YAML.
pub fn alerts() -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    let mut block = false;
    for line in read(RULES).lines().filter(|line| !line.trim_start().starts_with('#')) {
        if let Some(name) = line.strip_prefix("      - alert: ") {
            alerts.push(Alert { name: name.to_owned(), ..Alert::default() });
        }
        let Some(alert) = alerts.last_mut() else { continue };
        if block && line.starts_with("          ") {
            alert.expression.push_str(line);
            alert.expression.push('\n');
            continue;
        }
        block = line == "        expr: |";
        if let Some(expression) = line.strip_prefix("        expr: ").filter(|_| !block) {
            expression.clone_into(&mut alert.expression);
        } else if let Some((key, value)) = line.strip_prefix("          ").and_then(|pair| pair.split_once(": ")) {
            let value = value.trim_matches('\'').replace("''", "'");
            match key {
                "severity" => alert.severity = value,
                _ => drop(alert.annotations.insert(key.to_owned(), value)),
            }
        }
    }
    assert!(alerts.len() > 20, "found only {} alerts", alerts.len());
    alerts
}

#[test]
fn promtool_takes_the_rules() {
    let Some(promtool) = promtool() else { return };
    let said = passed(&Command::new(promtool).args(["check", "rules"]).arg(at(RULES)).output().unwrap());
    assert!(said.contains(&format!("SUCCESS: {} rules found", alerts().len())), "{said}");
}

#[test]
fn promtool_takes_the_configuration_of_the_example() {
    let Some(promtool) = promtool() else { return };
    let config = at("examples/observability/prometheus.yml");
    let said = passed(&Command::new(promtool).args(["check", "config"]).arg(config).output().unwrap());
    assert!(said.contains("1 rule files found"), "{said}");
}

#[test]
fn promtool_finds_each_alert_firing_and_quiet_where_it_is_to_be() {
    let Some(promtool) = promtool() else { return };
    passed(&Command::new(promtool).args(["test", "rules"]).arg(at(TESTS)).output().unwrap());
}

#[test]
fn every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() {
    let text = read(TESTS);
    let (mut firing, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for test in text.split("\n  - name: ").skip(1) {
        let (name, expected) = test.split_once(' ').unwrap();
        let fires = expected.contains(&format!("alertname=\"{name}\""));
        assert!(expected.contains("eval_time: "), "the test of {name} looks at nothing");
        if fires { &mut firing } else { &mut quiet }.insert(name.to_owned());
    }
    let names: BTreeSet<_> = alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!(firing, names, "left: fires in a test, right: the rules");
    assert_eq!(quiet, names, "left: is quiet in a test, right: the rules");
}

#[test]
fn every_metric_and_label_in_a_rule_exists() {
    for alert in alerts() {
        let query = Query::of(&alert.expression);
        assert!(!query.metrics.is_empty(), "{} asks for nothing", alert.name);
        query.check(&alert.name);
        for text in alert.annotations.values() {
            for label in text.split("$labels.").skip(1).map(|rest| rest.split([' ', '}']).next().unwrap()) {
                assert!(query.gives(label), "{}: its query gives no label `{label}`", alert.name);
            }
        }
    }
}

#[test]
fn every_alert_says_what_it_is_what_follows_and_what_to_do() {
    let base = read(RULES).lines().find_map(|line| line.strip_prefix("# runbook: ").map(str::to_owned)).unwrap();
    let mut seen = BTreeSet::new();
    for Alert { name, severity, annotations, .. } in alerts() {
        assert!(name.starts_with("Unsecret") && seen.insert(name.clone()), "{name}");
        assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{name}: {severity}");
        let keys: Vec<_> = annotations.keys().map(String::as_str).collect();
        assert_eq!(keys, ["action", "consequence", "description", "runbook_url", "summary"], "{name}");
        assert_eq!(annotations["runbook_url"], format!("{base}#{}", name.to_lowercase()));
        assert!(annotations.values().all(|text| text.len() > 12), "{name}: {annotations:?}");
    }
}
