//! Medians with their spread, and a table of them.

use std::fmt;

/// The median of a row of measurements, and how far they lay apart.
#[derive(Clone, Copy)]
pub(crate) struct Median {
    pub(crate) value: f64,
    least: f64,
    most: f64,
}

impl Median {
    /// Of at least one measurement; nothing else is ever passed.
    pub(crate) fn of(measured: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = measured.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        Self { value: at(sorted.len() / 2), least: at(0), most: at(sorted.len().saturating_sub(1)) }
    }
}

impl fmt::Display for Median {
    /// `1.08 (1.05–1.13)`; the precision is the caller's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$}–{:.digits$})", self.value, self.least, self.most)
    }
}

/// `one / other`, of counts.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench stay far below 2^52")]
pub(crate) fn share(one: u64, other: u64) -> f64 {
    one as f64 / other as f64
}

/// Prints a row of a Markdown table.
#[expect(clippy::print_stdout, reason = "the figures are the bench's output")]
pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// Prints the head of a Markdown table: its first column is text, the others are numbers.
pub(crate) fn head(cells: &[&str]) {
    row(&cells.iter().map(ToString::to_string).collect::<Vec<_>>());
    row(&cells.iter().enumerate().map(|(at, _)| if at == 0 { "---" } else { "---:" }.to_owned()).collect::<Vec<_>>());
}

/// A line of text between tables.
#[expect(clippy::print_stdout, reason = "the figures are the bench's output")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// `bar: … holds` or `bar: … MISSED`: told, not asserted, since other work on the machine moves the figures.
pub(crate) fn bar(what: &str, holds: bool) {
    say(&format!("bar: {what}: {}", if holds { "holds" } else { "MISSED" }));
}
