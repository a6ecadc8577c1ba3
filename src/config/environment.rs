//! Variables: the platform's own in zero-file mode, and `UNSECRET_*`, which override the file.
//!
//! Every setting of the schema has a variable by rule, so none is named here. Handed in as a value: tests never touch the
//! process's own environment. Easy to get wrong: an empty variable counts as unset, because Kubernetes and CI systems
//! cannot leave one out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value, json};

use super::findings::{Findings, Origin};
use super::problems::{Mistake, shown};
use super::schema::{IDENTITY, Kind, Setting, settings};
use super::shape::{in_range, nearest, not_among};

/// The variables of a process. Its values may be secrets: `Debug` shows only names.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// This process's own. Variables that are no UTF-8 are none of ours.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// The value, unless unset or empty.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The names of those that hold secrets, as far as names tell: ours, and what is called a token, a key, a password.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.names().filter(|name| name.starts_with("UNSECRET_") || name.split('_').any(is_secretive))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.as_str())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// One word of a name. `HEADER` is for `IDENTITY_HEADER`, the key of App Service's door.
fn is_secretive(word: &str) -> bool {
    const WORDS: [&str; 10] =
        ["TOKEN", "SECRET", "KEY", "APIKEY", "PASSWORD", "PASSWD", "PASSPHRASE", "PIN", "CREDENTIALS", "HEADER"];
    WORDS.iter().any(|secretive| word.eq_ignore_ascii_case(secretive))
}

/// The variables that platforms set by themselves, and the settings they stand for when there is no file.
const PLATFORM: [(&str, &str); 4] = [
    ("AZURE_TENANT_ID", "identity[].tenant"),
    ("AZURE_CLIENT_ID", "identity[].client_id"),
    ("AZURE_AUTHORITY_HOST", "identity[].authority_host"),
    ("AZURE_FEDERATED_TOKEN_FILE", "identity[].assertion.file"),
];

/// GitHub Actions' endpoint and bearer (contract C2).
pub(super) const GITHUB_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
pub(super) const GITHUB_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// The name of an identity that no file names.
const UNNAMED: &str = "default";

/// The platform's variable for a setting, if there is one.
pub(super) fn platform_variable(path: &str) -> Option<&'static str> {
    PLATFORM.iter().find(|(_, setting)| *setting == path).map(|(name, _)| *name)
}

/// Zero-file mode: one identity out of the platform's own variables.
pub(super) fn platform(environment: &Environment, findings: &mut Findings) -> Map<String, Value> {
    let mut identity = Map::new();
    for (name, path) in PLATFORM {
        if let (Some(value), Some(key)) = (environment.value(name), path.strip_prefix(IDENTITY)) {
            findings.came_from(&format!("identity[0].{key}"), Origin::Variable(name.to_owned()));
            put(&mut identity, key, json!(value));
        }
    }
    if environment.value(GITHUB_URL).is_some() && environment.value("AZURE_FEDERATED_TOKEN_FILE").is_none() {
        findings.came_from("identity[0].assertion.github", Origin::Variable(GITHUB_URL.to_owned()));
        put(&mut identity, "assertion.github", json!({}));
    }
    identity.insert("name".to_owned(), json!(UNNAMED));
    Map::from_iter([("identity".to_owned(), json!([identity]))])
}

/// Lays `UNSECRET_*` over what the file said.
pub(super) fn lay_over(tree: &mut Map<String, Value>, environment: &Environment, findings: &mut Findings) {
    let mut overlay = Overlay { environment, findings, known: BTreeSet::new() };
    overlay.global(tree);
    overlay.identities(tree);
    overlay.warn_of_unknown(tree);
}

/// Settings that exclude each other: a variable for one takes the others of the file away.
const CHOICES: [&[&str]; 2] =
    [&["assertion.file", "assertion.github", "assertion.certificates"], &["cloud", "authority_host"]];

struct Overlay<'a> {
    environment: &'a Environment,
    findings: &'a mut Findings,
    /// Names that mean something here.
    known: BTreeSet<String>,
}

impl Overlay<'_> {
    fn global(&mut self, tree: &mut Map<String, Value>) {
        for setting in settings().iter().filter(|setting| !setting.path.starts_with(IDENTITY)) {
            let name = setting.variable();
            if let Some(value) = self.parse(setting, &name, &setting.path) {
                put(tree, &setting.path, value);
            }
            self.known.insert(name);
        }
    }

    fn identities(&mut self, tree: &mut Map<String, Value>) {
        let ours = || settings().iter().filter(|setting| setting.path.starts_with(IDENTITY));
        self.known.extend(ours().map(Setting::variable));
        let short = ours().map(Setting::variable).find(|name| self.environment.value(name).is_some());
        if self.findings.is_spoiled("identity") {
            return;
        }
        let list = tree.entry("identity").or_insert_with(|| json!([]));
        let Value::Array(identities) = list else { return };
        if identities.is_empty() && short.is_some() {
            identities.push(json!({ "name": UNNAMED }));
        }
        let alone = identities.len() == 1;
        if let Some(name) = short.filter(|_| !alone) {
            self.ambiguous(&name, identities);
        }
        for (n, identity) in identities.iter_mut().enumerate() {
            let Value::Object(identity) = identity else { continue };
            let own = identity.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            if alone {
                self.identity(identity, n, |setting| Some(setting.variable()));
            }
            self.identity(identity, n, |setting| setting.named_variable(&own));
        }
    }

    fn ambiguous(&mut self, name: &str, identities: &[Value]) {
        let first = identities[0]["name"].as_str().unwrap_or("NAME");
        let setting = settings().iter().find(|setting| setting.variable() == name);
        let right = setting.and_then(|setting| setting.named_variable(first)).unwrap_or_default();
        self.findings.came_from("identity", Origin::Variable(name.to_owned()));
        let what = format!("has {} entries, and {name} does not say which one it means", identities.len());
        self.findings.add(Mistake::Conflict, "identity", what, format!("name the identity in it, as in {right}"));
    }

    fn identity(&mut self, into: &mut Map<String, Value>, n: usize, name_of: impl Fn(&Setting) -> Option<String>) {
        let mut found = Vec::new();
        for setting in settings() {
            if let (Some(key), Some(name)) = (setting.path.strip_prefix(IDENTITY), name_of(setting)) {
                if self.environment.value(&name).is_some() {
                    found.push((setting, key, name.clone()));
                }
                self.known.insert(name);
            }
        }
        for choice in CHOICES {
            let chosen = |path: &str| found.iter().any(|(_, key, _)| is_within(key, path));
            if choice.iter().any(|path| chosen(path)) {
                choice.iter().filter(|path| !chosen(path)).for_each(|path| take(into, path));
            }
        }
        if found.iter().any(|(_, key, _)| is_within(key, "caller")) {
            into.insert("caller".to_owned(), json!([]));
        }
        for (setting, key, name) in found {
            match key.split_once("[].") {
                Some((list, field)) => self.list(into, n, setting, &name, (list, field)),
                None => {
                    if let Some(value) = self.parse(setting, &name, &format!("identity[{n}].{key}")) {
                        put(into, key, value);
                    }
                }
            }
        }
    }

    /// A comma-separated variable for an array of tables: each value is a caller rule of its own; of certificates and
    /// sinks the n-th values of each variable belong together, and an empty one leaves its key out.
    fn list(
        &mut self,
        into: &mut Map<String, Value>,
        n: usize,
        setting: &Setting,
        name: &str,
        (list, field): (&str, &str),
    ) {
        let text = self.environment.value(name).unwrap_or_default();
        for (nth, part) in text.split(',').map(str::trim).enumerate().filter(|(_, part)| !part.is_empty()) {
            let entries = array_at(into, list);
            let at = if list == "caller" { entries.len() } else { nth };
            let path = format!("identity[{n}].{list}[{at}].{field}");
            self.findings.came_from(&path, Origin::Variable(name.to_owned()));
            let value = match setting.kind() {
                // Commas part the tables, so blanks have to part the words.
                Kind::Strings => Some(part.split_whitespace().collect()),
                _ => convert(part, setting, &path, self.findings),
            };
            if value.is_none() {
                self.findings.spoil(&path);
            }
            while entries.len() <= at {
                entries.push(json!({}));
            }
            if let (Some(value), Value::Object(entry)) = (value, &mut entries[at]) {
                entry.insert(field.to_owned(), value);
            }
        }
    }

    fn parse(&mut self, setting: &Setting, name: &str, path: &str) -> Option<Value> {
        let text = self.environment.value(name)?;
        self.findings.came_from(path, Origin::Variable(name.to_owned()));
        let value = convert(text, setting, path, self.findings);
        if value.is_none() {
            self.findings.spoil(path);
        }
        value
    }

    /// A warning and no error: Kubernetes sets `UNSECRET_SERVICE_HOST` and `UNSECRET_PORT…` beside a Service of that
    /// name, and other programs may use the prefix.
    fn warn_of_unknown(&mut self, tree: &Map<String, Value>) {
        let texts = Value::Object(tree.clone()).to_string();
        for name in self.environment.names().filter(|name| name.starts_with("UNSECRET_")) {
            let linked = name.starts_with("UNSECRET_SERVICE_") || name.starts_with("UNSECRET_PORT");
            let ours = name == CONFIG || name == "UNSECRET_BLESS" || name.starts_with("UNSECRET_TEST_");
            // A variable that `key_env` names.
            let used = texts.contains(&format!("\"{name}\""));
            if linked || ours || used || self.known.contains(name) {
                continue;
            }
            let near = nearest(name, self.known.iter().map(String::as_str));
            let hint = near.map_or_else(String::new, |near| format!("; the nearest known one is {near}"));
            self.findings.warn_variable(format!("variable {name} is not known and has no effect{hint}"));
        }
    }
}

/// Names the file when no `--config` does.
pub(super) const CONFIG: &str = "UNSECRET_CONFIG";

fn convert(text: &str, setting: &Setting, path: &str, findings: &mut Findings) -> Option<Value> {
    let kind = setting.kind();
    let value = match kind {
        Kind::Strings => return Some(split(text).map(Value::from).collect()),
        Kind::String => {
            let value = Value::from(text);
            match setting.schema["enum"].as_array() {
                Some(names) if !names.contains(&value) => {
                    not_among(text, names, path, findings);
                    return None;
                }
                _ => return Some(value),
            }
        }
        Kind::Boolean => text.parse().ok().map(Value::Bool),
        Kind::Integer => in_range(text.parse().ok(), setting.schema),
        Kind::Map => pairs(text),
        // `github = {}` as a variable: true.
        Kind::Table | Kind::Tables => (text == "true").then(|| json!({})),
    };
    if value.is_none() {
        let words = match kind {
            Kind::Table => "true",
            Kind::Map => "pairs of NAME=value with commas between them",
            _ => kind.words(),
        };
        let remedy = findings.right(path);
        findings.add(Mistake::WrongType, path, format!("is {}, but must be {words}", shown(text)), remedy);
    }
    value
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// `A=b,C=d`. A value with a comma needs the file.
fn pairs(text: &str) -> Option<Value> {
    let pair = |part: &str| part.split_once('=').map(|(name, value)| (name.to_owned(), Value::from(value)));
    split(text).map(pair).collect::<Option<Map<_, _>>>().map(Value::Object)
}

fn is_within(key: &str, outer: &str) -> bool {
    key.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn put(table: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            if let Value::Object(inner) = table.entry(first).or_insert_with(|| json!({})) {
                put(inner, rest, value);
            }
        }
    }
}

fn take(table: &mut Map<String, Value>, path: &str) {
    match path.split_once('.') {
        None => {
            table.remove(path);
        }
        Some((first, rest)) => {
            if let Some(Value::Object(inner)) = table.get_mut(first) {
                take(inner, rest);
            }
        }
    }
}

fn array_at<'a>(table: &'a mut Map<String, Value>, path: &str) -> &'a mut Vec<Value> {
    let (parent, key) = match path.split_once('.') {
        Some((first, rest)) => (table_at(table, first), rest),
        None => (table, path),
    };
    let slot = parent.entry(key).or_insert_with(|| json!([]));
    if !slot.is_array() {
        *slot = json!([]);
    }
    #[expect(clippy::expect_used, reason = "made an array in the lines above")]
    slot.as_array_mut().expect("an array")
}

fn table_at<'a>(table: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = table.entry(key).or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    #[expect(clippy::expect_used, reason = "made a table in the lines above")]
    slot.as_object_mut().expect("a table")
}
