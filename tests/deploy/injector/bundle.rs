//! The configuration's `caBundle`, which the webhook keeps as it must be, whoever changes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use unsecret::clock::{Clock as _, SystemClock};
use unsecret::local_ca::LocalCa;

use super::api::Fault;
use super::api::request::Verb;
use super::api::store::{Kind, Store};
use super::certificate::field;
use super::process::Injector;
use super::stage::{Stage, configuration};
use super::verdicts::pod;
use super::{CONFIGURATION, bundle};

const IN_SYNC: &str = "unsecret_injector_ca_bundle_in_sync";

/// Our webhook in the configuration.
fn edit(store: &mut Store, change: impl FnOnce(&mut Value)) {
    store.edit(Kind::Configurations, "", CONFIGURATION, |it| change(&mut it["webhooks"][1]["clientConfig"]));
}

fn take_away(store: &mut Store) {
    edit(store, |config| drop(config.as_object_mut().unwrap().remove("caBundle")));
}

async fn until_right(stage: &Stage, injector: &Injector) {
    let right = field(stage, "ca.crt");
    injector
        .until("the caBundle is right", async |_| {
            (stage.api.store(|store| bundle(store, CONFIGURATION))? == right).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_bundle_that_is_taken_away_is_written_again() {
    let (stage, injector) = Stage::ready().await;
    for _ in 0..2 {
        stage.api.store(take_away);
        until_right(&stage, &injector).await;
    }
    stage.api.assert_nothing_was_refused();
}

#[tokio::test]
async fn somebody_elses_bundle_is_replaced() {
    let (stage, injector) = Stage::ready().await;
    let now = SystemClock::new().now();
    let other = LocalCa::create("another CA", now, super::PATIENCE * 1_000).unwrap();
    let other = STANDARD.encode(other.certificate_pem());
    stage.api.store(|store| edit(store, |config| config["caBundle"] = json!(other)));
    until_right(&stage, &injector).await;
}

#[tokio::test]
async fn a_configuration_made_anew_gets_the_bundle() {
    let (stage, injector) = Stage::ready().await;
    stage.api.store(|store| store.delete(Kind::Configurations, "", CONFIGURATION));
    stage.api.store(|store| store.put(Kind::Configurations, configuration()));
    until_right(&stage, &injector).await;
}

#[tokio::test]
async fn a_webhook_that_moved_at_that_moment_is_found_and_no_other_is_touched() {
    let stage = Stage::new().await;
    stage.api.before_write(|store| store.put(Kind::Configurations, moved()));
    // The first write would be the Secret's.
    stage.api.fault(Verb::Update, Kind::Secrets, Fault::Hang);
    let injector = stage.start().await;
    let empty = stage.api.calls(Verb::Patch, Kind::Configurations);
    assert!(empty.is_empty(), "nothing to say yet: {empty:#?}");
    stage.api.before_write(|_| ());
    stage.api.mend();
    injector.until_ready().await;
    stage.api.before_write(|store| store.put(Kind::Configurations, moved()));
    stage.api.store(take_away);
    until_right(&stage, &injector).await;
    let after = stage.api.store(|store| store.object(Kind::Configurations, "", CONFIGURATION).unwrap().clone());
    assert_eq!(after["webhooks"][1]["clientConfig"]["caBundle"], Value::Null, "{after}");
    let patches = stage.api.calls(Verb::Patch, Kind::Configurations);
    assert!(patches.iter().any(|call| call.status == 422), "{patches:#?}");
    stage.api.assert_nothing_was_refused();
}

/// Ours is the first now.
fn moved() -> Value {
    let mut configuration = configuration();
    configuration["webhooks"].as_array_mut().unwrap().reverse();
    configuration
}

#[tokio::test]
async fn a_bundle_that_cannot_be_written_is_counted_and_tried_again() {
    let (stage, injector) = Stage::ready().await;
    let in_sync = async |wanted: f64| {
        injector
            .until(&format!("in sync: {wanted}"), async |it| {
                ((it.metric(IN_SYNC, &[]).await - wanted).abs() < 0.1).then_some(())
            })
            .await;
    };
    in_sync(1.0).await;
    stage.api.fault(Verb::Patch, Kind::Configurations, Fault::Status(500));
    stage.api.store(take_away);
    in_sync(0.0).await;
    assert_eq!(injector.page("/readyz").await.status, 200, "ready for good");
    stage.api.mend();
    until_right(&stage, &injector).await;
    in_sync(1.0).await;
    injector.review(&pod()).await.patch();
}

#[tokio::test]
async fn who_takes_it_away_at_once_is_not_answered_at_once() {
    let (stage, _injector) = Stage::ready().await;
    let clock = SystemClock::new();
    let patched = |stage: &Stage| stage.api.calls(Verb::Patch, Kind::Configurations).len();
    let (before, begin) = (patched(&stage), clock.now().mono);
    stage.api.store(|store| {
        store.bundles_are_taken_away = true;
        take_away(store);
    });
    let written = async || (patched(&stage) >= before + 3).then_some(());
    super::until(|| "it is written again and again".to_owned(), written).await;
    // Each but the first a second after the last.
    let took = clock.now().mono.saturating_sub(begin);
    assert!(took >= std::time::Duration::from_secs(2), "{took:?}");
}
