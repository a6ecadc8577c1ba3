//! More than one webhook: the first to write makes the certificate, the others use it.

use std::time::Duration;

use serde_json::json;
use unsecret::clock::{Clock as _, SystemClock};

use super::api::Fault;
use super::api::request::Verb;
use super::api::store::Kind;
use super::certificate::{certificates, field, kept_leaf, until_shown};
use super::renewal::{after, ca_of, filled, leaf_of};
use super::stage::{Stage, empty_secret};
use super::verdicts::pod;
use super::{NAMESPACE, SECRET};

#[tokio::test]
async fn who_comes_second_uses_the_first_ones_certificate() {
    let stage = Stage::new().await;
    let ca = ca_of(0);
    let leaf = leaf_of(&ca, 0);
    let theirs = filled(&ca, &leaf);
    stage.api.before_write(|store| store.put(Kind::Secrets, theirs));
    let injector = stage.start().await;
    injector.until_ready().await;
    let updates = stage.api.calls(Verb::Update, Kind::Secrets);
    // It may try once more before it hears of the other's.
    assert!(!updates.is_empty() && updates.iter().all(|call| call.status == 409), "{updates:#?}");
    until_shown(&stage, &injector, &certificates(leaf.chain_pem())[0]).await;
    assert_eq!(field(&stage, "ca.crt"), ca.certificate_pem());
    stage.api.assert_nothing_was_refused();
}

#[tokio::test]
async fn two_that_start_at_once_come_to_show_the_same() {
    let stage = Stage::new().await;
    let (one, other) = tokio::join!(stage.start(), stage.start());
    for injector in [&one, &other] {
        injector.until_ready().await;
        until_shown(&stage, injector, &kept_leaf(&stage)).await;
        injector.review(&pod()).await.patch();
    }
    let made = stage.api.calls(Verb::Update, Kind::Secrets).iter().filter(|call| call.status == 200).count();
    assert_eq!(made, 1);
    stage.api.assert_nothing_was_refused();
}

#[tokio::test]
async fn a_certificate_that_another_renewed_is_taken_up() {
    let ca = ca_of(100);
    let stage = after(&ca, &leaf_of(&ca, 50)).await;
    let injector = stage.start().await;
    injector.until_ready().await;
    let renewed = leaf_of(&ca, 1);
    stage.api.store(|store| store.put(Kind::Secrets, filled(&ca, &renewed)));
    until_shown(&stage, &injector, &certificates(renewed.chain_pem())[0]).await;
    assert!(stage.api.calls(Verb::Update, Kind::Secrets).is_empty());
}

#[tokio::test]
async fn an_emptied_secret_is_filled_again_and_the_webhook_answers_on() {
    let (stage, injector) = Stage::ready().await;
    stage.api.fault(Verb::Update, Kind::Secrets, Fault::Status(500));
    stage.api.store(|store| store.put(Kind::Secrets, empty_secret()));
    injector
        .until("tried", async |_| {
            stage.api.calls(Verb::Update, Kind::Secrets).iter().any(|call| call.status == 500).then_some(())
        })
        .await;
    injector.review(&pod()).await.patch();
    stage.api.mend();
    injector
        .until("filled", async |_| {
            let secret = stage.api.store(|store| super::stage::secret(store));
            secret["data"]["tls.crt"].is_string().then_some(())
        })
        .await;
    until_shown(&stage, &injector, &kept_leaf(&stage)).await;
}

#[tokio::test]
async fn who_keeps_emptying_the_secret_makes_no_storm_of_writes() {
    let stage = Stage::new().await;
    stage.api.store(|store| store.secrets_are_emptied = true);
    let clock = SystemClock::new();
    let injector = stage.start().await;
    let begin = clock.now().mono;
    let written = || stage.api.calls(Verb::Update, Kind::Secrets).len();
    injector.until("written", async |_| (written() > 0).then_some(())).await;
    injector.until("written again", async |_| (written() > 1).then_some(())).await;
    assert!(clock.now().mono.saturating_sub(begin) > Duration::from_secs(5));
    assert_eq!(written(), 2);
    assert!(injector.said().contains("does somebody else write it"), "{}", injector.said());
    stage.api.store(|store| store.secrets_are_emptied = false);
    injector.until_ready().await;
}

#[tokio::test]
async fn a_secret_that_is_deleted_and_made_again_is_filled() {
    let (stage, injector) = Stage::ready().await;
    stage.api.store(|store| store.delete(Kind::Secrets, NAMESPACE, SECRET));
    injector.review(&pod()).await.patch();
    stage.api.store(|store| store.put(Kind::Secrets, empty_secret()));
    injector
        .until("filled", async |_| {
            let secret = stage.api.store(|store| super::stage::secret(store));
            secret["data"]["tls.crt"].is_string().then_some(())
        })
        .await;
    until_shown(&stage, &injector, &kept_leaf(&stage)).await;
    assert_eq!(
        stage.api.store(|store| super::stage::secret(store))["metadata"]["labels"],
        json!({"app.kubernetes.io/managed-by": "Helm"})
    );
}
