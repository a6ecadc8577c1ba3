//! A report for a tired person: the verdict first, what will go wrong next, the whole table last.
//!
//! Every text was made safe where it came in; here is layout. Easy to get wrong: without colour it must read the same.

use std::fmt::Write as _;

use super::super::terminal::Paint;
use super::Checked;
use crate::inspect::{Difference, Model, Note, Refusal, Report, Row, Tone};

/// A name longer than this does not push the whole table to the right.
const WIDEST_NAME: usize = 20;

pub(super) fn render(report: &Report, checks: &[Checked], paint: Paint) -> String {
    let mut out = format!("{}\n", paint.strong(&report.verdict));
    for note in &report.notes {
        let _ = writeln!(out, "  {}", toned(note, paint));
    }
    why(&mut out, report, paint);
    passed(&mut out, checks, paint);
    compare(&mut out, report, paint);
    refusals(&mut out, &report.refusals, paint);
    table(&mut out, &report.rows, paint);
    out
}

fn toned(note: &Note, paint: Paint) -> String {
    match note.tone {
        Tone::Good => paint.good(&note.text),
        Tone::Plain => note.text.clone(),
        Tone::Doubtful => paint.doubtful(&note.text),
        Tone::Bad => paint.bad(&note.text),
    }
}

fn heading(out: &mut String, text: &str, paint: Paint) {
    let _ = writeln!(out, "\n{}", paint.strong(text));
}

fn why(out: &mut String, report: &Report, paint: Paint) {
    let Some(model) = report.model else { return };
    let text = match model {
        Model::AppOnly => "Why app-only",
        Model::Delegated => "Why delegated",
        Model::Unclear => "Why it is unclear whether app-only or delegated",
    };
    heading(out, text, paint);
    for reason in &report.why {
        let _ = writeln!(out, "  {reason}");
    }
}

/// The checks that passed; those that failed go to stderr as problems.
fn passed(out: &mut String, checks: &[Checked], paint: Paint) {
    let passed: Vec<_> = checks.iter().filter(|check| check.problem.is_none()).collect();
    if passed.is_empty() {
        return;
    }
    heading(out, "Checked", paint);
    for check in passed {
        let _ = writeln!(out, "  {} {} {}", paint.good("ok"), check.name, check.said);
    }
}

fn compare(out: &mut String, report: &Report, paint: Paint) {
    if report.compare.is_empty() {
        return;
    }
    heading(out, "Compare with the federated credential, letter by letter", paint);
    for one in &report.compare {
        let _ = writeln!(out, "  {:<8}  `{}`", one.name, one.value);
        for hint in &one.hints {
            let _ = writeln!(out, "            {}", paint.faint(hint));
        }
    }
}

/// Those with the same reason stand together, and the reason once.
fn refusals(out: &mut String, all: &[Refusal], paint: Paint) {
    if all.is_empty() {
        return;
    }
    heading(out, "Refused by", paint);
    let column = |refusal: &Refusal| match (refusal.aadsts, refusal.status) {
        (Some(number), _) => format!("AADSTS{number}"),
        (None, Some(status)) => status.to_string(),
        (None, None) => "-".to_owned(),
    };
    let width = all.iter().map(|refusal| column(refusal).len()).max().unwrap_or_default();
    for group in all.chunk_by(|one, other| one.why == other.why && one.remedy == other.remedy) {
        for refusal in group {
            let sign = refusal.sign.as_ref().map(|sign| format!(" ({sign})")).unwrap_or_default();
            let status = paint.bad(&format!("{:<width$}", column(refusal)));
            let _ = writeln!(out, "  {status}  {}{}", refusal.by, paint.faint(&sign));
        }
        let indent = " ".repeat(width + 4);
        let _ = writeln!(out, "{indent}{}", group[0].why);
        if let Some(remedy) = &group[0].remedy {
            let _ = writeln!(out, "{indent}remedy: {remedy}");
        }
    }
}

fn table(out: &mut String, rows: &[Row], paint: Paint) {
    if rows.is_empty() {
        return;
    }
    heading(out, "What it says", paint);
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default().min(WIDEST_NAME);
    let mut place = None;
    for row in rows {
        if place.is_some_and(|place| place != row.place) {
            let _ = writeln!(out, "  {}", paint.faint("-- header --"));
        }
        place = Some(row.place);
        let _ = writeln!(out, "  {:<width$}  {}", row.name, row.shown);
        if let Some(meaning) = row.meaning {
            let _ = writeln!(out, "  {:width$}  {}", "", paint.faint(meaning));
        }
    }
}

pub(super) fn differences(all: &[Difference], paint: Paint) -> String {
    if all.is_empty() {
        return "no claim differs\n".to_owned();
    }
    let mut out = String::new();
    for one in all {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "(missing)".to_owned());
        let _ = writeln!(out, "{}\n  A  {}\n  B  {}", paint.strong(&one.claim), side(&one.a), side(&one.b));
    }
    out
}
