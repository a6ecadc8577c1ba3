//! What the webhook says, and what it never says.

use http::Method;
use serde_json::{Value, json};

use super::api::Fault;
use super::api::request::Verb;
use super::api::store::Kind;
use super::certificate::field;
use super::process::Injector;
use super::stage::Stage;
use super::verdicts::{changed, pod, pod_of};
use super::{NAMESPACE, PATH, SECRET, UID};

async fn talkative(stage: &Stage, more: &[&str]) -> Injector {
    let args: Vec<_> = stage.args().into_iter().chain(more.iter().map(|&one| one.to_owned())).collect();
    let injector = Injector::start(&args, &stage.api).await;
    injector.until_ready().await;
    injector
}

#[tokio::test]
async fn a_decision_is_logged_with_what_identifies_it() {
    let (_stage, injector) = Stage::ready().await;
    injector.review(&pod()).await.patch();
    let line = injector
        .until("the decision is logged", async |it| {
            it.said().lines().find(|line| line.contains(UID)).map(str::to_owned)
        })
        .await;
    assert!(["shop", "api-7d4f-", "injected"].iter().all(|word| line.contains(word)), "{line}");
}

#[tokio::test]
async fn no_object_token_or_key_is_ever_logged() {
    let stage = Stage::new().await;
    stage.api.store(|store| {
        let annotated = |it: &mut Value| it["metadata"]["annotations"]["note"] = json!("canary-of-the-account");
        store.edit(Kind::Accounts, "shop", "api", annotated);
        store.edit(Kind::Secrets, NAMESPACE, SECRET, |it| it["data"] = json!({"note": "Y2FuYXJ5"}));
    });
    let injector = talkative(&stage, &["--log-level", "debug"]).await;
    injector.review(&pod()).await.patch();
    injector.review(&changed(|pod| pod["spec"]["hostNetwork"] = json!(true))).await.refusal();
    let answer = injector.connect().await.ask(Method::POST, PATH, "canary, no JSON").await.unwrap();
    assert_eq!(answer.status, 400);
    stage.api.fault(Verb::Get, Kind::Accounts, Fault::Status(500));
    assert_eq!(injector.review(&pod_of("nobodys")).await.status, 503);
    stage.api.fault(Verb::Patch, Kind::Configurations, Fault::Status(500));
    stage
        .api
        .store(|store| store.edit(Kind::Secrets, NAMESPACE, SECRET, |it| it["data"] = json!({"note": "Y2FuYXJ5"})));
    injector
        .until("the Secret is filled again", async |_| {
            let secret = stage.api.store(|store| super::stage::secret(store));
            secret["data"]["tls.key"].is_string().then_some(())
        })
        .await;
    let said = injector.said();
    for word in ["canary", "Y2FuYXJ5", "BEGIN", "PRIVATE"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
    // Keys in one line, as somebody may have joined them.
    for key in ["ca.key", "tls.key"] {
        let pem = field(&stage, key);
        let line = pem.lines().nth(1).unwrap().to_owned();
        assert!(!said.contains(&line), "{key}");
    }
}

#[tokio::test]
async fn a_pods_name_forges_no_line() {
    for more in [&[] as &[&str], &["--log-json"]] {
        let stage = Stage::new().await;
        let injector = talkative(&stage, more).await;
        let forged = "api\nERROR all is lost forged=1\r\u{1b}[31m\u{202e}\u{9b}31m";
        let named = changed(|pod| {
            pod["metadata"]["generateName"] = json!(forged);
            pod["spec"]["serviceAccountName"] = json!(forged);
        });
        // An answer of any kind, as long as it is one.
        injector.review(&named).await;
        injector.until("the review is logged", async |it| it.said().contains("forged=1").then_some(())).await;
        let said = injector.said();
        assert!(!said.lines().any(|line| line.starts_with("ERROR all is lost")), "{said}");
        assert!(!said.contains(['\u{1b}', '\r', '\u{9b}', '\u{202e}']), "{said:?}");
        if !more.is_empty() {
            for line in said.lines() {
                serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            }
        }
    }
}
