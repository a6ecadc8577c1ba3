//! How the asks for tokens were answered, counted without a lock.
//!
//! Slots count for themselves and fold into their identity's totals when let go. Not events: there may be a hundred
//! thousand a second. Easy to get wrong: a total that goes back looks like a restart to whoever reads it.

use std::sync::atomic::{AtomicU64, Ordering};

/// How one ask was answered; the metric label `result` of `unsecret_cache_requests_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// From the held token, before its refresh time.
    Hit,
    /// From the held token, past its refresh time.
    StaleHit,
    /// There was nothing to answer with: this ask started a flight, or was refused while cooling.
    Miss,
    /// Waited for a flight that another ask had started.
    Coalesced,
}

impl Tally {
    /// All of them, in the order of their index.
    pub const ALL: [Self; 4] = [Self::Hit, Self::StaleHit, Self::Miss, Self::Coalesced];

    /// The metric label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::StaleHit => "stale_hit",
            Self::Miss => "miss",
            Self::Coalesced => "coalesced",
        }
    }
}

/// One counter for each [`Tally`].
#[derive(Debug, Default)]
pub(super) struct Counts([AtomicU64; Tally::ALL.len()]);

impl Counts {
    pub(super) fn add(&self, tally: Tally) {
        self.0[tally as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> [u64; Tally::ALL.len()] {
        std::array::from_fn(|index| self.0[index].load(Ordering::Relaxed))
    }
}

/// Adds one reading to another.
pub(super) fn fold(into: &mut [u64; Tally::ALL.len()], counts: [u64; Tally::ALL.len()]) {
    for (sum, more) in into.iter_mut().zip(counts) {
        *sum = sum.saturating_add(more);
    }
}
