//! Every metric there is: name, kind, labels, meaning. One table, which the code and `docs/metrics.md` both follow.
//!
//! Easy to get wrong: a metric made with `prometheus` directly would be missing here, so everything is made through the
//! functions below, and a test holds a full scrape against the table.

use prometheus::{CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts};

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn family(name: &'static str, kind: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind, labels, help }
}

const SLOT: &[&str] = &["identity", "resource"];
const IDENTITY: &[&str] = &["identity"];
const SINK: &[&str] = &["identity", "file"];
const AUTHORITY: &[&str] = &["authority"];

/// The table, in the order of the names.
pub const TABLE: &[Family] = &[
    family("process_cpu_seconds_total", "counter", &[], "User and system CPU time"),
    family("process_max_fds", "gauge", &[], "How many file descriptors the process may open"),
    family("process_open_fds", "gauge", &[], "How many file descriptors the process has open"),
    family("process_resident_memory_bytes", "gauge", &[], "Resident memory"),
    family("process_start_time_seconds", "gauge", &[], "When the process started, since 1970"),
    family("process_threads", "gauge", &[], "How many threads the process has"),
    family("process_virtual_memory_bytes", "gauge", &[], "Virtual memory"),
    family(
        "unsecret_asked",
        "gauge",
        &[],
        "1 once a caller that may has asked for a token at a door, given or not; 0 until then",
    ),
    family("unsecret_assertion_duration_seconds", "histogram", &["source"], "How long it took to obtain an assertion"),
    family(
        "unsecret_assertion_expiry_timestamp_seconds",
        "gauge",
        IDENTITY,
        "When the last assertion expires, since 1970",
    ),
    family(
        "unsecret_assertion_source_expiry_timestamp_seconds",
        "gauge",
        IDENTITY,
        "When the assertion source itself dies, such as the request token of a GitHub job, since 1970",
    ),
    family(
        "unsecret_assertions_total",
        "counter",
        &["identity", "source", "outcome"],
        "Assertions asked for, by how that ended: `success` or an error code",
    ),
    family("unsecret_build_info", "gauge", &["version", "revision", "features"], "1; the labels say what is running"),
    family("unsecret_cache_entries", "gauge", &[], "Slots: places of one token each, filled or not"),
    family(
        "unsecret_cache_requests_total",
        "counter",
        &["identity", "result"],
        "Asks for a token: `hit`, `stale_hit` (past its refresh time), `miss`, `coalesced` (waited for another's flight)",
    ),
    family("unsecret_certificate_info", "gauge", &["identity", "thumbprint_sha256"], "1 for each certificate in use"),
    family(
        "unsecret_certificate_not_after_timestamp_seconds",
        "gauge",
        IDENTITY,
        "When the longest-lived certificate in use ends, since 1970",
    ),
    family(
        "unsecret_certificate_not_before_timestamp_seconds",
        "gauge",
        IDENTITY,
        "When that certificate's validity begins, since 1970",
    ),
    family(
        "unsecret_clock_skew_seconds",
        "gauge",
        AUTHORITY,
        "Local time minus the authority's `Date`, at the middle of the round trip",
    ),
    family(
        "unsecret_config_last_reload_success_timestamp_seconds",
        "gauge",
        &[],
        "When the configuration in use was read",
    ),
    family("unsecret_config_last_reload_successful", "gauge", &[], "1 when the last reload (or the start) succeeded"),
    family(
        "unsecret_forced_refreshes_total",
        "counter",
        &["identity", "reason"],
        "New tokens asked for because a held one would not do: `claims` (a resource's challenge), `token-refused` (the caller named it), `bypass`",
    ),
    family(
        "unsecret_http_request_duration_seconds",
        "histogram",
        &["dialect"],
        "How long local answers took that were not given from a held token at once",
    ),
    family(
        "unsecret_http_requests_total",
        "counter",
        &["dialect", "code"],
        "Local requests, by the status of the answer",
    ),
    family(
        "unsecret_https_certificate_not_after_timestamp_seconds",
        "gauge",
        &[],
        "When the certificate ends that the https listener shows, since 1970",
    ),
    family(
        "unsecret_injector_admission_duration_seconds",
        "histogram",
        &[],
        "How long `unsecret injector` took for a review",
    ),
    family(
        "unsecret_injector_admission_requests_total",
        "counter",
        &["result", "reason"],
        "Reviews: `injected`, `unchanged`, `skipped`, `denied` or `error`, and why",
    ),
    family(
        "unsecret_injector_ca_bundle_in_sync",
        "gauge",
        &[],
        "1 while the API server trusts just what the webhook has it trust; with certificates of others, not told",
    ),
    family(
        "unsecret_injector_serving_cert_not_after_timestamp_seconds",
        "gauge",
        &[],
        "When the certificate ends that the webhook shows, since 1970",
    ),
    family(
        "unsecret_passed_through_total",
        "counter",
        &["host", "code"],
        "Requests to a taken-over host that were passed on, by the status of the real host's answer (`none`: it gave none)",
    ),
    family("unsecret_ready", "gauge", &[], "1 when /readyz says yes"),
    family(
        "unsecret_relays_total",
        "counter",
        &["identity", "grant", "outcome"],
        "Grants of callers' own users passed on to Entra, by how that ended: `success`, `held`, `refused` by Entra or `failed`",
    ),
    family(
        "unsecret_requests_rejected_total",
        "counter",
        &["dialect", "reason"],
        "Local requests refused by the guard, by a dialect or by policy",
    ),
    family(
        "unsecret_signer_operations_total",
        "counter",
        &["identity", "backend", "outcome"],
        "Signatures asked of a key, by where it is and how that ended: `ok`, `pin_error`, `token_absent`, `session_lost`, `device_error`, `unsupported` (an algorithm that the key cannot do)",
    ),
    family(
        "unsecret_signer_session_resets_total",
        "counter",
        IDENTITY,
        "How often a key was opened anew after trouble",
    ),
    family(
        "unsecret_sink_expiry_timestamp_seconds",
        "gauge",
        SINK,
        "When what stands in a sink's file expires, since 1970",
    ),
    family(
        "unsecret_sink_reloads_total",
        "counter",
        &["identity", "file", "outcome"],
        "Commands run after a write, by how that ended: `success` or an error code",
    ),
    family(
        "unsecret_sink_writes_total",
        "counter",
        &["identity", "file", "outcome"],
        "Tries to replace a sink's file, by how that ended: `success` or an error code",
    ),
    family("unsecret_token_consecutive_failures", "gauge", SLOT, "Failed refreshes in a row; 0 after a success"),
    family("unsecret_token_expiry_timestamp_seconds", "gauge", SLOT, "When the held token expires, since 1970"),
    family("unsecret_token_issued_timestamp_seconds", "gauge", SLOT, "When the held token came, since 1970"),
    family(
        "unsecret_token_next_refresh_timestamp_seconds",
        "gauge",
        SLOT,
        "When the held token will be refreshed, since 1970",
    ),
    family(
        "unsecret_token_request_duration_seconds",
        "histogram",
        &["identity", "outcome"],
        "How long exchanges with Entra took",
    ),
    family(
        "unsecret_token_requests_total",
        "counter",
        &["identity", "outcome", "aadsts"],
        "Exchanges with Entra, by outcome and by Entra's number (`none`, or `other` for one we do not know)",
    ),
    family(
        "unsecret_upstream_retry_after_timestamp_seconds",
        "gauge",
        AUTHORITY,
        "Until when the authority last asked us to wait, since 1970",
    ),
];

#[expect(clippy::expect_used, reason = "names are literals of this module's neighbours, and a test makes them all")]
fn find(name: &str) -> &'static Family {
    TABLE.iter().find(|family| family.name == name).expect("a name in TABLE")
}

fn options(name: &str) -> (Opts, &'static [&'static str]) {
    let family = find(name);
    (Opts::new(family.name, family.help), family.labels)
}

macro_rules! maker {
    ($make:ident, $vector:ident) => {
        pub(super) fn $make(name: &str) -> $vector {
            let (options, labels) = options(name);
            made($vector::new(options, labels))
        }
    };
}

maker!(counters, IntCounterVec);
maker!(gauges, IntGaugeVec);
maker!(float_counters, CounterVec);
maker!(float_gauges, GaugeVec);

pub(super) fn histograms(name: &str, buckets: &[f64]) -> HistogramVec {
    let (options, labels) = options(name);
    made(HistogramVec::new(HistogramOpts::from(options).buckets(buckets.to_vec()), labels))
}

#[expect(clippy::expect_used, reason = "names and buckets are constants, and a test makes every line of TABLE")]
fn made<V>(vector: prometheus::Result<V>) -> V {
    vector.expect("a valid family")
}

/// A count or a time as `prometheus` wants it.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
