//! Secrets planted in every input appear in nothing that comes out: logs at TRACE, refusals, pages, `Debug`, journal.

mod binary;
mod debug;
mod logs;

pub use logs::captured;

/// The secrets that must not be found, each with its name for the failure message.
#[derive(Clone, Debug, Default)]
pub struct Hunt {
    needles: Vec<(String, String)>,
}

/// A piece shorter than this may stand in an innocent text by chance.
const SHORTEST: usize = 12;

impl Hunt {
    /// Looks for the whole value, for each half, and for each part of a token: one that was cut is still a leak.
    pub fn hide(&mut self, name: &str, secret: &str) {
        assert!(secret.is_ascii() && secret.len() >= SHORTEST, "{name} is too short to be hunted");
        let (first, second) = secret.split_at(secret.len() / 2);
        let mut pieces = vec![("all", secret), ("first half", first), ("second half", second)];
        pieces.extend(secret.split('.').filter(|part| *part != secret).map(|part| ("a part", part)));
        pieces.retain(|(_, piece)| piece.len() >= SHORTEST);
        self.needles.extend(pieces.into_iter().map(|(which, piece)| (format!("{which} of {name}"), piece.to_owned())));
    }

    /// The name of the first secret that stands in a text.
    fn found(&self, text: &str) -> Option<&str> {
        self.needles.iter().find(|(_, needle)| text.contains(needle.as_str())).map(|(name, _)| name.as_str())
    }

    /// Fails when a text holds one. The text is not shown: the failure would leak it into the log of the tests.
    pub fn search(&self, what: &str, text: &str) {
        assert!(self.needles.len() > 3, "nothing is hunted");
        if let Some(name) = self.found(text) {
            panic!("{what} holds {name}");
        }
    }
}

#[test]
fn the_hunt_finds_whole_secrets_halves_and_parts_of_tokens() {
    let mut hunt = Hunt::default();
    hunt.hide("a token", "eyJhbGciOiJSUzI1NiJ9.eyJjYW5hcnkiOnRydWV9.c2lnbmF0dXJlLWNhbmFyeQ");
    hunt.hide("a key", "0123456789abcdefghijklmnopqrstuv");
    for text in [
        "key=0123456789abcdefghijklmnopqrstuv.",
        "cut 0123456789abcdef…",
        "…ghijklmnopqrstuv",
        r#"{"x":"eyJjYW5hcnkiOnRydWV9"}"#,
        "sig c2lnbmF0dXJlLWNhbmFyeQ",
    ] {
        assert!(hunt.found(text).is_some(), "{text}");
    }
    assert_eq!(hunt.found("0123456789 and nothing else, eyJ"), None);
}
