//! Entra's faults: which number means what, whether to ask again, and what to tell the operator (contract A11).
//!
//! The table itself is data (`fault/aadsts.tsv`), one line per number. Not a parser of Entra's bodies (`entra::wire`
//! is). Easy to get wrong: programs branch on the class, never on the description's text, and an unknown number must
//! still land in a sensible class.

use std::sync::LazyLock;

/// How a fault is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An operator must change something; ask again after about a minute at the earliest.
    Configuration,
    /// May be replication inside Entra: ask again with backoff for about ten minutes, then as `Configuration`.
    Propagation,
    /// A fresh assertion may mend it: fetch one and ask once more, then as `Propagation`.
    Fresh,
    /// Passes by itself: backoff, `Retry-After`.
    Transient,
    /// An administrator's policy decided.
    Policy,
    /// The caller's request is wrong: pass it through.
    Client,
}

impl Class {
    /// The name as logs, metrics and the data file spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Propagation => "propagation",
            Self::Fresh => "fresh",
            Self::Transient => "transient",
            Self::Policy => "policy",
            Self::Client => "client",
        }
    }

    /// True when the same request may succeed later without anybody changing anything: a 503 downstream.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Propagation | Self::Fresh | Self::Transient)
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Configuration, Self::Propagation, Self::Fresh, Self::Transient, Self::Policy, Self::Client]
            .into_iter()
            .find(|class| class.as_str() == text)
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The number after `AADSTS`.
    pub number: u32,
    /// What to do about it.
    pub class: Class,
    /// In plain words, one clause, lower case.
    pub meaning: &'static str,
    /// An imperative sentence without a full stop; empty where there is nothing to do but wait.
    pub remedy: &'static str,
}

static TABLE: LazyLock<Vec<Known>> = LazyLock::new(|| {
    include_str!("fault/aadsts.tsv").lines().filter(|line| !line.starts_with('#')).filter_map(parse_line).collect()
});

fn parse_line(line: &'static str) -> Option<Known> {
    let mut fields = line.split('\t');
    let number = fields.next()?.parse().ok()?;
    let class = Class::parse(fields.next()?)?;
    let (meaning, remedy) = (fields.next()?, fields.next()?);
    Some(Known { number, class, meaning, remedy })
}

/// The table, for the verbs and tests that show all of it.
#[must_use]
pub fn table() -> &'static [Known] {
    &TABLE
}

/// What is known about a number.
#[must_use]
pub fn known(number: u32) -> Option<&'static Known> {
    TABLE.iter().find(|known| known.number == number)
}

/// The class of an answer with these numbers, this `error` and this HTTP status. Unknown numbers of the 7002xx family
/// are taken for propagation (contract D13); what is left is judged by `error` and status.
#[must_use]
pub fn classify(numbers: &[u32], error: &str, status: u16) -> Class {
    if let Some(known) = numbers.iter().find_map(|&number| known(number)) {
        return known.class;
    }
    if status == 429 || status >= 500 || matches!(error, "temporarily_unavailable" | "server_error") {
        return Class::Transient;
    }
    if numbers.iter().any(|number| matches!(number, 700_200..=700_299 | 7_002_000..=7_002_999)) {
        return Class::Propagation;
    }
    match error {
        "invalid_scope" | "unsupported_grant_type" => Class::Client,
        "access_denied" | "interaction_required" => Class::Policy,
        _ => Class::Configuration,
    }
}
