//! Full scrapes, read back as Prometheus would.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::broker::{HeldStatus, IdentityStatus, SlotStatus};
use crate::clock::ManualClock;
use crate::ids::{Door, IdentityName, Resource};
use crate::observe::{Certificate, Outcome};
use crate::problem::Trouble;

const BUILD: Build = Build { version: "1.2.3", revision: "abc", features: "none" };
const NOW: u64 = 1_800_000_000;
const LOGIN: &str = "login.microsoftonline.com";

fn metrics() -> Metrics {
    Metrics::new(BUILD, Arc::new(ManualClock::standing(NOW)))
}

fn billing() -> IdentityName {
    IdentityName::parse("billing").unwrap()
}

fn slot(resource: &str, listed: bool) -> SlotStatus {
    SlotStatus {
        capable: false,
        resource: Resource::parse(resource).unwrap(),
        listed,
        prefetch: false,
        held: Some(HeldStatus { received: NOW, expires: NOW + 3_600 }),
        trouble: None,
        next_try: Some(NOW + 2_400),
    }
}

fn status(slots: Vec<SlotStatus>) -> Status {
    let identity = IdentityStatus {
        name: billing(),
        required: true,
        ready: true,
        answered: [7, 1, 2, 3],
        slots,
        probe_failure: None,
    };
    Status { at: NOW, ready: true, identities: vec![identity] }
}

fn exchanged(metrics: &Metrics, outcome: Outcome, aadsts: Option<u32>, retry_after: Option<Duration>) {
    metrics.on(&Event::Exchanged {
        identity: &billing(),
        authority: LOGIN,
        outcome,
        aadsts,
        took: Duration::from_millis(230),
        skew: Some(-1.5),
        retry_after,
    });
}

fn certificate(thumbprint: &str, not_after: u64) -> Certificate {
    Certificate { thumbprint: thumbprint.to_owned(), not_before: NOW - 1, not_after }
}

/// Every kind of event once.
fn everything(metrics: &Metrics) {
    let identity = &billing();
    exchanged(metrics, Outcome::Throttled, Some(1), Some(Duration::from_secs(7)));
    metrics.on(&Event::Asserted {
        identity,
        source: "github",
        outcome: "success",
        took: Duration::from_millis(3),
        expires: Some(NOW + 300),
        source_expires: Some(NOW + 21_600),
    });
    let took = Duration::from_millis(3);
    metrics.on(&Event::Signed { identity, backend: "pkcs11", outcome: "ok", took, resets: 1 });
    let (resource, capable, reason) = ("https://graph.microsoft.com", true, "claims");
    metrics.on(&Event::Forced { identity, resource, capable, reason });
    metrics.on(&Event::Certificates { identity, in_use: &[certificate("f00d", NOW + 86_400)] });
    metrics.on(&Event::HttpsCertificate { thumbprint: "f00d", not_after: NOW + 86_400 });
    let (code, correlation_id) = ("metadata-header-missing", "11111111-aaaa-4bbb-8ccc-222222222222");
    let (dialect, reason, peer, withheld) = ("imds", "missing_header", "127.0.0.1", None);
    metrics.on(&Event::Refused { dialect, reason, peer, code, correlation_id, withheld });
    let (grant, dialect, outcome) = ("on_behalf_of", "oauth", "held");
    metrics.on(&Event::Relayed { identity, grant, dialect, peer, outcome, aadsts: None, first: true });
    let file = std::path::Path::new("/run/unsecret/pg.token");
    metrics.on(&Event::SinkWritten { identity, file, at: NOW, expires: Some(NOW + 3_600) });
    metrics.on(&Event::SinkReloaded { identity, file, code: None, chain: None, remedy: None });
    metrics.on(&Event::PassedThrough { host: LOGIN, code: Some(http::StatusCode::FOUND) });
    metrics.answers().count(Some(Door::Imds), 200);
    metrics.answers().waited(Some(Door::Oauth), Duration::from_millis(230));
}

/// One sample line: `name{label="value",…} number`.
fn samples(text: &str) -> impl Iterator<Item = (&str, BTreeSet<&str>)> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap_or_else(|_| panic!("no number in {line}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.trim_end_matches('}').split("\",").filter_map(|pair| pair.split_once('='));
        (name, labels.map(|(label, _)| label).filter(|label| *label != "le").collect())
    })
}

fn line<'a>(text: &'a str, series: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("no `{series}` in\n{text}"))
}

#[test]
fn the_table_is_in_order_and_names_nothing_twice() {
    assert!(TABLE.windows(2).all(|pair| pair[0].name < pair[1].name));
}

#[test]
fn full_scrapes_of_broker_and_webhook_show_every_family_of_the_table_and_no_other() {
    let metrics = metrics();
    everything(&metrics);
    let text = metrics.scrape(&status(vec![slot("https://vault.azure.net", true)]), true) + &of_the_webhook();
    let declared: BTreeMap<_, _> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let table: BTreeMap<_, _> = TABLE.iter().map(|family| (family.name, family.kind)).collect();
    assert_eq!(declared, table);
    for family in TABLE {
        assert!(text.contains(&format!("# HELP {} {}\n", family.name, family.help)), "{}", family.name);
        let wanted: BTreeSet<_> = family.labels.iter().copied().collect();
        let mut shown = samples(&text)
            .filter(|(name, _)| {
                let rest = name.strip_prefix(family.name);
                rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest))
            })
            .peekable();
        assert!(shown.peek().is_some(), "{} has no sample", family.name);
        shown.for_each(|(name, labels)| assert_eq!(labels, wanted, "{name}"));
    }
}

fn of_the_webhook() -> String {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::standing(1_800_000_000));
    let injections = Injections::new(BUILD, &clock);
    injections.reviewed("injected", "none", Duration::from_micros(200));
    injections.serving_until(1_800_086_400);
    injections.in_sync(true);
    injections.scrape()
}

#[test]
fn a_webhook_tells_nothing_of_doors_and_slots() {
    let text = of_the_webhook();
    assert_eq!(line(&text, "unsecret_injector_ca_bundle_in_sync"), "unsecret_injector_ca_bundle_in_sync 1");
    // Or an alert would say that nobody asks it for tokens.
    assert!(!text.contains("unsecret_asked") && !text.contains("unsecret_ready"), "{text}");
}

#[test]
fn values_are_what_the_slots_and_counters_say() {
    let metrics = metrics();
    everything(&metrics);
    let text = metrics.scrape(&status(vec![slot("https://vault.azure.net", true)]), false);
    for wanted in [
        r#"unsecret_build_info{features="none",revision="abc",version="1.2.3"} 1"#,
        r#"unsecret_cache_requests_total{identity="billing",result="hit"} 7"#,
        r#"unsecret_cache_requests_total{identity="billing",result="coalesced"} 3"#,
        "unsecret_cache_entries 1",
        "unsecret_ready 0",
        r#"unsecret_http_requests_total{code="200",dialect="imds"} 1"#,
        r#"unsecret_token_expiry_timestamp_seconds{identity="billing",resource="https://vault.azure.net"} 1800003600"#,
        r#"unsecret_token_requests_total{aadsts="other",identity="billing",outcome="throttled"} 1"#,
        r#"unsecret_upstream_retry_after_timestamp_seconds{authority="login.microsoftonline.com"} 1800000007"#,
        r#"unsecret_clock_skew_seconds{authority="login.microsoftonline.com"} -1.5"#,
    ] {
        assert_eq!(line(&text, wanted), wanted);
    }
}

#[test]
fn an_unlisted_resource_is_never_a_label_and_the_worst_of_them_is_shown() {
    let mut dying = slot("https://stranger-1.example", false);
    dying.held = Some(HeldStatus { received: NOW, expires: NOW + 10 });
    dying.trouble = Some(Trouble { code: "entra-unreachable", chain: String::new(), remedy: None, consecutive: 4 });
    let text = metrics().scrape(&status(vec![dying, slot("https://stranger-2.example", false)]), true);
    assert!(!text.contains("stranger"));
    let other = r#"{identity="billing",resource="other"}"#;
    assert!(line(&text, &format!("unsecret_token_expiry_timestamp_seconds{other}")).ends_with(" 1800000010"));
    assert!(line(&text, &format!("unsecret_token_consecutive_failures{other}")).ends_with(" 4"));
}

#[test]
fn an_identity_has_at_most_50_resources_as_labels_and_other() {
    let slots = (0..80).map(|number| slot(&format!("https://{number}.example"), true)).collect();
    let text = metrics().scrape(&status(slots), true);
    let series = text.lines().filter(|line| line.starts_with("unsecret_token_expiry_timestamp_seconds{")).count();
    assert_eq!(series, 51);
}

#[test]
fn what_is_gone_leaves_no_series() {
    let metrics = metrics();
    everything(&metrics);
    let gone = metrics.scrape(&Status { at: NOW, ready: true, identities: Vec::new() }, true);
    for name in ["unsecret_token_expiry", "unsecret_assertion_expiry", "unsecret_certificate_info"] {
        assert!(!gone.contains(name), "{name}");
    }
}

#[test]
fn numbers_that_we_do_not_know_share_one_label() {
    let metrics = metrics();
    exchanged(&metrics, Outcome::Rejected, Some(123_456_789), None);
    exchanged(&metrics, Outcome::Rejected, Some(700_024), None);
    exchanged(&metrics, Outcome::Success, None, None);
    let text = metrics.scrape(&status(Vec::new()), true);
    for aadsts in ["other", "700024", "none"] {
        line(&text, &format!(r#"unsecret_token_requests_total{{aadsts="{aadsts}","#));
    }
}

#[test]
fn a_failure_shows_the_success_that_has_not_come_yet() {
    let metrics = metrics();
    exchanged(&metrics, Outcome::Timeout, None, None);
    let text = metrics.scrape(&status(Vec::new()), true);
    line(&text, r#"unsecret_token_requests_total{aadsts="none",identity="billing",outcome="success"} 0"#);
    line(&text, r#"unsecret_token_requests_total{aadsts="none",identity="billing",outcome="timeout"} 1"#);
}

#[test]
fn a_failed_reload_keeps_the_time_of_the_last_good_one() {
    let metrics = metrics();
    metrics.on(&Event::Reloaded { ok: false, at: NOW + 60 });
    let text = metrics.scrape(&status(Vec::new()), true);
    assert_eq!(line(&text, "unsecret_config_last_reload_successful"), "unsecret_config_last_reload_successful 0");
    assert!(line(&text, "unsecret_config_last_reload_success_timestamp_seconds").ends_with(" 1800000000"));
}

#[test]
fn a_first_use_of_what_is_held_and_a_wait_for_what_is_not_are_asks_and_a_refusal_is_none() {
    let asked = |metrics: &Metrics| {
        let text = metrics.scrape(&status(Vec::new()), true);
        line(&text, "unsecret_asked").to_owned()
    };
    let (held, waited) = (metrics(), metrics());
    for metrics in [&held, &waited] {
        metrics.answers().count(Some(Door::Imds), 403);
        metrics.answers().count(Some(Door::TokenProxy), 200);
        assert_eq!(asked(metrics), "unsecret_asked 0");
    }
    let (identity, peer) = (&billing(), "127.0.0.1");
    held.on(&Event::FirstUse { identity, resource: "https://vault.azure.net", dialect: "imds", peer });
    waited.answers().waited(Some(Door::Imds), Duration::from_millis(3));
    assert_eq!([asked(&held), asked(&waited)], ["unsecret_asked 1", "unsecret_asked 1"]);
}

#[test]
fn a_status_that_is_not_in_the_list_counts_as_other() {
    let metrics = metrics();
    metrics.answers().count(None, 299);
    let text = metrics.scrape(&status(Vec::new()), true);
    line(&text, r#"unsecret_http_requests_total{code="other",dialect="other"} 1"#);
}

#[test]
fn of_several_certificates_the_longest_lived_one_counts_and_a_replaced_one_is_gone() {
    let metrics = metrics();
    let scrape = |in_use: &[Certificate]| {
        metrics.on(&Event::Certificates { identity: &billing(), in_use });
        metrics.scrape(&status(Vec::new()), true)
    };
    let text = scrape(&[certificate("new", NOW + 99), certificate("old", NOW + 10)]);
    assert!(line(&text, "unsecret_certificate_not_after_timestamp_seconds").ends_with(" 1800000099"));
    assert_eq!(text.matches("unsecret_certificate_info{").count(), 2);
    let text = scrape(&[certificate("new", NOW + 99)]);
    assert!(!text.contains("\"old\""), "{text}");
    assert!(!scrape(&[]).contains("unsecret_certificate_"), "the identity signs no more");
}

#[test]
fn a_withdrawn_sink_leaves_its_counts_and_no_end() {
    let metrics = metrics();
    everything(&metrics);
    let (identity, file) = (&billing(), std::path::Path::new("/run/unsecret/pg.token"));
    let (code, chain, remedy, lasts) = ("sink-no-room", "write sink file", None, None);
    let retry_in = Duration::from_secs(1);
    metrics.on(&Event::SinkFailed { identity, file, code, chain, remedy, consecutive: 1, retry_in, lasts });
    let text = metrics.scrape(&status(Vec::new()), true);
    let labels = "{file=\"/run/unsecret/pg.token\",identity=\"billing\"";
    assert_eq!(
        line(&text, &format!("unsecret_sink_expiry_timestamp_seconds{labels}")).rsplit_once(' ').unwrap().1,
        (NOW + 3_600).to_string()
    );
    line(&text, &format!("unsecret_sink_writes_total{labels},outcome=\"sink-no-room\"}} 1"));
    metrics.on(&Event::SinkWithdrawn { identity, file });
    let text = metrics.scrape(&status(Vec::new()), true);
    assert!(!text.contains("unsecret_sink_expiry_timestamp_seconds{"), "{text}");
    line(&text, &format!("unsecret_sink_writes_total{labels},outcome=\"success\"}} 1"));
}
