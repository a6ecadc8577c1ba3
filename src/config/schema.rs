//! The JSON Schema of the file, and the flat list of its settings.
//!
//! Both come from the doc comments in `file`; the walk over a file, the variables and the reference page all follow
//! this list, so that a new key is known to them without being named again. Easy to get wrong: TOML has no null, so the
//! `null` that an optional field brings into a schema is taken out.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::file::File;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    without_null(&mut schema);
    schema["title"] = json!("unsecret configuration");
    schema
});

static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let mut settings = Vec::new();
    collect(&SCHEMA, "", &mut settings);
    settings
});

/// The JSON Schema (draft 2020-12) of the configuration file.
#[must_use]
pub fn schema() -> &'static Value {
    &SCHEMA
}

/// Every setting, in the order of the schema.
pub(super) fn settings() -> &'static [Setting] {
    &SETTINGS
}

/// The setting that a path such as `identity[0].scopes[2]` belongs to.
pub(super) fn setting(path: &str) -> Option<&'static Setting> {
    let pattern = pattern(path);
    SETTINGS.iter().find(|setting| setting.path == pattern || format!("{}[]", setting.path) == pattern)
}

/// `identity[0].scopes` → `identity[].scopes`.
fn pattern(path: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => continue,
            _ => {}
        }
        out.push(c);
    }
    out
}

/// One key that holds a value of its own (tables are not settings, but for those that may be empty).
#[derive(Debug)]
pub(super) struct Setting {
    /// `identity[].caller[].key_file`.
    pub(super) path: String,
    /// Its part of the schema.
    pub(super) schema: &'static Value,
}

/// What all settings of an identity begin with.
pub(super) const IDENTITY: &str = "identity[].";

impl Setting {
    /// The variable that overrides it; of an identity's setting, the one for the only identity.
    pub(super) fn variable(&self) -> String {
        format!("UNSECRET_{}", self.suffix())
    }

    /// The variable for one identity among several; `None` for what belongs to no identity.
    pub(super) fn named_variable(&self, identity: &str) -> Option<String> {
        self.path.starts_with(IDENTITY).then(|| format!("UNSECRET_IDENTITY_{}_{}", folded(identity), self.suffix()))
    }

    /// What stands behind the prefix: `CALLER_KEY_FILE`.
    pub(super) fn suffix(&self) -> String {
        folded(&self.path.strip_prefix(IDENTITY).unwrap_or(&self.path).replace("[]", ""))
    }

    pub(super) fn description(&self) -> String {
        self.schema["description"].as_str().unwrap_or_default().replace('\n', " ")
    }

    pub(super) fn example(&self) -> Option<&'static Value> {
        self.schema["examples"].get(0)
    }

    pub(super) fn kind(&self) -> Kind {
        Kind::of(self.schema)
    }

    /// A value as its variable carries it: commas part the values of a list and, for an array of tables, the tables.
    pub(super) fn as_variable(&self, value: &Value) -> String {
        let within_tables = self.path.strip_prefix(IDENTITY).unwrap_or(&self.path).contains("[].");
        plain_text(value, if within_tables { " " } else { "," })
    }
}

fn plain_text(value: &Value, between: &str) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(|item| plain_text(item, between)).collect::<Vec<_>>().join(between),
        Value::Object(map) if map.is_empty() => "true".to_owned(),
        Value::Object(map) => {
            let pair = |(name, value): (&String, &Value)| format!("{name}={}", plain_text(value, " "));
            map.iter().map(pair).collect::<Vec<_>>().join(between)
        }
        other => other.to_string(),
    }
}

/// As a variable's name spells it: upper case, everything but letters and digits an underscore.
fn folded(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// The type of a value, as far as a TOML file and a variable can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    Boolean,
    Integer,
    Strings,
    Table,
    Tables,
    /// A table with any names, and texts for values.
    Map,
}

impl Kind {
    pub(super) fn of(schema: &Value) -> Self {
        match schema["type"].as_str() {
            Some("boolean") => Self::Boolean,
            Some("integer") => Self::Integer,
            Some("object") if schema["additionalProperties"].is_object() => Self::Map,
            Some("object") => Self::Table,
            Some("array") if schema["items"]["type"] == "object" => Self::Tables,
            Some("array") => Self::Strings,
            _ => Self::String,
        }
    }

    /// As a sentence says it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Strings => "an array of strings",
            Self::Table => "a table",
            Self::Tables => "an array of tables",
            Self::Map => "a table of strings",
        }
    }
}

fn collect(table: &'static Value, prefix: &str, into: &mut Vec<Setting>) {
    let Some(properties) = table["properties"].as_object() else { return };
    for (key, schema) in properties {
        let path = format!("{prefix}{key}");
        match Kind::of(schema) {
            Kind::Table => {
                // `github = {}` says something by being there.
                if schema["examples"][0] == json!({}) {
                    into.push(Setting { path: path.clone(), schema });
                }
                collect(schema, &format!("{path}."), into);
            }
            Kind::Tables => collect(&schema["items"], &format!("{path}[]."), into),
            _ => into.push(Setting { path, schema }),
        }
    }
}

fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(values)) = map.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            unwrap_choice(map);
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// `anyOf: [T, null]` → `T`, keeping what the field says of itself.
fn unwrap_choice(map: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = map.get_mut("anyOf") else { return };
    choices.retain(|choice| choice["type"] != "null");
    let [Value::Object(only)] = choices.as_slice() else { return };
    let only = only.clone();
    map.remove("anyOf");
    for (key, value) in only {
        map.entry(key).or_insert(value);
    }
}

/// A JSON value as TOML writes it.
pub(super) fn toml_text(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let pairs: Vec<_> = map.iter().map(|(key, value)| format!("{key} = {}", toml_text(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        // JSON's escapes are a subset of TOML's.
        other => other.to_string(),
    }
}
