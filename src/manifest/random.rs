//! Random documents in every style, and random operations on them.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::Manifest;
use crate::patch::{Operation, Pointer};

/// Strings of which half are something else when they are not quoted.
fn string() -> impl Strategy<Value = String> {
    const ODD: [&str; 25] = [
        "yes",
        "n",
        "0777",
        "1.0",
        "~",
        "",
        "a: b",
        "a #b",
        "- x",
        "x,y",
        "é",
        "\u{7f}",
        "a\nb",
        "12:30",
        "2001-01-01",
        " a",
        "{",
        "*a",
        "&a",
        "!t",
        "%",
        "'",
        "\"",
        "<<",
        "64Mi",
    ];
    prop_oneof![prop::sample::select(&ODD[..]).prop_map(str::to_owned), "[a-e]{1,2}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        string().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(string(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Decisions about style and comments, used up one by one.
struct Style<'s>(std::iter::Cycle<std::slice::Iter<'s, u8>>, usize);

impl Style<'_> {
    fn next(&mut self, of: u8) -> u8 {
        self.0.next().map_or(0, |byte| byte % of)
    }

    fn comment(&mut self, out: &mut String, column: usize) {
        if self.next(4) == 0 {
            self.1 += 1;
            let _ = writeln!(out, "{}# comment {}", " ".repeat(column), self.1);
        }
        if self.next(9) == 0 {
            out.push('\n');
        }
    }

    fn end(&mut self, out: &mut String) {
        if self.next(5) == 0 {
            self.1 += 1;
            let _ = write!(out, " # behind {}", self.1);
        }
        out.push('\n');
    }

    fn scalar(&mut self, value: &Value) -> String {
        match value {
            Value::Null => ["null", "~", "Null"][usize::from(self.next(3))].to_owned(),
            Value::Bool(true) => ["true", "yes", "On"][usize::from(self.next(3))].to_owned(),
            Value::String(text) if self.next(2) == 0 && text.bytes().all(|c| (0x20..0x7f).contains(&c)) => {
                format!("'{}'", text.replace('\'', "''"))
            }
            Value::String(text) if (1..3).contains(&text.len()) && text.bytes().all(|c| (b'a'..=b'e').contains(&c)) => {
                text.clone()
            }
            Value::String(text) => Value::from(text.replace('\u{7f}', "?")).to_string().replace('?', "\\u007f"),
            other => other.to_string(),
        }
    }

    fn flow(&mut self, value: &Value) -> String {
        let gap = [" ", "\n        "][usize::from(self.next(5) == 0)];
        match value {
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.flow(item)).collect();
                format!("[{}]", items.join(&format!(",{gap}")))
            }
            Value::Object(members) => {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| {
                        format!(
                            "{}: {}",
                            Value::from(name.clone()).to_string().replace('\u{7f}', "\\u007f"),
                            self.flow(value)
                        )
                    })
                    .collect();
                format!("{{{}}}", members.join(&format!(",{gap}")))
            }
            scalar => self.scalar(scalar),
        }
    }

    /// Behind an indicator at `column`.
    fn below(&mut self, out: &mut String, value: &Value, column: usize, item: bool) {
        let is_compound = matches!(value, Value::Array(items) if !items.is_empty())
            || matches!(value, Value::Object(members) if !members.is_empty());
        if is_compound && self.next(5) != 0 {
            if item && self.next(3) != 0 {
                out.push(' ');
                return self.block(out, value, column + 2, true);
            }
            self.end(out);
            let more = if value.is_array() && !item && self.next(2) == 0 { 0 } else { 2 + usize::from(self.next(3)) };
            return self.block(out, value, column + more, false);
        }
        match value {
            Value::Null if self.next(2) == 0 => {}
            Value::String(text) if text == "a\nb" && self.next(2) == 0 => {
                let header = ["|-", ">-"][usize::from(self.next(2))];
                let inner = " ".repeat(column + 2);
                let gap = if header == ">-" { "\n\n" } else { "\n" };
                let _ = writeln!(out, " {header}\n{inner}a{gap}{inner}b");
                return;
            }
            value => {
                let _ = write!(out, " {}", self.flow(value));
            }
        }
        self.end(out);
    }

    fn block(&mut self, out: &mut String, value: &Value, column: usize, mut beside: bool) {
        let mut begin = |style: &mut Self, out: &mut String| {
            if !std::mem::take(&mut beside) {
                style.comment(out, column);
                out.push_str(&" ".repeat(column));
            }
        };
        match value {
            Value::Array(items) => {
                for item in items {
                    begin(self, out);
                    out.push('-');
                    self.below(out, item, column, true);
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    begin(self, out);
                    let _ = write!(out, "{}:", Value::from(name.clone()).to_string().replace('\u{7f}', "\\u007f"));
                    self.below(out, value, column, false);
                }
            }
            _ => {}
        }
    }
}

fn written(value: &Value, style: &[u8]) -> String {
    let mut style = Style(style.iter().cycle(), 0);
    let mut out = String::new();
    match value {
        Value::Array(items) if !items.is_empty() && style.next(6) != 0 => style.block(&mut out, value, 0, false),
        Value::Object(members) if !members.is_empty() && style.next(6) != 0 => style.block(&mut out, value, 0, false),
        _ => {
            out = style.flow(value);
            out.push('\n');
        }
    }
    out
}

fn places(value: &Value, here: &Pointer, out: &mut Vec<Pointer>) {
    out.push(here.clone());
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| places(item, &here.below(at), out)),
        Value::Object(members) => members.iter().for_each(|(name, value)| places(value, &here.below(name), out)),
        _ => {}
    }
}

/// One that fits the value as it is now.
fn operation(value: &Value, kind: u8, at: usize, name: &str, new: Value) -> Operation {
    let mut all = Vec::new();
    places(value, &Pointer::root(), &mut all);
    let path = all[at % all.len()].clone();
    let there = path.steps().iter().fold(value, |value, step| match value {
        Value::Array(items) => &items[step.parse::<usize>().unwrap()],
        value => &value[step],
    });
    match (kind % 4, there) {
        (0 | 1, Value::Array(items)) => Operation::Add { path: path.below(at % (items.len() + 1)), value: new },
        (0 | 1, Value::Object(_)) => Operation::Add { path: path.below(name), value: new },
        (2, _) if path != Pointer::root() => Operation::Remove { path },
        (3, there) if at.is_multiple_of(3) => Operation::Test { path, value: there.clone() },
        _ => Operation::Replace { path, value: new },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_changed_text_says_what_the_patch_makes(
        value in value(),
        style in prop::collection::vec(any::<u8>(), 1..60),
        changes in prop::collection::vec((any::<u8>(), any::<usize>(), string(), value()), 1..6),
    ) {
        let text = written(&value, &style);
        let mut manifest = Manifest::read(&text).map_err(|wrong| TestCaseError::fail(format!("{wrong}\n{text}")))?;
        prop_assert_eq!(manifest.documents().next(), Some(&value), "{}", text);
        let (mut meant, mut operations) = (value.clone(), Vec::new());
        for (kind, at, name, new) in changes {
            let operation = operation(&meant, kind, at, &name, new);
            let patch: json_patch::Patch = serde_json::from_value(serde_json::json!([operation])).unwrap();
            json_patch::patch(&mut meant, &patch).unwrap();
            operations.push(operation);
        }
        manifest.apply(0, &operations).map_err(|wrong| TestCaseError::fail(format!("{wrong}\n{text}\n{operations:?}")))?;
        let again = Manifest::read(&manifest.text()).unwrap();
        prop_assert_eq!(again.documents().next(), Some(&meant));
        if meant == value {
            prop_assert_eq!(manifest.text(), text);
        }
    }

    #[test]
    fn an_addition_leaves_every_line_where_it_was(
        value in value(),
        style in prop::collection::vec(any::<u8>(), 1..60),
        new in value(),
    ) {
        let members = value.as_object().cloned().unwrap_or_default();
        let value = serde_json::json!({"a": value, "spec": {"e": members, "list": [1, {"name": "b"}]}});
        let text = written(&value, &style);
        let mut manifest = Manifest::read(&text).unwrap();
        // In brackets or braces the line of a neighbour may get a comma.
        if ["\"spec\": {", "\"list\": ["].iter().any(|flow| text.contains(flow)) {
            return Ok(());
        }
        let place = Pointer::root().below("spec");
        manifest.apply(0, &[
            Operation::Add { path: place.below("zzz"), value: new.clone() },
            Operation::Add { path: place.below("list").below(1), value: new },
        ]).map_err(|wrong| TestCaseError::fail(format!("{wrong}\n{text}")))?;
        let changed = manifest.text();
        let mut lines = changed.lines();
        for line in text.lines() {
            prop_assert!(lines.any(|other| other == line), "`{}` is gone:\n{}\n---\n{}", line, text, changed);
        }
    }

    #[test]
    fn any_text_is_given_back_or_refused(text in "[-:\\[\\]{}#&*!|>'\" \t\r\nab,?%+~.é\u{feff}]{0,40}", new in value()) {
        let Ok(mut manifest) = Manifest::read(&text) else { return Ok(()) };
        prop_assert_eq!(manifest.text(), text.clone());
        let documents: Vec<Value> = manifest.documents().cloned().collect();
        for (at, document) in documents.iter().enumerate() {
            let mut all = Vec::new();
            places(document, &Pointer::root(), &mut all);
            let _ = manifest.line(at);
            for path in all {
                // What cannot be written is refused; what is written was read again.
                let _ = manifest.clone().apply(at, &[Operation::Replace { path: path.clone(), value: new.clone() }]);
                let _ = manifest.clone().apply(at, &[Operation::Remove { path }]);
            }
            let _ = manifest.apply(at, &[Operation::Replace { path: Pointer::root(), value: new.clone() }]);
        }
    }
}
