//! What the broker's slots and counters look like as metrics, made anew at every scrape: a slot that is gone leaves no
//! series behind.
//!
//! Easy to get wrong: a resource is a label only where the configuration names it, since callers can make up others.

use std::collections::BTreeMap;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;

use super::family::{self, signed};
use crate::broker::{IdentityStatus, SlotStatus, Status, Tally};

/// Resources of one identity that get a series of their own; the rest share `other`.
const MOST_RESOURCES: usize = 50;
const OTHER: &str = "other";

/// What one series says; of several slots under one label the worst.
#[derive(Default)]
struct Shown {
    expires: Option<u64>,
    received: Option<u64>,
    next_refresh: Option<u64>,
    failures: u32,
}

pub(super) fn families(status: &Status) -> Vec<MetricFamily> {
    let expiry = family::gauges("unsecret_token_expiry_timestamp_seconds");
    let issued = family::gauges("unsecret_token_issued_timestamp_seconds");
    let refresh = family::gauges("unsecret_token_next_refresh_timestamp_seconds");
    let failures = family::gauges("unsecret_token_consecutive_failures");
    let asks = family::counters("unsecret_cache_requests_total");
    let entries = family::gauges("unsecret_cache_entries");
    let slots: usize = status.identities.iter().map(|identity| identity.slots.len()).sum();
    entries.with_label_values::<&str>(&[]).set(i64::try_from(slots).unwrap_or(i64::MAX));
    for identity in &status.identities {
        let name = identity.name.as_str();
        for (tally, count) in Tally::ALL.iter().zip(identity.answered) {
            asks.with_label_values(&[name, tally.as_str()]).inc_by(count);
        }
        for (resource, shown) in shown(identity) {
            let labels = [name, resource];
            let times = [(&expiry, shown.expires), (&issued, shown.received), (&refresh, shown.next_refresh)];
            for (gauge, time) in times {
                if let Some(time) = time {
                    gauge.with_label_values(&labels).set(signed(time));
                }
            }
            failures.with_label_values(&labels).set(i64::from(shown.failures));
        }
    }
    let mut families = asks.collect();
    for gauge in [expiry, issued, refresh, failures, entries] {
        families.extend(gauge.collect());
    }
    families
}

/// By label. Only what the configuration names may be one: strangers must not grow the number of series.
fn shown(identity: &IdentityStatus) -> BTreeMap<&str, Shown> {
    let mut series: BTreeMap<&str, Shown> = BTreeMap::new();
    for slot in &identity.slots {
        // The slot for clients that understand challenges shares the series of its resource.
        let known = series.contains_key(slot.resource.as_str());
        let own = slot.listed && (known || series.len() < MOST_RESOURCES);
        let label = if own { slot.resource.as_str() } else { OTHER };
        series.entry(label).or_default().add(slot);
    }
    series
}

impl Shown {
    fn add(&mut self, slot: &SlotStatus) {
        let earlier = |known: Option<u64>, new: u64| Some(known.map_or(new, |known| known.min(new)));
        if let Some(held) = slot.held {
            self.expires = earlier(self.expires, held.expires);
            self.received = earlier(self.received, held.received);
            self.next_refresh = slot.next_try.map_or(self.next_refresh, |next| earlier(self.next_refresh, next));
        }
        self.failures = self.failures.max(slot.trouble.as_ref().map_or(0, |trouble| trouble.consecutive));
    }
}
