//! Prints what was found: text for people, one object for programs.
//!
//! Easy to get wrong: the text has to read without colour, and its first broken link is the one the exit status names. And
//! what was seen is a stranger's text, claims and answers alike: it is made harmless here, in one place.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::chain::{Finding, State};
use super::walk::Walk;
use crate::cli::Exit;
use crate::cli::terminal::{Paint, ascii};
use crate::ids::IdentityName;
use crate::inspect::escaped;

/// The whole chain: the machine's part first, then each identity's.
pub(super) struct Report(pub(super) Vec<Walk>);

impl Report {
    fn findings(&self) -> impl Iterator<Item = (&Finding, Option<&IdentityName>)> {
        self.0.iter().flat_map(|walk| walk.findings.iter().map(move |one| (one, walk.identity.as_ref())))
    }

    fn first_broken(&self) -> Option<(&Finding, Option<&IdentityName>)> {
        self.findings().find(|(finding, _)| finding.is_broken())
    }

    pub(super) fn exit(&self) -> Exit {
        self.first_broken().map_or(Exit::Done, |(finding, _)| Exit::Status(finding.link.status()))
    }

    pub(super) fn text(&self, paint: Paint) -> String {
        let mut text = String::new();
        for walk in &self.0 {
            let title =
                walk.identity.as_ref().map_or_else(|| "this machine".to_owned(), |name| format!("identity {name}"));
            let _ = writeln!(text, "{}", paint.strong(&title));
            for finding in &walk.findings {
                describe(&mut text, finding, paint);
            }
            beside(&mut text, walk, paint);
            text.push('\n');
        }
        text.push_str(&self.verdict(paint));
        text
    }

    fn verdict(&self, paint: Paint) -> String {
        let Some((finding, identity)) = self.first_broken() else {
            let doubtful = self.findings().any(|(finding, _)| finding.state == State::Doubtful);
            let text = if doubtful { "nothing is broken; see what is doubtful" } else { "every link is good" };
            return format!("{}\n", paint.strong(text));
        };
        let of = identity.map_or_else(String::new, |name| format!(" of identity {name}"));
        let link = finding.link;
        let text = format!("broken: {}{of} (exit status {})", link.name(), link.status());
        format!("{}\n", paint.bad(&text))
    }

    pub(super) fn json(&self) -> String {
        let broken = self.first_broken().map(|(finding, _)| finding.link);
        let credentials = self.0.iter().filter_map(|walk| {
            let mut object = walk.credential.as_ref()?.json();
            object["identity"] = json!(walk.identity.as_ref().map(IdentityName::as_str));
            Some(object)
        });
        let report = json!({
            "status": if broken.is_some() { "broken" } else { "good" },
            "broken": broken.map(super::chain::Link::name),
            "exit_status": self.exit().status(),
            "links": self.findings().map(|(finding, identity)| finding.json(identity)).collect::<Vec<Value>>(),
            "federated_credentials": credentials.collect::<Vec<Value>>(),
        });
        format!("{}\n", ascii(&serde_json::to_string_pretty(&report).unwrap_or_default()))
    }
}

/// One link: how it is and what was seen, then the rest, indented.
fn describe(text: &mut String, finding: &Finding, paint: Paint) {
    let state = format!("{:<11}", finding.state.name());
    let state = match finding.state {
        State::Good => paint.good(&state),
        State::Doubtful => paint.doubtful(&state),
        State::Broken => paint.bad(&state),
        State::NotReached => paint.faint(&state),
    };
    let mut seen = finding.seen.iter().map(|line| escaped(line));
    let first = seen.next().unwrap_or_default();
    let _ = writeln!(text, "  {state}  {:<13}  {first}", finding.link.name());
    let mut line = |label: &str, line: &str| {
        let _ = writeln!(text, "               {label:<9}{line}");
    };
    for more in seen {
        line("", &more);
    }
    if !finding.tried.is_empty() {
        line("tried", &paint.faint(&escaped(&finding.tried)));
    }
    if let Some(remedy) = &finding.remedy {
        line("remedy", &paint.strong(&escaped(remedy)));
    }
    if let Some(code) = &finding.code {
        line("code", code);
    }
    for (label, lines) in [("perhaps", &finding.perhaps), ("look at", &finding.look_at)] {
        for (n, more) in lines.iter().enumerate() {
            line(if n == 0 { label } else { "" }, more);
        }
    }
}

/// What to create or upload.
fn beside(text: &mut String, walk: &Walk, paint: Paint) {
    if !walk.upload.is_empty() {
        let _ = writeln!(text, "\n{}", paint.strong("Make the certificate known to the application:"));
        for line in &walk.upload {
            let _ = writeln!(text, "  {line}");
        }
    }
    let Some(credential) = &walk.credential else { return };
    let title = "The federated credential that this token needs, in four forms (create it in one):";
    let _ = writeln!(text, "\n{}", paint.strong(title));
    for (name, form) in credential.forms() {
        let _ = writeln!(text, "\n{}", paint.faint(&format!("# {name}")));
        text.push_str(&form);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::chain::Link;

    #[test]
    fn what_a_stranger_wrote_starts_no_line_and_is_no_command() {
        let mut walk = Walk::new(None);
        walk.add(Finding::good(Link::Sockets, "GET \u{9b}x", "ready\u{1b}[2J\n  broken  x").and("##vso[x]"));
        let report = Report(vec![walk]);
        let text = report.text(Paint::stdout());
        for escaped in [r"ready\u{1b}[2J\u{a}  broken  x", r"GET \u{9b}x", r"\u{23}#vso[x]"] {
            assert!(text.contains(escaped), "{text}");
        }
        assert!(!report.json().contains("##") && report.json().is_ascii());
    }
}
