//! What the webhook counts. Its process is no broker, so it has a registry of its own, with nothing of slots and doors in it.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec, Registry, TextEncoder};

use super::family::{self, signed};
use super::{Build, process};
use crate::clock::Clock;

/// From memory an answer takes microseconds; the API server waits five seconds.
const REVIEWS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5];

/// Counts reviews, and tells of the webhook's certificate.
#[derive(Debug)]
pub struct Injections {
    started: u64,
    registry: Registry,
    reviews: IntCounterVec,
    times: HistogramVec,
    end: IntGaugeVec,
    in_sync: IntGaugeVec,
}

impl Injections {
    #[must_use]
    #[expect(clippy::expect_used, reason = "the names of TABLE differ, which a test checks")]
    pub fn new(build: Build, clock: &Arc<dyn Clock>) -> Self {
        let injections = Self {
            started: clock.now().epoch(),
            registry: Registry::new(),
            reviews: family::counters("unsecret_injector_admission_requests_total"),
            times: family::histograms("unsecret_injector_admission_duration_seconds", &REVIEWS),
            end: family::gauges("unsecret_injector_serving_cert_not_after_timestamp_seconds"),
            in_sync: family::gauges("unsecret_injector_ca_bundle_in_sync"),
        };
        let info = family::gauges("unsecret_build_info");
        info.with_label_values(&[build.version, build.revision, build.features]).set(1);
        let collectors: [Box<dyn Collector>; 5] = [
            Box::new(info),
            Box::new(injections.reviews.clone()),
            Box::new(injections.times.clone()),
            Box::new(injections.end.clone()),
            Box::new(injections.in_sync.clone()),
        ];
        for collector in collectors {
            injections.registry.register(collector).expect("a family that is not registered yet");
        }
        injections
    }

    /// One review, answered or not.
    pub fn reviewed(&self, result: &'static str, reason: &'static str, took: Duration) {
        self.reviews.with_label_values(&[result, reason]).inc();
        self.times.with_label_values::<&str>(&[]).observe(took.as_secs_f64());
    }

    /// The certificate that is shown ends then, in seconds since 1970.
    pub fn serving_until(&self, not_after: u64) {
        self.end.with_label_values::<&str>(&[]).set(signed(not_after));
    }

    /// Whether the API server trusts just what we have it trust.
    pub fn in_sync(&self, yes: bool) {
        self.in_sync.with_label_values::<&str>(&[]).set(i64::from(yes));
    }

    /// Everything, in the Prometheus text format.
    #[must_use]
    pub fn scrape(&self) -> String {
        let mut families = self.registry.gather();
        families.extend(process::families(self.started));
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        // It fails only on a family without name or metrics, and on a writer that fails: none is here.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}
