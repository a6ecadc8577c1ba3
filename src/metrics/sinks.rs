//! What became of the files that are kept fresh.
//!
//! A file is a label because the configuration names it. Easy to get wrong: a sink that was withdrawn must leave no end
//! behind, or an alert on it would never stop.

use std::path::Path;

use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGaugeVec};

use super::family::{self, signed};
use crate::observe::Event;

#[derive(Debug)]
pub(super) struct Sinks {
    writes: IntCounterVec,
    reloads: IntCounterVec,
    expiry: IntGaugeVec,
}

impl Sinks {
    pub(super) fn new() -> Self {
        Self {
            writes: family::counters("unsecret_sink_writes_total"),
            reloads: family::counters("unsecret_sink_reloads_total"),
            expiry: family::gauges("unsecret_sink_expiry_timestamp_seconds"),
        }
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 3] {
        [Box::new(self.writes.clone()), Box::new(self.reloads.clone()), Box::new(self.expiry.clone())]
    }

    /// Whatever is not about sinks is left alone.
    pub(super) fn on(&self, event: &Event<'_>) {
        let named = |file: &Path| file.display().to_string();
        match *event {
            Event::SinkWritten { identity, file, expires, .. } => {
                let file = named(file);
                self.writes.with_label_values(&[identity.as_str(), &file, "success"]).inc();
                if let Some(expires) = expires {
                    self.expiry.with_label_values(&[identity.as_str(), &file]).set(signed(expires));
                }
            }
            Event::SinkFailed { identity, file, code, .. } => {
                let file = named(file);
                // As with exchanges: what appears with 1 never rose.
                self.writes.with_label_values(&[identity.as_str(), &file, "success"]).inc_by(0);
                self.writes.with_label_values(&[identity.as_str(), &file, code]).inc();
            }
            Event::SinkReloaded { identity, file, code, .. } => {
                let outcome = code.unwrap_or("success");
                let file = named(file);
                self.reloads.with_label_values(&[identity.as_str(), &file, "success"]).inc_by(0);
                self.reloads.with_label_values(&[identity.as_str(), &file, outcome]).inc();
            }
            Event::SinkWithdrawn { identity, file } => {
                // It has none if nothing was ever written.
                let _ = self.expiry.remove_label_values(&[identity.as_str(), &named(file)]);
            }
            _ => {}
        }
    }
}
