//! The data files, read once: what is known about numbers, codes and signs beyond their meaning and remedy.
//!
//! Meaning and remedy of Entra's numbers stand in `fault/aadsts.tsv`, those of our own codes in `docs/errors.md`: here
//! is only what explains them further. Easy to get wrong: the files are part of the program, so that a mistake in one
//! is a defect, which the tests below find.

use std::sync::LazyLock;

use serde::Deserialize;

use super::layer::Layer;
use super::retry::Retry;
use crate::fault::Class;

/// What is said of a group of numbers, codes, or of one sign.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Entry {
    /// Entra's numbers that share this.
    #[serde(default)]
    pub(super) numbers: Vec<u32>,
    /// Our own codes that share this; `*` at the end stands for any rest.
    #[serde(default)]
    pub(super) codes: Vec<String>,
    /// Unknown numbers of this class share this.
    class: Option<String>,
    /// And only with this `error` word beside the number.
    error: Option<String>,
    /// Of a sign: what it is called.
    #[serde(default)]
    pub(super) name: String,
    /// Of a sign: in one of these groups every text stands in what was pasted, letter case aside.
    #[serde(default)]
    pub(super) any: Vec<Vec<String>>,
    /// Of a sign: or one of these HTTP statuses, where nothing else is recognised.
    #[serde(default)]
    pub(super) statuses: Vec<u16>,
    /// Of a sign.
    #[serde(default)]
    pub(super) meaning: String,
    /// Of a sign.
    #[serde(default)]
    pub(super) remedy: String,
    /// Left out where something says more.
    #[serde(default)]
    pub(super) vague: bool,
    pub(super) layer: Layer,
    /// The last layer that is known to be in order, where that is not what the layer itself proves.
    pub(super) passed: Option<Layer>,
    pub(super) causes: Vec<String>,
    pub(super) checks: Vec<String>,
    pub(super) retry: Option<Retry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    entry: Vec<Entry>,
}

/// One row of `docs/errors.md`.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) code: &'static str,
    pub(super) meaning: String,
    pub(super) remedy: String,
}

static NUMBERS: LazyLock<Vec<Entry>> = LazyLock::new(|| parsed(include_str!("numbers.toml")));
static CODES: LazyLock<Vec<Entry>> = LazyLock::new(|| parsed(include_str!("codes.toml")));
static SIGNS: LazyLock<Vec<Entry>> = LazyLock::new(|| parsed(include_str!("signs.toml")));
static ROWS: LazyLock<Vec<Row>> =
    LazyLock::new(|| include_str!("../../docs/errors.md").lines().filter_map(row).collect());

#[expect(clippy::expect_used, reason = "the files are part of the program, and a test reads each")]
fn parsed(text: &str) -> Vec<Entry> {
    toml::from_str::<File>(text).expect("a data file of this room").entry
}

/// `| `code` | what it means | what to do |`, without its backquotes.
fn row(line: &'static str) -> Option<Row> {
    let mut cells = line.strip_prefix("| `")?.split(" | ");
    let code = cells.next()?.trim_end_matches('`');
    let plain = |cell: &str| cell.trim_end_matches('|').trim().to_owned();
    Some(Row { code, meaning: plain(cells.next()?), remedy: plain(cells.next()?) })
}

/// All of them, those of unknown numbers included.
#[cfg(test)]
pub(super) fn numbers() -> &'static [Entry] {
    &NUMBERS
}

/// All that is said of our own codes.
#[cfg(test)]
pub(super) fn codes() -> &'static [Entry] {
    &CODES
}

/// What is known of a number.
pub(super) fn of_number(number: u32) -> Option<&'static Entry> {
    NUMBERS.iter().find(|entry| entry.numbers.contains(&number))
}

/// What is known of an unknown number of this class that came with this `error` word.
pub(super) fn of_class(class: Class, error: &str) -> &'static Entry {
    let fits = |entry: &&Entry| {
        entry.class.as_deref() == Some(class.as_str()) && entry.error.as_deref().is_none_or(|word| word == error)
    };
    // Every class has its entry, as a test shows; a number from nowhere would be told as the last.
    NUMBERS.iter().find(fits).unwrap_or(&NUMBERS[NUMBERS.len() - 1])
}

/// The codes that the program can emit.
pub(super) fn rows() -> &'static [Row] {
    &ROWS
}

/// What is known of a code of ours: by its name, else by a pattern.
pub(super) fn of_code(code: &str) -> Option<&'static Entry> {
    let fits = |pattern: &str| pattern.strip_suffix('*').is_some_and(|start| code.starts_with(start));
    let named = CODES.iter().find(|entry| entry.codes.iter().any(|known| known == code));
    named.or_else(|| CODES.iter().find(|entry| entry.codes.iter().any(|known| fits(known))))
}

/// What is recognised in text, the most telling first.
pub(super) fn signs() -> &'static [Entry] {
    &SIGNS
}
