//! What the caches do not know yet is asked for once, within a second; whatever else fails is left to the configuration's
//! `failurePolicy`.

use std::time::Duration;

use serde_json::json;
use unsecret::clock::{Clock as _, SystemClock};

use super::api::Fault;
use super::api::request::Verb;
use super::api::store::Kind;
use super::process::Injector;
use super::stage::{Stage, account};
use super::verdicts::{changed, pod, pod_of};
use crate::inject::{CLIENT, variable};

const REQUESTS: &str = "unsecret_injector_admission_requests_total";

/// With caches that hear of nothing any more.
async fn deaf() -> (Stage, Injector) {
    let (stage, injector) = Stage::ready().await;
    for kind in [Kind::Accounts, Kind::Namespaces] {
        stage.api.fault(Verb::Watch, kind, Fault::Hang);
        stage.api.store(|store| store.cut(kind));
    }
    (stage, injector)
}

#[tokio::test]
async fn an_account_made_a_moment_ago_is_fetched() {
    let (stage, injector) = deaf().await;
    stage.api.store(|store| store.put(Kind::Accounts, account("new", CLIENT)));
    let injected = injector.review(&pod_of("new")).await.applied(&pod_of("new"));
    assert_eq!(variable(&injected, "api", "AZURE_CLIENT_ID").as_deref(), Some(CLIENT));
    let fetched = stage.api.calls(Verb::Get, Kind::Accounts);
    assert_eq!(
        fetched.iter().map(|call| call.path.as_str()).collect::<Vec<_>>(),
        ["/api/v1/namespaces/shop/serviceaccounts/new"]
    );
    stage.api.assert_nothing_was_refused();
}

#[tokio::test]
async fn a_known_account_is_not_asked_for() {
    let (stage, injector) = Stage::ready().await;
    for _ in 0..3 {
        injector.review(&pod()).await.patch();
    }
    assert!(stage.api.calls(Verb::Get, Kind::Accounts).is_empty());
    assert!(stage.api.calls(Verb::Get, Kind::Namespaces).is_empty());
}

#[tokio::test]
async fn a_pod_of_an_account_that_is_not_there_is_judged_without_one() {
    let (stage, injector) = Stage::ready().await;
    let said = injector.review(&pod_of("nobodys")).await.refusal();
    assert!(said.contains("inject-missing"), "{said}");
    let annotated = changed(|pod| {
        pod["spec"]["serviceAccountName"] = json!("nobodys");
        pod["metadata"]["annotations"] = json!({"unsecret.dev/client-id": CLIENT});
    });
    injector.review(&annotated).await.patch();
    stage.api.assert_nothing_was_refused();
}

#[tokio::test]
async fn a_fetch_that_fails_or_hangs_leaves_the_pod_to_the_failure_policy() {
    for fault in [Fault::Status(500), Fault::Status(403), Fault::Hang] {
        let (stage, injector) = deaf().await;
        stage.api.fault(Verb::Get, Kind::Accounts, fault);
        let clock = SystemClock::new();
        let begin = clock.now().mono;
        let answer = injector.review(&pod_of("new")).await;
        // The budget is one second; the API server waits for five.
        assert!(clock.now().mono.saturating_sub(begin) < Duration::from_secs(5), "{fault:?}");
        assert_eq!(answer.status, 503, "{fault:?}: {}", answer.body);
        assert!(!answer.body.is_empty() && serde_json::from_str::<serde_json::Value>(&answer.body).is_err());
        assert!((injector.metric(REQUESTS, &[("result", "error")]).await - 1.0).abs() < 0.1, "{fault:?}");
        // Those that need nothing are answered all the same.
        injector.review(&pod()).await.patch();
    }
}

#[tokio::test]
async fn who_does_not_ask_is_answered_without_any_lookup() {
    let (stage, injector) = deaf().await;
    stage.api.fault(Verb::Get, Kind::Accounts, Fault::Hang);
    for label in [json!({}), json!({"unsecret.dev/inject": "false"})] {
        let mut pod = pod_of("new");
        pod["metadata"]["labels"] = label;
        assert_eq!(injector.review(&pod).await.response()["allowed"], true);
    }
    assert!(stage.api.calls(Verb::Get, Kind::Accounts).is_empty());
}

#[tokio::test]
async fn names_that_are_no_names_do_not_reach_the_api() {
    let (stage, injector) = deaf().await;
    for name in ["../../../../api/v1/secrets", "a?watch=true", "a/b", "a%2fb", ".."] {
        let answer = injector.review(&pod_of(name)).await;
        assert!([200, 400, 503].contains(&answer.status.as_u16()), "{name}: {}", answer.body);
    }
    stage.api.assert_nothing_was_refused();
    assert!(stage.api.journal().iter().all(|call| call.kind.is_some()), "{:#?}", stage.api.journal());
}
