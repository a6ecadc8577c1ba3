//! Values as YAML text: block style, and flow style for what stands inside of flow style.
//!
//! A string is written plain only where every reader takes it for that string; otherwise in double quotes, as JSON has it.

use std::fmt::Write as _;

use serde_json::Value;

use super::scalar;

/// How the author of a document indents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habit {
    /// Of a mapping inside of a mapping.
    pub(super) width: usize,
    /// Of a list's dashes below their key: 0, or as mappings.
    pub(super) dashes: usize,
    pub(super) newline: &'static str,
}

/// A value that fits behind its key or dash: a scalar, or nothing in brackets.
pub(super) fn inline(value: &Value) -> Option<String> {
    match value {
        Value::Array(items) if items.is_empty() => Some("[]".to_owned()),
        Value::Object(members) if members.is_empty() => Some("{}".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
        Value::String(text) => Some(string(text)),
        other => Some(other.to_string()),
    }
}

/// A list or mapping that is not empty, from its first character on; each further line is indented by `column`.
pub(super) fn block(value: &Value, column: usize, habit: Habit) -> String {
    let lines: Vec<String> = match value {
        Value::Array(items) => items.iter().map(|item| element(item, column, habit)).collect(),
        Value::Object(members) => {
            // People look for the name first; the rest is sorted, as Kubernetes writes it.
            let named = members.iter().filter(|(name, _)| *name == "name");
            let others = members.iter().filter(|(name, _)| *name != "name");
            named.chain(others).map(|(name, value)| member(name, value, column, habit)).collect()
        }
        other => vec![inline(other).unwrap_or_default()],
    };
    lines.join(&format!("{}{}", habit.newline, " ".repeat(column)))
}

/// `- value`, whose dash stands at `column`.
pub(super) fn element(value: &Value, column: usize, habit: Habit) -> String {
    format!("- {}", inline(value).unwrap_or_else(|| block(value, column + 2, habit)))
}

/// `name: value`, at `column`.
pub(super) fn member(name: &str, value: &Value, column: usize, habit: Habit) -> String {
    format!("{}:{}", string(name), below(value, column, habit))
}

/// What stands behind the colon of a key at `column`.
pub(super) fn below(value: &Value, column: usize, habit: Habit) -> String {
    if let Some(text) = inline(value) {
        return format!(" {text}");
    }
    let column = column + if value.is_array() { habit.dashes } else { habit.width };
    format!("{}{}{}", habit.newline, " ".repeat(column), block(value, column, habit))
}

/// In flow style, on one line; JSON where the document is JSON.
pub(super) fn flow(value: &Value, json: bool) -> String {
    let list = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", list(items.iter().map(|item| flow(item, json)).collect())),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| flow_member(name, value, json));
            format!("{{{}}}", list(members.collect()))
        }
        Value::String(text) => flow_string(text, json),
        other => other.to_string(),
    }
}

pub(super) fn flow_member(name: &str, value: &Value, json: bool) -> String {
    format!("{}: {}", flow_string(name, json), flow(value, json))
}

fn flow_string(text: &str, json: bool) -> String {
    // A comma would end it there.
    if json || text.contains(',') { quoted(text) } else { string(text) }
}

fn string(text: &str) -> String {
    if scalar::is_plainly_a_string(text) { text.to_owned() } else { quoted(text) }
}

/// As JSON, and without the characters that YAML's readers refuse, fold or take for line breaks.
fn quoted(text: &str) -> String {
    let odd =
        |c: char| matches!(c, '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let mut out = String::with_capacity(text.len() + 2);
    for c in Value::String(text.to_owned()).to_string().chars() {
        if odd(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}
