//! From TOML text to a tree that fits the schema: what does not fit is reported with its line and left out.
//!
//! Walks spanned TOML beside the schema, so that unknown keys and wrong types are all found in one go. Not where values
//! are judged. Easy to get wrong: what is left out must be marked spoiled, or it is reported again as missing.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::findings::{Findings, Origin};
use super::problems::{Mistake, shown};
use super::schema::{self, Kind, schema, toml_text};

/// Reads the text. With syntax errors the tree is empty: what follows from half a file would mislead.
pub(super) fn read(text: &str, findings: &mut Findings) -> Map<String, Value> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        // The message only: toml's own `Display` quotes the line, which may hold what must not be shown.
        let line = error.span().map_or(0, |span| line_of(text, &span));
        let what = format!("is not TOML: {}", error.message().trim());
        findings.add_at(line, Mistake::Syntax, what, "correct the line; strings need double quotes".to_owned());
    }
    if !errors.is_empty() {
        return Map::new();
    }
    Walk { text, findings }.table(table.get_ref(), schema(), "")
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    let before = text.get(..span.start).unwrap_or(text);
    1 + before.matches('\n').count()
}

struct Walk<'a> {
    text: &'a str,
    findings: &'a mut Findings,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, schema: &Value, path: &str) -> Map<String, Value> {
        let mut out = Map::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let at = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.findings.came_from(&at, Origin::Line(line_of(self.text, &key.span())));
            let Some(expected) = schema["properties"].get(name) else {
                self.unknown(name, schema, path, &at);
                continue;
            };
            match self.value(value, expected, &at) {
                Some(value) => {
                    out.insert(name.to_owned(), value);
                }
                None => self.findings.spoil(&at),
            }
        }
        out
    }

    /// Any names; each value as the schema says of all of them.
    fn map(&mut self, table: &DeTable<'_>, schema: &Value, path: &str) -> Map<String, Value> {
        let mut out = Map::new();
        for (key, value) in table {
            let at = format!("{path}.{}", key.get_ref());
            self.findings.came_from(&at, Origin::Line(line_of(self.text, &key.span())));
            match self.value(value, &schema["additionalProperties"], &at) {
                Some(value) => {
                    out.insert(key.get_ref().to_string(), value);
                }
                None => self.findings.spoil(&at),
            }
        }
        out
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &Value, path: &str) -> Option<Value> {
        let kind = Kind::of(schema);
        match (value.get_ref(), kind) {
            (DeValue::Table(table), Kind::Table) => Some(Value::Object(self.table(table, schema, path))),
            (DeValue::Table(table), Kind::Map) => Some(Value::Object(self.map(table, schema, path))),
            (DeValue::Array(items), Kind::Tables | Kind::Strings) => {
                let items: Vec<_> =
                    items.iter().enumerate().map(|(n, item)| self.item(item, &schema["items"], path, n)).collect();
                items.into_iter().collect()
            }
            (DeValue::String(text), Kind::String) => self.string(text, schema, path),
            (DeValue::Boolean(yes), Kind::Boolean) => Some(Value::Bool(*yes)),
            (DeValue::Integer(number), Kind::Integer) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
                in_range(parsed, schema).or_else(|| self.out_of_range(path, &number.to_string(), schema))
            }
            (other, _) => self.wrong_type(other, kind, path),
        }
    }

    /// A table of an array that is no table leaves an empty one, so that its neighbours keep their numbers.
    fn item(&mut self, item: &Spanned<DeValue<'_>>, schema: &Value, path: &str, n: usize) -> Option<Value> {
        let at = format!("{path}[{n}]");
        self.findings.came_from(&at, Origin::Line(line_of(self.text, &item.span())));
        let value = self.value(item, schema, &at);
        if value.is_none() {
            self.findings.spoil(&at);
        }
        if Kind::of(schema) == Kind::Table { value.or_else(|| Some(Value::Object(Map::new()))) } else { value }
    }

    fn string(&mut self, text: &str, schema: &Value, path: &str) -> Option<Value> {
        let value = Value::String(text.to_owned());
        let Some(names) = schema["enum"].as_array() else { return Some(value) };
        if names.contains(&value) {
            return Some(value);
        }
        not_among(text, names, path, self.findings);
        None
    }

    fn out_of_range(&mut self, path: &str, number: &str, schema: &Value) -> Option<Value> {
        let why = format!("must be from {} to {}", schema["minimum"], schema["maximum"]);
        let remedy = self.findings.right(path);
        self.findings.add(Mistake::WrongValue, path, format!("is {number}, but {why}"), remedy);
        None
    }

    fn wrong_type(&mut self, value: &DeValue<'_>, kind: Kind, path: &str) -> Option<Value> {
        let what = match value {
            DeValue::String(text) if is_open(path) => format!("is the string {}", shown(text)),
            DeValue::String(_) => "is a string".to_owned(),
            DeValue::Integer(number) => format!("is the number {number}"),
            DeValue::Float(number) => format!("is the number {number}"),
            DeValue::Boolean(yes) => format!("is {yes}"),
            DeValue::Datetime(_) => "is a date".to_owned(),
            DeValue::Array(_) => "is an array".to_owned(),
            DeValue::Table(_) => "is a table".to_owned(),
        };
        let remedy = match kind {
            Kind::Table | Kind::Tables => table_remedy(path, kind),
            _ => self.findings.right(path),
        };
        self.findings.add(Mistake::WrongType, path, format!("{what}, but must be {}", kind.words()), remedy);
        None
    }

    fn unknown(&mut self, name: &str, schema: &Value, parent: &str, path: &str) {
        let known = || schema["properties"].as_object().into_iter().flat_map(Map::keys);
        let nearest = nearest(name, known().map(String::as_str));
        let remedy = if name.contains("secret") || name.contains("password") {
            "delete it: no secret belongs into this file, and Entra gets none".to_owned()
        } else if let Some(near) = nearest {
            // Its right name is not missing as well: that would be one mistake told twice.
            self.findings.spoil(&if parent.is_empty() { near.to_owned() } else { format!("{parent}.{near}") });
            format!("write `{near}`, the nearest known key")
        } else if let Some(setting) = elsewhere(name) {
            format!("move it to `{setting}`")
        } else {
            let keys: Vec<_> = known().map(|key| format!("`{key}`")).collect();
            format!("delete it; the keys here are {}", keys.join(", "))
        };
        self.findings.add(Mistake::UnknownKey, path, "is not a known key", remedy);
    }
}

/// Reports a word that is none of the possible ones.
pub(super) fn not_among(text: &str, names: &[Value], path: &str, findings: &mut Findings) {
    let words: Vec<_> = names.iter().filter_map(Value::as_str).collect();
    let small = text.to_ascii_lowercase();
    let likely = nearest(&small, words.iter().copied())
        .or_else(|| words.iter().copied().find(|word| word.eq_ignore_ascii_case(text)))
        .or_else(|| words.iter().copied().find(|word| !small.is_empty() && word.contains(&small)));
    let why = format!("must be one of {}", words.join(", "));
    // Where none is near, none is preferred: another cloud is another Entra.
    let likely = likely.map_or(words, |word| vec![word]);
    let likely: Vec<_> = likely.into_iter().map(|word| toml_text(&Value::from(word))).collect();
    findings.wrong_but(path, text, &why, format!("write {}", likely.join(" or ")));
}

/// The number if it fits the schema's bounds.
pub(super) fn in_range(number: Option<i64>, schema: &Value) -> Option<Value> {
    let number = number?;
    let fits = schema["minimum"].as_i64().is_none_or(|least| number >= least)
        && schema["maximum"].as_i64().is_none_or(|most| number <= most);
    fits.then(|| Value::from(number))
}

/// The candidate that a person most likely meant, if any is near.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near =
        |candidate: &&str| strsim::damerau_levenshtein(word, candidate) <= 1 + candidate.len().min(word.len()) / 4;
    candidates.filter(near).min_by_key(|candidate| strsim::damerau_levenshtein(word, candidate))
}

/// Where a key of this name does belong.
fn elsewhere(name: &str) -> Option<&'static str> {
    let settings = schema::settings().iter().map(|setting| setting.path.as_str());
    settings.filter(|path| path.rsplit('.').next() == Some(name)).min_by_key(|path| path.len())
}

/// False below `caller`, where a string may be a key.
fn is_open(path: &str) -> bool {
    !path.contains(".caller")
}

fn table_remedy(path: &str, kind: Kind) -> String {
    let header: String =
        path.split('.').map(|part| part.split('[').next().unwrap_or(part)).collect::<Vec<_>>().join(".");
    match (header.as_str(), kind) {
        ("identity.assertion", _) => "write `assertion = { file = \"/var/run/secrets/unsecret/token\" }`".to_owned(),
        ("identity.assertion.github", _) => "write `github = {}`".to_owned(),
        ("identity.assertion.certificates", _) => {
            "write `certificates = [{ certificate = \"/etc/unsecret/a.pem\", key = \"file:/etc/unsecret/a.key\" }]`"
                .to_owned()
        }
        ("identity" | "identity.caller" | "identity.sink", _) => format!("write `[[{header}]]` above its keys"),
        _ => format!("write `[{header}]` above its keys"),
    }
}
