//! How a stranger's value is shown: escaped, cut, and not at all where it could be a secret.
//!
//! A claim may hold anything, terminal escapes and whole tokens included. Easy to get wrong: what is cut must have been
//! judged before, since half a token no longer looks like one; and names of claims are a stranger's text as well.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::secret::local_key::is_entra_secret;

/// More than any identifier needs; a list of groups is cut here.
const LONGEST: usize = 600;
/// What stands in the place of a value that looks like a token, a key or a client secret.
const HIDDEN: &str = "(hidden: it has the shape of a secret)";
/// Names of claims whose values are secrets wherever they come from.
const SECRET_NAMES: [&str; 9] = [
    "access_token",
    "refresh_token",
    "id_token",
    "client_secret",
    "client_assertion",
    "password",
    "secret",
    "private_key",
    "actort",
];

/// A name or value as one safe line: escaped, and cut where it is very long.
#[must_use]
pub fn text(stranger: &str) -> String {
    if is_secret(stranger) {
        return HIDDEN.to_owned();
    }
    match stranger.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} characters)", escaped(&stranger[..end]), stranger.chars().count()),
        None => escaped(stranger),
    }
}

/// A text as one line that neither a terminal nor a build agent obeys: GitHub's and Azure's take commands out of what a
/// step prints, `##[…` and `##vso[…` anywhere in a line and `::…` at its start.
#[must_use]
pub fn escaped(stranger: &str) -> String {
    let mut line = String::with_capacity(stranger.len());
    for (at, letter) in stranger.char_indices() {
        let rest = &stranger[at..];
        let command = rest.starts_with("##") || rest.starts_with("::") && stranger[..at].trim().is_empty();
        if command || is_unsafe(letter) {
            let _ = write!(line, "{}", letter.escape_unicode());
        } else {
            line.push(letter);
        }
    }
    line
}

/// A claim's value as one safe line: text bare, everything else as JSON.
#[must_use]
pub(super) fn value(value: &Value) -> String {
    match safe(value) {
        Value::String(line) => line,
        Value::Array(items) => {
            let items: Vec<String> =
                items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
            cut(&items.join(", "))
        }
        other => cut(&other.to_string()),
    }
}

/// The same value with every text in it made safe, for machines.
#[must_use]
pub(super) fn safe(value: &Value) -> Value {
    match value {
        Value::String(stranger) => Value::String(text(stranger)),
        Value::Array(items) => Value::Array(items.iter().map(safe).collect()),
        Value::Object(fields) => Value::Object(safe_fields(fields)),
        other => other.clone(),
    }
}

fn safe_fields(fields: &Map<String, Value>) -> Map<String, Value> {
    let field = |(name, value): (&String, &Value)| {
        let value = if is_secret_name(name) { Value::String(HIDDEN.to_owned()) } else { safe(value) };
        (text(name), value)
    };
    fields.iter().map(field).collect()
}

/// True for a claim that is a secret by its name, whatever it holds.
#[must_use]
pub(super) fn is_secret_name(name: &str) -> bool {
    SECRET_NAMES.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// What has the shape of a token, a key or a client secret, also in the middle of a longer text.
fn is_secret(text: &str) -> bool {
    let token = text.match_indices("eyJ").any(|(at, _)| text[at..].chars().take_while(|c| is_base64(*c)).count() > 20);
    let word = |word: &str| is_entra_secret(word) || word.starts_with("uns_");
    // Neither kind of key has any other letter in it.
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.' | '~'));
    token || text.contains("PRIVATE KEY") || { words }.any(word)
}

fn is_base64(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '+' | '/')
}

/// Control characters, which move a terminal's cursor, and those that hide or turn the text around them.
pub fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} characters)", &line[..end], line.chars().count()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn terminal_escapes_and_turned_text_are_written_out() {
        assert_eq!(text("a\u{1b}[31mb\u{202e}c\u{9b}"), "a\\u{1b}[31mb\\u{202e}c\\u{9b}");
        assert_eq!(text("Jürgen"), "Jürgen");
    }

    #[test]
    fn no_build_agent_takes_a_value_for_a_command() {
        assert_eq!(text("##vso[task.setvariable variable=a]b"), "\\u{23}#vso[task.setvariable variable=a]b");
        assert_eq!(text("a ###[add-mask]b"), "a \\u{23}\\u{23}#[add-mask]b");
        assert_eq!(text(" ::stop-commands::x"), " \\u{3a}:stop-commands::x");
        assert_eq!(text("# a::b"), "# a::b");
    }

    #[test]
    fn a_very_long_value_is_cut_and_its_length_told() {
        let long = "x".repeat(5_000);
        assert!(text(&long).ends_with("… (5000 characters)") && text(&long).len() < 700);
        let many = Value::Array(vec![json!("group"); 500]);
        assert!(value(&many).len() < 700);
    }

    #[test]
    fn what_has_the_shape_of_a_secret_is_hidden_wherever_it_stands() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln";
        let secret = format!("abc8Q~{}", "x".repeat(34));
        for hidden in [token, &format!("Bearer {token}"), &secret, &format!("client_secret={secret}"), "uns_abc"] {
            assert_eq!(text(hidden), HIDDEN, "{hidden}");
        }
        let nested = safe(&json!({"a": [token], "password": "short", "b": "plain"}));
        assert_eq!(nested, json!({"a": [HIDDEN], "password": HIDDEN, "b": "plain"}));
        assert_eq!(text("eyJ and nothing else"), "eyJ and nothing else");
    }

    #[test]
    fn lists_and_numbers_read_as_a_person_writes_them() {
        assert_eq!(value(&json!(["a", "b"])), "a, b");
        assert_eq!(value(&json!(7)), "7");
        assert_eq!(value(&json!({"x": true})), r#"{"x":true}"#);
    }
}
