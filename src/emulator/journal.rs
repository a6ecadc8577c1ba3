//! What was asked and what was answered, one entry per token request.
//!
//! Not a log: tests and the demo read it as the truth about what Entra saw. Easy to get wrong: a credential must never
//! get in, so entries hold facts about credentials and names of headers, and a text from the request is cut short.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Old entries fall out; a load test must not eat the machine.
const KEPT: usize = 10_000;

/// Longest text taken over from a request.
const LONGEST: usize = 300;

/// One token request and its verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JournalEntry {
    /// Seconds since 1970.
    pub time: u64,
    /// The tenant segment of the path.
    pub tenant: String,
    /// `v1` or `v2`.
    pub endpoint: &'static str,
    pub client_id: Option<String>,
    pub grant: Option<String>,
    /// `client_secret`, `client_assertion` or `none`.
    pub credential: &'static str,
    /// `federated` or `certificate`, for an assertion that could be read.
    pub assertion: Option<&'static str>,
    /// The header's `alg`, and what the assertion says about its issuer and subject.
    pub algorithm: Option<String>,
    pub issuer: Option<String>,
    pub subject: Option<String>,
    /// The assertion's `exp`, in seconds since 1970: tells one platform token from the next.
    pub expires: Option<u64>,
    /// The scope (v2) or resource (v1) as asked.
    pub scope: Option<String>,
    pub verdict: Verdict,
    /// Names of the request's headers, lower-case, in order; no values.
    pub headers: Vec<String>,
    pub correlation_id: String,
}

/// How a token request ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// An access token was issued.
    Token,
    /// A rule refused.
    Refused { number: u32, rule: &'static str },
    /// A fault was played instead of an answer.
    Fault(&'static str),
    /// No answer yet.
    #[default]
    Open,
}

impl JournalEntry {
    /// The AADSTS number, when refused.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        match self.verdict {
            Verdict::Refused { number, .. } => Some(number),
            _ => None,
        }
    }

    /// True when a token was issued.
    #[must_use]
    pub fn is_token(&self) -> bool {
        self.verdict == Verdict::Token
    }
}

/// The entries, oldest first.
#[derive(Default)]
pub(super) struct Journal(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    list: VecDeque<JournalEntry>,
    /// How many have fallen out; keeps the places of the others.
    gone: usize,
}

impl Journal {
    /// Writes a request down as it arrives, so that a test can see one that is held; the place is for [`Journal::settle`].
    pub(super) fn open(&self, entry: JournalEntry) -> usize {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.list.len() == KEPT {
            entries.list.pop_front();
            entries.gone += 1;
        }
        entries.list.push_back(entry);
        entries.gone + entries.list.len() - 1
    }

    /// Puts the whole entry in the place of the open one, unless that has fallen out.
    pub(super) fn settle(&self, place: usize, entry: JournalEntry) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = place.checked_sub(entries.gone).and_then(|index| entries.list.get_mut(index));
        if let Some(open) = open {
            *open = entry;
        }
    }

    pub(super) fn entries(&self) -> Vec<JournalEntry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).list.iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.gone += entries.list.len();
        entries.list.clear();
    }
}

/// The text, cut after 300 characters.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_seen_before_it_is_answered_and_settled_in_its_place() {
        let journal = Journal::default();
        journal.open(JournalEntry::default());
        journal.clear();
        let place = journal.open(JournalEntry::default());
        assert_eq!(journal.entries()[0].verdict, Verdict::Open);
        journal.settle(place, JournalEntry { verdict: Verdict::Token, ..JournalEntry::default() });
        assert!(journal.entries()[0].is_token());
        journal.clear();
        journal.settle(place, JournalEntry::default());
        assert!(journal.entries().is_empty());
    }
}
