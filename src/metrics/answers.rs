//! Answers to callers, counted on the hot path: fixed atomics, no lock, no lookup by text.
//!
//! Easy to get wrong: a status that is not in the list must still be counted, under `other`, since a label that strangers
//! can choose must not grow.

#![deny(clippy::disallowed_types)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramVec};

use super::family;
use crate::ids::Door;

/// Every status that the doors answer with (contract B17), and what stands for any other.
const STATUSES: [u16; 15] = [200, 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 429, 431, 500, 503];
const OTHER: &str = "other";
const DIALECTS: usize = Door::ALL.len() + 1;

/// The front's counters: one for each dialect and status, and how long answers took that had to wait.
#[derive(Debug)]
pub struct Answers {
    counts: [[AtomicU64; STATUSES.len() + 1]; DIALECTS],
    /// Taken out of `family` once: finding a child of a vector takes a lock.
    waited: [Histogram; DIALECTS],
    family: HistogramVec,
}

impl Answers {
    pub(super) fn new() -> Self {
        let family = family::histograms("unsecret_http_request_duration_seconds", &WAITS);
        let waited = std::array::from_fn(|dialect| family.with_label_values(&[label(dialect)]));
        Self { counts: Default::default(), waited, family }
    }

    /// Counts one answer; `None` is a request that no door wanted.
    pub fn count(&self, dialect: Option<Door>, status: u16) {
        let column = STATUSES.iter().position(|&known| known == status).unwrap_or(STATUSES.len());
        self.counts[index(dialect)][column].fetch_add(1, Ordering::Relaxed);
    }

    /// How long an answer took that was not given from a held token at once.
    pub fn waited(&self, dialect: Option<Door>, took: Duration) {
        self.waited[index(dialect)].observe(took.as_secs_f64());
    }

    /// Whether any answer had to wait: somebody who may asked for what was not held.
    pub(super) fn has_waited(&self) -> bool {
        self.waited.iter().any(|times| times.get_sample_count() > 0)
    }

    /// The counters that have counted anything: dialect, code, count.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&'static str, String, u64)> + '_ {
        self.counts.iter().enumerate().flat_map(|(dialect, row)| {
            let codes = STATUSES.iter().map(ToString::to_string).chain([OTHER.to_owned()]);
            row.iter().zip(codes).filter_map(move |(count, code)| {
                let count = count.load(Ordering::Relaxed);
                (count > 0).then(|| (label(dialect), code, count))
            })
        })
    }

    pub(super) fn collector(&self) -> impl Collector + use<> {
        self.family.clone()
    }
}

const WAITS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

fn index(dialect: Option<Door>) -> usize {
    dialect.map_or(Door::ALL.len(), |door| door as usize)
}

fn label(dialect: usize) -> &'static str {
    Door::ALL.get(dialect).map_or(OTHER, |door| door.as_str())
}
