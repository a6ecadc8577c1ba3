//! The text that a person reads: the walk over the layers, causes, checks, remedy.

use std::fmt::Write as _;

use super::super::terminal::Paint;
use super::told;
use crate::explain::{Explanation, Layer, Mark, Reading, Seen};

/// Where a correlation id is found, unless the failure never came as far as Entra.
pub(super) const ENTRAS_LOG: &str = "Entra's sign-in logs";

/// Fits a terminal beside another window.
const WIDTH: usize = 100;

/// Everything that was recognised: the first with its whole walk, the others shorter.
pub(super) fn all(reading: &Reading, paint: Paint) -> String {
    let mut out = String::new();
    for (place, explanation) in reading.found.iter().enumerate() {
        if place > 0 {
            out.push('\n');
        }
        let first = place == 0;
        heading(&mut out, explanation, first, paint);
        if first {
            walk(&mut out, explanation, paint);
        } else {
            place_of(&mut out, explanation, paint);
        }
        advice(&mut out, explanation, paint);
    }
    let facts = seen(&reading.seen, whose_log(&reading.found), paint);
    if !facts.is_empty() {
        let _ = write!(out, "\n{facts}");
    }
    out
}

fn heading(out: &mut String, explanation: &Explanation, first: bool, paint: Paint) {
    let also = if first { "" } else { "also " };
    let name = paint.strong(&format!("{also}{}", explanation.name));
    let _ = writeln!(out, "{name}\n{}", wrapped("  ", "  ", explanation.meaning));
}

fn walk(out: &mut String, explanation: &Explanation, paint: Paint) {
    let _ = writeln!(out, "{}", paint.strong("where it stands"));
    for (layer, mark) in explanation.walk() {
        let (sign, word) = told(mark);
        let line = format!("{sign} {word:<12}{}", layer.title());
        let line = match mark {
            Mark::Passed => paint.good(&line),
            Mark::Here | Mark::Probably => paint.bad(&line),
            Mark::Untold | Mark::NotReached => paint.faint(&line),
        };
        let _ = writeln!(out, "  {line}");
    }
}

fn place_of(out: &mut String, explanation: &Explanation, paint: Paint) {
    let passed: Vec<_> = explanation.passed.iter().map(|layer| short(*layer)).collect();
    let passed = if passed.is_empty() { "nothing".to_owned() } else { passed.join(", ") };
    let text = format!("at {}; passed: {passed}", short(explanation.layer));
    let _ = writeln!(out, "{}\n{}", paint.strong("where it stands"), wrapped("  ", "  ", &text));
}

fn short(layer: Layer) -> &'static str {
    layer.title().split(':').next().unwrap_or_default()
}

fn advice(out: &mut String, explanation: &Explanation, paint: Paint) {
    let _ = writeln!(out, "{}", paint.strong("likely causes, the likeliest first"));
    for (number, cause) in (1..).zip(explanation.causes) {
        let _ = writeln!(out, "{}", wrapped(&format!("  {number}. "), "     ", cause));
    }
    let _ = writeln!(out, "{}", paint.strong("what to check"));
    for check in explanation.checks {
        let _ = writeln!(out, "{}", wrapped("  - ", "    ", check));
    }
    let remedy = explanation.remedy.unwrap_or("none: there is nothing to do but wait");
    let _ = writeln!(out, "{}\n{}", paint.strong("remedy"), wrapped("  ", "  ", remedy));
    let _ = writeln!(out, "{}\n{}", paint.strong("ask again?"), wrapped("  ", "  ", explanation.retry.advice()));
}

/// Who has written the correlation id down: what failed before Entra read it is known to nobody else.
fn whose_log(found: &[Explanation]) -> &'static str {
    if found.first().is_some_and(|first| first.layer < Layer::Request) { "unsecret's log" } else { ENTRAS_LOG }
}

/// The facts beside what was recognised; empty when there are none.
pub(super) fn seen(seen: &Seen, log: &str, paint: Paint) -> String {
    if seen.is_empty() {
        return String::new();
    }
    let mut out = format!("{}\n", paint.strong("seen in the text"));
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(out, "  {name:<16}{value}");
        }
    };
    line("HTTP status", seen.status.map(|status| status.to_string()));
    line("Retry-After", seen.retry_after.map(|wait| format!("{wait} s")));
    line("correlation id", seen.correlation_id.as_ref().map(|id| format!("{id} (look for it in {log})")));
    line("trace id", seen.trace_id.as_ref().map(ToString::to_string));
    line("time", seen.timestamp.map(|at| at.to_string()));
    line("Entra's clock", seen.validity.map(|validity| validity.entra.to_string()));
    line("the difference", seen.validity.and_then(|validity| validity.verdict()));
    out
}

/// For text in which nothing is known: what would be, layer by layer. Not a word of the text is repeated.
pub(super) fn nothing(what: &[String]) -> String {
    let mut out = "error: nothing in it is known here\n".to_owned();
    let file = matches!(what, [only] if std::path::Path::new(only).is_file());
    let remedy = if file {
        "to have a file read: unsecret explain < FILE"
    } else {
        "paste the whole answer (status line, headers, body), or the log line with its number or code; \
         unsecret explain --list shows what is known"
    };
    let _ = writeln!(out, "remedy: {remedy}\n\nfrom the application to the resource, and what shows itself there:");
    for layer in Layer::ALL {
        let _ = writeln!(out, "  {}\n{}", layer.title(), wrapped("      ", "      ", layer.clue()));
    }
    out
}

/// All that is known, a line each.
pub(super) fn list(all: &[Explanation], paint: Paint) -> String {
    let mut out = String::new();
    for one in all {
        let _ = writeln!(out, "{}  {}: {}", paint.strong(&one.name), short(one.layer), one.meaning);
    }
    out
}

/// Lines of at most [`WIDTH`] columns, the first after `first`, the others after `rest`; no newline at the end.
fn wrapped(first: &str, rest: &str, text: &str) -> String {
    let mut out = first.to_owned();
    let mut column = first.chars().count();
    for (place, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if place > 0 && column + 1 + length > WIDTH {
            let _ = write!(out, "\n{rest}");
            column = rest.chars().count();
        } else if place > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_words() {
        let text = "word ".repeat(40);
        let lines = wrapped("  1. ", "     ", &text);
        assert!(lines.lines().all(|line| line.len() <= WIDTH) && lines.lines().count() == 3, "{lines}");
        assert!(lines.lines().skip(1).all(|line| line.starts_with("     word")));
        assert_eq!(wrapped("", "", &"x".repeat(200)).len(), 200, "a word is never broken");
    }
}
