//! Certificates and CAs near their end, and Secrets that hold no good ones.
//!
//! Time cannot be moved in another process, so the Secret is filled with what was made long ago.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use unsecret::clock::{Clock as _, Now, SystemClock};
use unsecret::local_ca::{Leaf, LocalCa, pem};

use super::api::Fault;
use super::api::request::Verb;
use super::api::store::Kind;
use super::certificate::{certificates, field, kept_leaf, until_shown};
use super::stage::{Stage, empty_secret};
use super::verdicts::pod;
use super::{CONFIGURATION, HOST, NAMESPACE, SERVICE, bundle};

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// So many days ago.
pub fn ago(days: u32) -> Now {
    let now = SystemClock::new().now();
    Now { mono: now.mono, wall: now.wall.saturating_sub(DAY * days) }
}

pub fn ca_of(days_ago: u32) -> LocalCa {
    LocalCa::create("unsecret injector CA", ago(days_ago), 5 * YEAR).unwrap()
}

pub fn leaf_of(ca: &LocalCa, days_ago: u32) -> Leaf {
    let names = [HOST.to_owned(), format!("{SERVICE}.{NAMESPACE}.svc.cluster.local")];
    ca.leaf(&names, ago(days_ago), 90 * DAY).unwrap()
}

/// The Secret with these.
pub fn filled(ca: &LocalCa, leaf: &Leaf) -> serde_json::Value {
    let mut secret = empty_secret();
    secret["data"] = json!({
        "ca.crt": STANDARD.encode(ca.certificate_pem()),
        "ca.key": STANDARD.encode(ca.key_pem().expose()),
        "tls.crt": STANDARD.encode(leaf.chain_pem()),
        "tls.key": STANDARD.encode(leaf.key_pem().expose()),
    });
    secret
}

/// A cluster in which a webhook has run before.
pub async fn after(ca: &LocalCa, leaf: &Leaf) -> Stage {
    let stage = Stage::new().await;
    stage.api.store(|store| {
        store.put(Kind::Secrets, filled(ca, leaf));
        let pem = STANDARD.encode(ca.certificate_pem());
        store.edit(Kind::Configurations, "", CONFIGURATION, |it| {
            it["webhooks"][1]["clientConfig"]["caBundle"] = json!(pem);
        });
    });
    stage
}

fn der(leaf: &Leaf) -> Vec<u8> {
    certificates(leaf.chain_pem()).remove(0)
}

#[tokio::test]
async fn a_certificate_younger_than_60_days_is_kept() {
    let ca = ca_of(400);
    let leaf = leaf_of(&ca, 58);
    let stage = after(&ca, &leaf).await;
    let injector = stage.start().await;
    injector.until_ready().await;
    until_shown(&stage, &injector, &der(&leaf)).await;
    assert!(stage.api.calls(Verb::Update, Kind::Secrets).is_empty());
    assert!(stage.api.calls(Verb::Patch, Kind::Configurations).is_empty());
}

#[tokio::test]
async fn a_certificate_older_than_60_days_is_renewed_under_the_same_ca() {
    let ca = ca_of(400);
    for days in [62, 89, 100] {
        let leaf = leaf_of(&ca, days);
        let stage = after(&ca, &leaf).await;
        let injector = stage.start().await;
        injector.until("renewed", async |_| (kept_leaf(&stage) != der(&leaf)).then_some(())).await;
        until_shown(&stage, &injector, &kept_leaf(&stage)).await;
        assert_eq!(field(&stage, "ca.crt"), ca.certificate_pem(), "{days} days");
        assert!(stage.api.calls(Verb::Patch, Kind::Configurations).is_empty(), "{days} days");
        injector.until_ready().await;
        stage.api.assert_nothing_was_refused();
    }
}

#[tokio::test]
async fn a_certificate_that_is_to_be_renewed_is_shown_while_that_fails() {
    let ca = ca_of(400);
    let leaf = leaf_of(&ca, 80);
    let stage = after(&ca, &leaf).await;
    stage.api.fault(Verb::Update, Kind::Secrets, Fault::Status(500));
    let injector = stage.start().await;
    injector.until_ready().await;
    injector.until("tried", async |_| stage.api.calls(Verb::Update, Kind::Secrets).first().map(|_| ())).await;
    until_shown(&stage, &injector, &der(&leaf)).await;
    stage.api.mend();
    injector.until("renewed", async |_| (kept_leaf(&stage) != der(&leaf)).then_some(())).await;
    until_shown(&stage, &injector, &kept_leaf(&stage)).await;
}

#[tokio::test]
async fn a_ca_near_its_end_is_replaced_and_stays_trusted() {
    let ca = ca_of(5 * 365 - 20);
    let leaf = leaf_of(&ca, 10);
    let stage = after(&ca, &leaf).await;
    let injector = stage.start().await;
    injector
        .until("both are trusted", async |_| {
            let bundle = stage.api.store(|store| bundle(store, CONFIGURATION))?;
            (certificates(&bundle).len() == 2).then_some(())
        })
        .await;
    let both = certificates(&field(&stage, "ca.crt"));
    assert_eq!(both.len(), 2);
    assert_eq!(both[1], certificates(ca.certificate_pem())[0], "the old one behind the new one");
    assert_eq!(stage.api.store(|store| bundle(store, CONFIGURATION)).unwrap(), field(&stage, "ca.crt"));
    let kept = kept_leaf(&stage);
    until_shown(&stage, &injector, &kept).await;
    assert_eq!(injector.shown(&pem("CERTIFICATE", &both[0])).await, Some(kept), "signed by the new one");
    injector.until_ready().await;
    stage.api.assert_nothing_was_refused();
}

#[tokio::test]
async fn nothing_of_a_new_ca_is_shown_before_the_configuration_has_it() {
    let ca = ca_of(5 * 365 - 20);
    let leaf = leaf_of(&ca, 10);
    let stage = after(&ca, &leaf).await;
    stage.api.fault(Verb::Patch, Kind::Configurations, Fault::Status(500));
    let injector = stage.start().await;
    injector
        .until("the new CA is to be written", async |_| {
            stage.api.calls(Verb::Patch, Kind::Configurations).first().map(|_| ())
        })
        .await;
    // The API server, which trusts the old one alone, is answered.
    until_shown(&stage, &injector, &der(&leaf)).await;
    injector.until("answered", async |it| Some(it.try_review(&pod()).await.ok()?.patch())).await;
    stage.api.mend();
    injector.until_ready().await;
    until_shown(&stage, &injector, &kept_leaf(&stage)).await;
    assert_ne!(kept_leaf(&stage), der(&leaf));
}

#[tokio::test]
async fn what_is_no_good_in_the_secret_is_replaced() {
    let (ca, other) = (ca_of(10), ca_of(10));
    let leaf = leaf_of(&ca, 10);
    let packed = |text: &str| json!(STANDARD.encode(text));
    let elsewhere = ca.leaf(&["another.unsecret.svc".to_owned()], ago(10), 90 * DAY).unwrap();
    let without = |key: &str| {
        let mut secret = filled(&ca, &leaf);
        secret["data"].as_object_mut().unwrap().remove(key);
        secret
    };
    let with = |key: &str, value: serde_json::Value| {
        let mut secret = filled(&ca, &leaf);
        secret["data"][key] = value;
        secret
    };
    for (what, secret) in [
        ("no certificate", without("tls.crt")),
        ("no CA", without("ca.crt")),
        ("no key", without("tls.key")),
        ("no PEM", with("tls.crt", packed("canary, no PEM"))),
        ("another key", with("tls.key", packed(leaf_of(&ca, 1).key_pem().expose()))),
        ("another CA's key", with("ca.key", packed(other.key_pem().expose()))),
        ("signed by another", filled(&ca, &leaf_of(&other, 10))),
        ("of another service", filled(&ca, &elsewhere)),
        ("a CA that has ended", filled(&ca_of(5 * 365 + 10), &leaf)),
    ] {
        let stage = Stage::new().await;
        stage.api.store(|store| store.put(Kind::Secrets, secret));
        let injector = stage.start().await;
        injector
            .until(&format!("ready with {what}"), async |it| (it.page("/readyz").await.status == 200).then_some(()))
            .await;
        until_shown(&stage, &injector, &kept_leaf(&stage)).await;
        assert!(!stage.api.calls(Verb::Update, Kind::Secrets).is_empty(), "{what}");
        assert!(!injector.said().contains("canary"), "{what}: {}", injector.said());
        stage.api.assert_nothing_was_refused();
    }
}
