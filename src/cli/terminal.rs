//! What the terminal can do: colour, a line for work that takes longer than a moment, JSON that it takes for text.
//!
//! Colour is decoration: every text reads the same without. Easy to get wrong: stdout and stderr are asked separately,
//! since either may be a pipe.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use super::note;

/// How long a person waits without wondering.
const MOMENT: Duration = Duration::from_secs(1);

/// Colours text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// For text that goes to stdout.
    pub(super) fn stdout() -> Self {
        Self { on: wanted(std::io::stdout().is_terminal()) }
    }

    /// For text that goes to stderr.
    pub(super) fn stderr() -> Self {
        Self { on: wanted(std::io::stderr().is_terminal()) }
    }

    /// Whether there is colour at all.
    pub(super) fn is_on(self) -> bool {
        self.on
    }

    pub(super) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(super) fn doubtful(self, text: &str) -> String {
        self.with("33", text)
    }

    pub(super) fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// <https://no-color.org>: any value but the empty one switches colour off.
fn wanted(terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Waits for `work`; says on stderr what it waits for, a noun, if that takes longer than a moment.
pub(super) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(MOMENT) => note(&format!("… waiting for {what}\n")),
    }
    work.await
}

/// JSON in ASCII: what a terminal could take for an escape, or a build agent for a command (`##[…`), is written as `\u….`.
pub(super) fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for (at, letter) in json.char_indices() {
        // Line ends between the fields are the only control characters that JSON leaves.
        if letter.is_ascii() && letter != '\u{7f}' && !json[at..].starts_with("##") {
            out.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_text_stays_as_it_is() {
        assert_eq!(Paint { on: false }.bad("no"), "no");
        assert_eq!(Paint { on: true }.bad("no"), "\u{1b}[31mno\u{1b}[0m");
    }

    #[test]
    fn json_stays_the_same_value_in_ascii() {
        let value = serde_json::json!({"a": "Jürgen \u{9b}31m \u{7f} 😀 ###[x]"});
        let text = ascii(&value.to_string());
        assert!(text.is_ascii() && !text.contains('\u{7f}') && !text.contains("##"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
