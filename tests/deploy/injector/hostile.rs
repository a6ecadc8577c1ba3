//! Pods that were written to hurt the webhook. Whoever may make pods chooses every byte of one, up to 3 MiB, and it comes here
//! before the API server has judged it: names are of any length, and lists have as many elements as fit.
//!
//! Easy to get wrong: a test program is slow, so what is linear may take a second here; what is quadratic takes minutes.

use std::fmt::Write as _;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::api::store::Kind;
use super::client::encrypted;
use super::process::Injector;
use super::stage::Stage;
use super::verdicts::{changed, pod};
use super::{CONFIGURATION, HOST, PATH, bundle};

const MIB: usize = 1024 * 1024;

/// What the chart lets the webhook's container have.
const LIMIT: u64 = 96 * 1024;

/// The most memory that the process ever had, in KiB.
fn peak(injector: &Injector) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", injector.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A pod with this text, JSON, in the place of its first container's `env`.
fn with_env(env: &str) -> String {
    let pod = changed(|pod| pod["spec"]["containers"][0]["env"] = json!("HERE"));
    super::reviewed(&pod).to_string().replace("\"HERE\"", env)
}

async fn status(injector: &Injector, review: String) -> u16 {
    injector.connect().await.ask(Method::POST, PATH, review).await.unwrap().status.as_u16()
}

#[tokio::test]
async fn a_pod_of_very_many_parts_takes_little_memory_and_is_no_pod() {
    let (_stage, injector) = Stage::ready().await;
    let one = r#"{"name":"a"},"#;
    let env = one.repeat((3 * MIB - 4096) / one.len());
    assert_eq!(status(&injector, with_env(&format!("[{}]", env.trim_end_matches(',')))).await, 400);
    assert!(peak(&injector) < LIMIT, "{} KiB", peak(&injector));
    // More than any pod has.
    let env: Vec<_> = (0..5_000).map(|n| json!({"name": format!("V{n}"), "value": "x"})).collect();
    assert_eq!(status(&injector, with_env(&json!(env).to_string())).await, 200);
    injector.review(&pod()).await.patch();
}

#[tokio::test]
async fn many_large_pods_at_once_take_little_memory() {
    let (_stage, injector) = Stage::ready().await;
    let large = changed(|pod| pod["metadata"]["annotations"] = json!({"example.org/much": "x".repeat(2 * MIB)}));
    let review = super::reviewed(&large).to_string();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (mut connection, review) = (injector.connect().await, review.clone());
        asking.spawn(async move { connection.ask(Method::POST, PATH, review).await.unwrap().status.as_u16() });
    }
    let answers = asking.join_all().await;
    assert_eq!(answers, vec![200; 40]);
    assert!(peak(&injector) < LIMIT, "{} KiB", peak(&injector));
}

#[tokio::test]
async fn reviews_that_never_end_take_little_memory_and_keep_nobody_waiting() {
    let (stage, injector) = Stage::ready().await;
    let roots = stage.api.store(|store| bundle(store, CONFIGURATION)).unwrap();
    let mut begun = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let (mut stream, _) = encrypted(injector.webhook, HOST, &roots, &[&rustls::version::TLS13]).await.unwrap();
        begun.spawn(async move {
            let head = format!("POST {PATH} HTTP/1.1\r\nhost: webhook\r\ncontent-length: {}\r\n\r\n", 3 * MIB);
            let sent = async {
                stream.write_all(head.as_bytes()).await?;
                stream.write_all(&vec![b' '; 3 * MIB - 1]).await?;
                stream.flush().await
            };
            let _ = tokio::time::timeout(Duration::from_secs(3), sent).await;
            stream
        });
    }
    injector.review(&pod()).await.patch();
    let held = begun.join_all().await;
    assert!(peak(&injector) < LIMIT, "{} KiB", peak(&injector));
    injector.review(&pod()).await.patch();
    drop(held);
}

#[tokio::test]
async fn names_of_any_length_and_number_are_read_at_once() {
    let (_stage, injector) = Stage::ready().await;
    let long = "a".repeat(MIB / 2);
    let mut many = String::new();
    (0..100_000).for_each(|n| write!(many, "c{n},").unwrap());
    let annotated = |key: &str, value: &str| {
        let mut pod = pod();
        pod["metadata"]["annotations"][key] = json!(value);
        pod
    };
    let mut named = annotated("unsecret.dev/containers", &long);
    named["spec"]["containers"][0]["name"] = json!("b".repeat(MIB / 2));
    for hostile in [
        annotated(&format!("unsecret.dev/{long}"), "x"),
        named,
        annotated("unsecret.dev/containers", &many),
        secrets(1, 15_000),
        secrets(8_000, 1),
    ] {
        let answer = injector.review(&hostile).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.len() < MIB, "{}", answer.body.len());
    }
}

/// So many containers with so many secrets each.
fn secrets(containers: usize, each: usize) -> Value {
    let env = vec![json!({"name": "AZURE_CLIENT_SECRET"}); each];
    let all: Vec<_> = (0..containers).map(|n| json!({"name": format!("c{n}"), "env": env})).collect();
    changed(|pod| pod["spec"]["containers"] = json!(all))
}

#[tokio::test]
async fn accounts_with_very_long_annotations_are_read_in_smaller_pages() {
    let stage = Stage::new().await;
    stage.api.store(|store| {
        for n in 0..300 {
            let annotations = json!({"example.org/much": "x".repeat(250 * 1024)});
            let metadata = json!({"name": format!("z{n:04}"), "namespace": "shop", "annotations": annotations});
            store.put(Kind::Accounts, json!({"metadata": metadata}));
        }
    });
    let injector = stage.start().await;
    injector.until_ready().await;
    assert!(peak(&injector) < LIMIT, "{} KiB", peak(&injector));
    injector.review(&pod()).await.patch();
    stage.api.assert_nothing_was_refused();
}
