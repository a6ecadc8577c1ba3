//! Prometheus: counts events, reads the broker's slots and the front's counters when scraped.
//!
//! The only module that knows the `prometheus` crate. Not a log and not a history: label values are bounded, and no
//! error text, no tenant and no correlation id is among them. Easy to get wrong: a value that is kept between scrapes
//! outlives the thing it tells of, so whatever can be read at scrape time is read then.

mod answers;
mod family;
mod injector;
mod process;
mod sinks;
mod slots;
mod sources;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, HistogramVec, IntCounterVec, IntGaugeVec, Registry, TextEncoder};

use self::family::signed;
use self::sinks::Sinks;
use self::sources::Sources;
use crate::broker::Status;
use crate::clock::Clock;
use crate::fault;
use crate::observe::{Event, Observer};

pub use self::answers::Answers;
pub use self::family::{Family, TABLE};
pub use self::injector::Injections;

/// The content type of the text format that [`Metrics::scrape`] writes.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

const EXCHANGES: [f64; 13] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0];
/// RSA in a TPM takes 0.1 to 0.5 s, in software a millisecond.
const ASSERTIONS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// What is running; the labels of `unsecret_build_info`.
#[derive(Clone, Copy, Debug)]
pub struct Build {
    pub version: &'static str,
    pub revision: &'static str,
    pub features: &'static str,
}

/// Counts events, and tells everything when scraped.
#[derive(Debug)]
pub struct Metrics {
    clock: Arc<dyn Clock>,
    started: u64,
    registry: Registry,
    answers: Arc<Answers>,
    /// A first use was told.
    used: AtomicBool,
    rejected: IntCounterVec,
    exchanges: IntCounterVec,
    exchange_times: HistogramVec,
    retry_after: IntGaugeVec,
    skew: GaugeVec,
    assertions: IntCounterVec,
    assertion_times: HistogramVec,
    passed: IntCounterVec,
    signatures: IntCounterVec,
    resets: IntCounterVec,
    forced: IntCounterVec,
    https_end: IntGaugeVec,
    relays: IntCounterVec,
    reload_ok: IntGaugeVec,
    reloaded: IntGaugeVec,
    sources: Sources,
    sinks: Sinks,
}

impl Metrics {
    /// Starts counting. Having come this far, the configuration was read with success.
    #[must_use]
    pub fn new(build: Build, clock: Arc<dyn Clock>) -> Self {
        let started = clock.now().epoch();
        let metrics = Self {
            clock,
            started,
            registry: Registry::new(),
            answers: Arc::new(Answers::new()),
            used: AtomicBool::new(false),
            rejected: family::counters("unsecret_requests_rejected_total"),
            exchanges: family::counters("unsecret_token_requests_total"),
            exchange_times: family::histograms("unsecret_token_request_duration_seconds", &EXCHANGES),
            retry_after: family::gauges("unsecret_upstream_retry_after_timestamp_seconds"),
            skew: family::float_gauges("unsecret_clock_skew_seconds"),
            assertions: family::counters("unsecret_assertions_total"),
            assertion_times: family::histograms("unsecret_assertion_duration_seconds", &ASSERTIONS),
            passed: family::counters("unsecret_passed_through_total"),
            signatures: family::counters("unsecret_signer_operations_total"),
            resets: family::counters("unsecret_signer_session_resets_total"),
            forced: family::counters("unsecret_forced_refreshes_total"),
            https_end: family::gauges("unsecret_https_certificate_not_after_timestamp_seconds"),
            relays: family::counters("unsecret_relays_total"),
            reload_ok: family::gauges("unsecret_config_last_reload_successful"),
            reloaded: family::gauges("unsecret_config_last_reload_success_timestamp_seconds"),
            sources: Sources::default(),
            sinks: Sinks::new(),
        };
        metrics.register(build);
        metrics.reload(true, started);
        metrics
    }

    #[expect(clippy::expect_used, reason = "the names of TABLE differ, which a test checks")]
    fn register(&self, build: Build) {
        let info = family::gauges("unsecret_build_info");
        info.with_label_values(&[build.version, build.revision, build.features]).set(1);
        let collectors: Vec<Box<dyn Collector>> = vec![
            Box::new(info),
            Box::new(self.answers.collector()),
            Box::new(self.rejected.clone()),
            Box::new(self.exchanges.clone()),
            Box::new(self.exchange_times.clone()),
            Box::new(self.retry_after.clone()),
            Box::new(self.skew.clone()),
            Box::new(self.assertions.clone()),
            Box::new(self.assertion_times.clone()),
            Box::new(self.passed.clone()),
            Box::new(self.signatures.clone()),
            Box::new(self.resets.clone()),
            Box::new(self.forced.clone()),
            Box::new(self.https_end.clone()),
            Box::new(self.relays.clone()),
            Box::new(self.reload_ok.clone()),
            Box::new(self.reloaded.clone()),
        ];
        for collector in collectors.into_iter().chain(self.sinks.collectors()) {
            self.registry.register(collector).expect("a family that is not registered yet");
        }
    }

    /// The front's counters.
    #[must_use]
    pub fn answers(&self) -> Arc<Answers> {
        Arc::clone(&self.answers)
    }

    /// Everything, in the Prometheus text format. `ready` is what `/readyz` would say.
    #[must_use]
    pub fn scrape(&self, status: &Status, ready: bool) -> String {
        let mut families = self.registry.gather();
        families.extend(slots::families(status));
        families.extend(self.sources.families(status));
        families.extend(process::families(self.started));
        families.extend(self.requests());
        for (name, yes) in [("unsecret_ready", ready), ("unsecret_asked", self.asked())] {
            let gauge = family::gauges(name);
            gauge.with_label_values::<&str>(&[]).set(i64::from(yes));
            families.extend(gauge.collect());
        }
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|one, other| one.name().cmp(other.name()));
        // It fails only on a family without name or metrics, and on a writer that fails: none is here.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }

    fn requests(&self) -> Vec<MetricFamily> {
        let requests = family::counters("unsecret_http_requests_total");
        for (dialect, code, count) in self.answers.counted() {
            requests.with_label_values(&[dialect, code.as_str()]).inc_by(count);
        }
        requests.collect()
    }

    /// Every ask either was a first use of what was held, or waited. Documents, and what policy refused, were neither:
    /// an application that keeps its secret may well send those.
    fn asked(&self) -> bool {
        self.used.load(Ordering::Relaxed) || self.answers.has_waited()
    }

    fn reload(&self, ok: bool, at: u64) {
        self.reload_ok.with_label_values::<&str>(&[]).set(i64::from(ok));
        if ok {
            self.reloaded.with_label_values::<&str>(&[]).set(signed(at));
        }
    }
}

impl Observer for Metrics {
    fn on(&self, event: &Event<'_>) {
        match *event {
            Event::Exchanged { identity, authority, outcome, aadsts, took, skew, retry_after } => {
                let labels = [identity.as_str(), outcome.as_str()];
                // A counter that appears with 1 never rose, as Prometheus sees it: the first success has to end an alert.
                self.exchanges.with_label_values(&[labels[0], "success", "none"]).inc_by(0);
                self.exchanges.with_label_values(&[labels[0], labels[1], &number(aadsts)]).inc();
                self.exchange_times.with_label_values(&labels).observe(took.as_secs_f64());
                if let Some(skew) = skew {
                    self.skew.with_label_values(&[authority]).set(skew);
                }
                if let Some(wait) = retry_after {
                    let until = self.clock.now().wall.saturating_add(wait).as_secs();
                    self.retry_after.with_label_values(&[authority]).set(signed(until));
                }
            }
            Event::Asserted { identity, source, outcome, took, expires, source_expires } => {
                self.assertions.with_label_values(&[identity.as_str(), source, "success"]).inc_by(0);
                self.assertions.with_label_values(&[identity.as_str(), source, outcome]).inc();
                self.assertion_times.with_label_values(&[source]).observe(took.as_secs_f64());
                self.sources.asserted(identity, expires, source_expires);
            }
            Event::Signed { identity, backend, outcome, resets, .. } => {
                self.signatures.with_label_values(&[identity.as_str(), backend, "ok"]).inc_by(0);
                self.signatures.with_label_values(&[identity.as_str(), backend, outcome]).inc();
                self.resets.with_label_values(&[identity.as_str()]).inc_by(resets);
            }
            Event::Forced { identity, reason, .. } => self.forced.with_label_values(&[identity.as_str(), reason]).inc(),
            Event::Certificates { identity, in_use } => self.sources.certificates(identity, in_use),
            Event::HttpsCertificate { not_after, .. } => {
                self.https_end.with_label_values::<&str>(&[]).set(signed(not_after));
            }
            Event::Refused { dialect, reason, .. } => self.rejected.with_label_values(&[dialect, reason]).inc(),
            Event::PassedThrough { host, code } => self.passed.with_label_values(&[host, &passed(code)]).inc(),
            Event::Relayed { identity, grant, outcome, .. } => {
                self.relays.with_label_values(&[identity.as_str(), grant, outcome]).inc();
            }
            Event::Reloaded { ok, at } => self.reload(ok, at),
            Event::FirstUse { .. } => self.used.store(true, Ordering::Relaxed),
            // Of the rest only sinks are counted here: slots are read when scraped.
            _ => self.sinks.on(event),
        }
    }
}

/// A status as a label: only those with a name, since a server may send any.
fn passed(code: Option<StatusCode>) -> String {
    match code {
        None => "none".to_owned(),
        Some(code) if code.canonical_reason().is_some() => code.as_str().to_owned(),
        Some(_) => "other".to_owned(),
    }
}

/// Entra's number as a label: only the ones we know, since others could be anything.
fn number(aadsts: Option<u32>) -> String {
    match aadsts {
        None => "none".to_owned(),
        Some(number) if fault::known(number).is_some() => number.to_string(),
        Some(_) => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests;
