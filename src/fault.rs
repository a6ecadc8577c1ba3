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
    /// A fresh assertion may mend it: fetch one and ask once more in the same attempt, then as `Propagation`.
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
    /// An imperative clause, lower case, without a full stop; empty where there is nothing to do but wait.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number of contract A11, so that none is lost from the data file.
    const A11: &[u32] = &[
        28_000, 28_002, 28_003, 28_004, 29_003, 29_004, 29_100, 50_000, 50_001, 50_004, 50_012, 50_013, 50_027, 50_033,
        50_048, 50_049, 50_087, 50_166, 50_171, 50_196, 51_000, 53_000, 53_001, 53_003, 65_005, 70_001, 70_003, 70_011,
        70_021, 70_022, 70_023, 70_024, 70_025, 90_002, 90_006, 90_012, 90_014, 90_024, 90_030, 90_031, 90_032, 90_033,
        90_035, 90_038, 90_039, 90_041, 90_055, 90_058, 90_061, 90_090, 90_091, 90_092, 100_002, 100_007, 392_200,
        392_204, 500_011, 500_012, 500_014, 500_131, 500_132, 500_133, 500_180, 500_181, 500_200, 500_212, 500_213,
        500_341, 500_761, 501_661, 530_031, 530_032, 530_034, 530_035, 650_053, 650_056, 650_057, 700_011, 700_016,
        700_021, 700_022, 700_023, 700_024, 700_025, 700_027, 700_028, 700_029, 700_030, 700_031, 700_032, 700_211,
        700_212, 700_213, 700_214, 700_221, 700_222, 700_223, 700_226, 700_229, 700_231, 700_233, 700_234, 700_235,
        700_236, 700_237, 700_238, 900_023, 900_144, 900_382, 900_432, 900_439, 900_440, 900_610, 901_002, 1_000_610,
        1_000_611, 1_000_612, 1_000_613, 1_000_614, 1_002_012, 5_002_723, 5_002_727, 5_002_738, 7_000_112, 7_000_212,
        7_000_213, 7_000_214, 7_000_215, 7_000_216, 7_000_217, 7_000_218, 7_000_219, 7_000_221, 7_000_222, 7_000_226,
        7_000_229, 7_000_272, 7_000_274, 7_002_131, 7_002_137, 7_002_138, 7_002_241, 7_002_381, 9_002_313,
    ];

    #[test]
    fn every_line_of_the_table_parses() {
        let lines = include_str!("fault/aadsts.tsv").lines().filter(|line| !line.starts_with('#'));
        for line in lines {
            assert!(parse_line(line).is_some_and(|known| !known.meaning.is_empty()), "{line}");
            assert_eq!(line.split('\t').count(), 4, "{line}");
        }
    }

    #[test]
    fn the_table_has_each_number_once_and_in_order() {
        assert!(table().windows(2).all(|pair| pair[0].number < pair[1].number));
    }

    #[test]
    fn no_number_of_the_contract_is_missing() {
        let missing: Vec<_> = A11.iter().filter(|&&number| known(number).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert_eq!(table().len(), A11.len());
    }

    #[test]
    fn only_what_passes_by_itself_has_no_remedy() {
        let silent: Vec<_> =
            table().iter().filter(|known| known.remedy.is_empty() && known.class != Class::Transient).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }

    #[test]
    fn remedies_are_clauses_in_lower_case_without_a_full_stop() {
        for known in table().iter().filter(|known| !known.remedy.is_empty()) {
            assert!(known.remedy.starts_with(|c: char| c.is_ascii_lowercase()), "{}", known.number);
            assert!(!known.remedy.ends_with('.') && !known.meaning.ends_with('.'), "{}", known.number);
        }
    }

    #[test]
    fn an_unknown_number_of_the_federation_family_may_be_replication() {
        assert_eq!(classify(&[700_261], "invalid_client", 400), Class::Propagation);
        assert_eq!(classify(&[7_002_999], "invalid_client", 401), Class::Propagation);
        assert_eq!(classify(&[123_456], "invalid_client", 400), Class::Configuration);
    }

    #[test]
    fn an_unknown_number_with_a_5xx_passes() {
        assert_eq!(classify(&[123_456], "invalid_request", 503), Class::Transient);
        assert_eq!(classify(&[], "temporarily_unavailable", 400), Class::Transient);
        assert_eq!(classify(&[], "", 429), Class::Transient);
    }
}
