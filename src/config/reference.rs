//! `docs/configuration.md`, written from the schema.
//!
//! The words of each key come from the doc comments in `file`; only the frame stands here. Easy to get wrong: the page
//! in the repository is compared with this text by a test, so change the doc comments and bless, never the page.

use std::fmt::Write as _;

use super::schema::{Kind, Setting, settings, toml_text};

const HEAD: &str = include_str!("reference/head.md");

/// The tables of the file with the paragraph that introduces each.
const TABLES: [(&str, &str, &str); 9] = [
    ("listen.", "[listen]", "Where applications and operators reach the broker."),
    ("log.", "[log]", "What the broker writes to stderr."),
    (
        "identity[].assertion.",
        "identity.assertion",
        "What proves to Entra who we are: exactly one of `file`, `github` and `certificates`.",
    ),
    (
        "identity[].caller[].",
        "[[identity.caller]]",
        "Who may use the identity. Each rule has exactly one of these keys.",
    ),
    (
        "identity[].sink[].",
        "[[identity.sink]]",
        "Files to keep fresh for clients that only read files ([sinks.md](sinks.md)). Each has a `scope` or `assertion = true`.",
    ),
    ("identity[].", "[[identity]]", "One for each application registration whose tokens are handed out."),
    (
        "pkcs11.",
        "[pkcs11]",
        "PKCS#11 modules, for keys in tokens and HSMs. Each runs in a process of its own. A change needs a restart.",
    ),
    ("tpm.", "[tpm]", "The TPM, for keys in it: in builds with the feature `tpm`. A change needs a restart."),
    ("", "Above all tables", "Keys that belong to no table, and stand before the first one."),
];

/// The whole page.
#[must_use]
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    // The identity before its parts, although its prefix must be tried after theirs.
    for (prefix, title, intro) in [0, 5, 2, 3, 4, 6, 7, 1, 8].map(|n| TABLES[n]) {
        let title = if prefix.is_empty() { title.to_owned() } else { format!("`{title}`") };
        let _ = write!(
            out,
            "\n### {title}\n\n{intro}\n\n| key | type | default | variable | meaning | example |\n| --- | --- | --- | --- | --- | --- |\n"
        );
        for setting in settings().iter().filter(|setting| table_of(setting) == prefix) {
            row(setting, prefix, &mut out);
        }
    }
    out
}

fn table_of(setting: &Setting) -> &'static str {
    TABLES.iter().map(|(prefix, ..)| *prefix).find(|prefix| setting.path.starts_with(prefix)).unwrap_or_default()
}

fn row(setting: &Setting, prefix: &str, out: &mut String) {
    let key = setting.path.strip_prefix(prefix).unwrap_or(&setting.path);
    let kind = match setting.kind() {
        Kind::String => "string",
        Kind::Boolean => "boolean",
        Kind::Integer => "integer",
        Kind::Strings => "strings",
        Kind::Table | Kind::Tables | Kind::Map => "table",
    };
    let default = match setting.schema.get("default") {
        Some(value) => format!("`{}`", toml_text(value)),
        None if setting.schema["x-required"] == true => "required".to_owned(),
        None => "–".to_owned(),
    };
    let choices = setting.schema["enum"]
        .as_array()
        .map(|names| names.iter().map(|name| format!("`{}`", toml_text(name))).collect::<Vec<_>>().join(", "));
    let meaning = match choices {
        Some(choices) => format!("{} One of {choices}.", setting.description()),
        None => setting.description(),
    };
    let example = setting.example().map_or_else(String::new, |value| format!("`{}`", toml_text(value)));
    let _ = writeln!(out, "| `{key}` | {kind} | {default} | `{}` | {meaning} | {example} |", setting.variable());
}
