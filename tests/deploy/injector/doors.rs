//! The webhook's door: what it speaks, and what it says no to.

use http::Method;
use serde_json::{Value, json};

use super::api::store::Kind;
use super::client::Connection;
use super::process::Injector;
use super::stage::Stage;
use super::verdicts::{changed, pod};
use super::{CONFIGURATION, HOST, PATH, bundle, reviewed};

const MIB: usize = 1024 * 1024;

async fn asked(injector: &Injector, method: Method, path: &str, body: impl Into<bytes::Bytes>) -> (u16, String) {
    let answer = injector.connect().await.ask(method, path, body).await.unwrap();
    (answer.status.as_u16(), answer.body)
}

#[tokio::test]
async fn only_tls_1_3_is_spoken() {
    let (stage, injector) = Stage::ready().await;
    let roots = stage.api.store(|store| bundle(store, CONFIGURATION)).unwrap();
    assert!(Connection::open(injector.webhook, HOST, &roots, &[&rustls::version::TLS13]).await.is_ok());
    assert!(Connection::open(injector.webhook, HOST, &roots, &[&rustls::version::TLS12]).await.is_err());
    assert!(Connection::plain(injector.webhook).await.unwrap().ask(Method::POST, PATH, "{}").await.is_err());
    injector.review(&pod()).await.patch();
}

#[tokio::test]
async fn a_connection_carries_many_reviews() {
    let (_stage, injector) = Stage::ready().await;
    let mut connection = injector.connect().await;
    for _ in 0..3 {
        connection.ask(Method::POST, PATH, reviewed(&pod()).to_string()).await.unwrap().patch();
    }
}

#[tokio::test]
async fn another_path_is_not_found_and_another_method_not_allowed() {
    let (_stage, injector) = Stage::ready().await;
    let review = reviewed(&pod()).to_string();
    for path in ["/", "/v1/mutate/", "/v2/mutate", "/metrics", "/readyz"] {
        assert_eq!(asked(&injector, Method::POST, path, review.clone()).await.0, 404, "{path}");
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_eq!(asked(&injector, method.clone(), PATH, "").await.0, 405, "{method}");
    }
    // The API server asks with a timeout.
    assert_eq!(asked(&injector, Method::POST, "/v1/mutate?timeout=5s", review).await.0, 200);
}

#[tokio::test]
async fn a_review_of_3_mib_is_read_and_a_larger_one_is_not() {
    let (_stage, injector) = Stage::ready().await;
    let bare = reviewed(&padded(0)).to_string().len();
    let whole = reviewed(&padded(3 * MIB - bare)).to_string();
    assert_eq!(whole.len(), 3 * MIB);
    assert_eq!(asked(&injector, Method::POST, PATH, whole).await.0, 200);
    let larger = reviewed(&padded(3 * MIB - bare + 1)).to_string();
    assert_eq!(asked(&injector, Method::POST, PATH, larger).await.0, 413);
    injector.review(&pod()).await.patch();
}

/// A pod with so many letters more.
fn padded(letters: usize) -> Value {
    changed(|pod| pod["metadata"]["annotations"] = json!({"example.org/much": "x".repeat(letters)}))
}

#[tokio::test]
async fn what_is_no_review_of_version_1_is_refused_in_words() {
    let (_stage, injector) = Stage::ready().await;
    let mut older = reviewed(&pod());
    older["apiVersion"] = json!("admission.k8s.io/v1beta1");
    let mut nameless = reviewed(&pod());
    nameless["request"].as_object_mut().unwrap().remove("uid");
    let mut empty = reviewed(&pod());
    empty["request"]["object"] = Value::Null;
    for (body, word) in [
        ("canary, no JSON".to_owned(), "JSON"),
        (String::new(), "JSON"),
        ("[]".to_owned(), "AdmissionReview"),
        (older.to_string(), "v1beta1"),
        (pod().to_string(), "AdmissionReview"),
        (nameless.to_string(), "uid"),
        (empty.to_string(), "object"),
    ] {
        let (status, said) = asked(&injector, Method::POST, PATH, body).await;
        assert_eq!(status, 400, "{said}");
        assert!(said.contains(word) && !said.contains("canary"), "{said}");
    }
}

#[tokio::test]
async fn a_dry_run_is_answered_as_any_other_and_changes_nothing() {
    let (stage, injector) = Stage::ready().await;
    let mut dry = reviewed(&pod());
    dry["request"]["dryRun"] = json!(true);
    let before = stage.api.store(|store| store.version);
    let answer = injector.connect().await.ask(Method::POST, PATH, dry.to_string()).await.unwrap();
    assert_eq!(answer.patch(), injector.review(&pod()).await.patch());
    assert_eq!(stage.api.store(|store| store.version), before);
}

#[tokio::test]
async fn the_door_for_probes_knows_nothing_else() {
    let (stage, injector) = Stage::ready().await;
    assert_eq!(injector.page("/v1/mutate").await.status, 404);
    assert_eq!(injector.page("/").await.status, 404);
    let mut connection = Connection::plain(injector.admin).await.unwrap();
    assert_eq!(connection.ask(Method::POST, "/livez", "").await.unwrap().status, 405);
    assert_eq!(stage.api.store(|store| store.all(Kind::Secrets).len()), 1);
}
