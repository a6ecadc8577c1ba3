//! What becomes of pods, as the API server is told.

use serde_json::{Value, json};

use super::api::store::Kind;
use super::stage::{Stage, account};
use super::{UID, reviewed};
use crate::inject::{CLIENT, container, names, variable};
use http::Method;

const OTHER_CLIENT: &str = "55555555-dddd-4eee-8fff-666666666666";

/// What a ReplicaSet makes: it has no name yet.
pub fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "api-7d4f-", "namespace": "shop", "labels": {"unsecret.dev/inject": "true"}},
        "spec": {
            "serviceAccountName": "api",
            "containers": [{
                "name": "api",
                "image": "api:1",
                "env": [{"name": "DATABASE_PASSWORD", "value": "canary-of-the-pod"}],
            }],
        },
    })
}

/// Such a pod of another service account.
pub fn pod_of(account: &str) -> Value {
    changed(|pod| pod["spec"]["serviceAccountName"] = json!(account))
}

pub fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = pod();
    change(&mut pod);
    pod
}

#[tokio::test]
async fn a_pod_that_asks_gets_the_broker_of_its_service_accounts_application() {
    let (stage, injector) = Stage::ready().await;
    let answer = injector.review(&pod()).await;
    assert_eq!(answer.response()["uid"], UID);
    let injected = answer.applied(&pod());
    assert_eq!(names(&injected, "initContainers"), ["unsecret"]);
    assert_eq!(container(&injected, "unsecret")["restartPolicy"], "Always", "a native sidecar");
    assert_eq!(container(&injected, "unsecret")["image"], "registry.example/unsecret:1.0.0");
    assert_eq!(variable(&injected, "api", "AZURE_CLIENT_ID").as_deref(), Some(CLIENT));
    assert_eq!(variable(&injected, "api", "DATABASE_PASSWORD").as_deref(), Some("canary-of-the-pod"));
    stage.api.assert_nothing_was_refused();
}

#[tokio::test]
async fn an_injected_pod_is_left_as_it_is_unless_a_container_came_later() {
    let (_stage, injector) = Stage::ready().await;
    let injected = injector.review(&pod()).await.applied(&pod());
    let again = injector.review(&injected).await.response();
    assert_eq!((&again["allowed"], &again["patch"]), (&json!(true), &Value::Null));
    let mut later = injected;
    later["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "late", "image": "late:1"}));
    let later = injector.review(&later).await.applied(&later);
    assert_eq!(variable(&later, "late", "AZURE_CLIENT_ID").as_deref(), Some(CLIENT));
}

#[tokio::test]
async fn a_pod_that_does_not_ask_passes_as_it_is() {
    let (_stage, injector) = Stage::ready().await;
    let no = changed(|pod| pod["metadata"]["labels"]["unsecret.dev/inject"] = json!("false"));
    let silent = changed(|pod| pod["metadata"]["labels"] = json!({"app": "api"}));
    for pod in [no, silent] {
        let response = injector.review(&pod).await.response();
        assert_eq!((&response["uid"], &response["allowed"]), (&json!(UID), &json!(true)));
        assert_eq!((&response["patch"], &response["patchType"]), (&Value::Null, &Value::Null));
    }
}

#[tokio::test]
async fn a_refusal_says_why_its_code_and_what_to_do() {
    let (_stage, injector) = Stage::ready().await;
    let host = changed(|pod| pod["spec"]["hostNetwork"] = json!(true));
    let label = changed(|pod| pod["metadata"]["labels"]["unsecret.dev/inject"] = json!("yes"));
    let secret = changed(|pod| {
        pod["spec"]["containers"][0]["env"] =
            json!([{"name": "AZURE_CLIENT_SECRET", "value": "canary-of-the-old-days"}]);
    });
    for (pod, words) in [
        (host, ["hostNetwork: true", "inject-host-network", "run without hostNetwork"]),
        (label, ["\"yes\"", "inject-label", "write `unsecret.dev/inject: \"true\"`"]),
        (secret, ["AZURE_CLIENT_SECRET", "inject-leftover-secret", "unsecret.dev/leftover-secret: strip"]),
        (pod_of("nobodys"), ["which application", "inject-missing", "annotate the pod's service account"]),
    ] {
        let message = injector.review(&pod).await.refusal();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert!(!message.contains("canary"), "{message}");
    }
}

#[tokio::test]
async fn a_misspelt_annotation_is_warned_of() {
    let (_stage, injector) = Stage::ready().await;
    let pod = changed(|pod| pod["metadata"]["annotations"] = json!({"unsecret.dev/ressources": "*"}));
    let response = injector.review(&pod).await.response();
    assert_eq!(response["allowed"], true);
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.contains("unsecret.dev/resources") && warning.chars().count() <= 256, "{warning}");
}

#[tokio::test]
async fn what_the_namespace_says_counts_for_its_pods() {
    let (stage, injector) = Stage::ready().await;
    let annotations = json!({"unsecret.dev/client-id": OTHER_CLIENT});
    stage.api.store(|store| store.edit(Kind::Namespaces, "", "shop", |it| it["metadata"]["annotations"] = annotations));
    injector
        .until("the namespace's word", async |it| {
            let injected = it.review(&pod()).await.applied(&pod());
            (variable(&injected, "api", "AZURE_CLIENT_ID")? == OTHER_CLIENT).then_some(())
        })
        .await;
}

#[tokio::test]
async fn accounts_of_one_name_in_two_namespaces_are_two() {
    let stage = Stage::new().await;
    stage.api.store(|store| {
        store.put(Kind::Namespaces, json!({"metadata": {"name": "stock"}}));
        let mut other = account("api", OTHER_CLIENT);
        other["metadata"]["namespace"] = json!("stock");
        store.put(Kind::Accounts, other);
    });
    let injector = stage.start().await;
    injector.until_ready().await;
    for (namespace, client) in [("shop", CLIENT), ("stock", OTHER_CLIENT)] {
        let pod = changed(|pod| pod["metadata"]["namespace"] = json!(namespace));
        let mut review = reviewed(&pod);
        review["request"]["namespace"] = json!(namespace);
        let answer = injector.connect().await.ask(Method::POST, super::PATH, review.to_string()).await.unwrap();
        assert_eq!(variable(&answer.applied(&pod), "api", "AZURE_CLIENT_ID").as_deref(), Some(client));
    }
}

#[tokio::test]
async fn what_is_no_new_pod_passes_as_it_is() {
    let (_stage, injector) = Stage::ready().await;
    let changes: [fn(&mut Value); 3] = [
        |review| review["request"]["operation"] = json!("UPDATE"),
        |review| review["request"]["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"}),
        |review| review["request"]["subResource"] = json!("ephemeralcontainers"),
    ];
    for change in changes {
        let mut review = reviewed(&pod());
        change(&mut review);
        let answer = injector.connect().await.ask(Method::POST, super::PATH, review.to_string()).await.unwrap();
        let response = answer.response();
        assert_eq!((&response["allowed"], &response["patch"]), (&json!(true), &Value::Null), "{review}");
    }
    assert!(injector.metric("unsecret_injector_admission_requests_total", &[("result", "skipped")]).await > 2.5);
}
