//! Pods created through the chart's webhook configuration, its Service and its selectors: what becomes of them in the real
//! chain of admission, with Pod Security and the chart's own policies behind it.
//!
//! The reviews are answered by `responder`. Easy to get wrong: a Service leads the API server to a cluster's network, which is
//! not here. As an ExternalName it leads to this machine, and the certificate is still judged by the Service's name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use unsecret::inject::Values;

use super::beside::until;
use super::release::{INJECTED, INJECTOR, NAMESPACE, Release, pod, release};
use super::responder::Responder;
use super::stood::{Stood, container};
use super::tokens::ask;

struct Webhook {
    release: &'static Release,
}

async fn webhook() -> Option<&'static Webhook> {
    static WEBHOOK: OnceCell<Option<Webhook>> = OnceCell::const_new();
    WEBHOOK.get_or_init(start).await.as_ref()
}

async fn start() -> Option<Webhook> {
    let release = release().await?;
    let server = release.server;
    let values: Value =
        serde_json::from_str(&std::fs::read_to_string(server.stage.join("values.yaml")).unwrap()).unwrap();
    let responder = Responder::start(
        Values::read(&values).unwrap(),
        &format!("{INJECTOR}.{NAMESPACE}.svc"),
        server.json(&["get", "namespace", INJECTED]),
        server.json(&["get", "serviceaccount", "billing", "--namespace", INJECTED]),
    );
    server.run(&["delete", "service", INJECTOR, "--namespace", NAMESPACE]);
    server.run(&["create", "service", "externalname", INJECTOR, "--external-name=localhost", "--namespace", NAMESPACE]);
    let change = json!([
        {"op": "replace", "path": "/webhooks/0/clientConfig/service/port", "value": responder.port},
        {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": STANDARD.encode(&responder.ca_pem)},
    ]);
    server.run(&["patch", &configuration(), "--type=json", "--patch", &change.to_string()]);
    // The API server hears of both by a watch, a moment later.
    let tried = until("the webhook is asked", || server.create(&pod("first")).ok()).await;
    assert_eq!(container(&tried, "unsecret")["name"], "unsecret");
    Some(Webhook { release })
}

fn configuration() -> String {
    format!("mutatingwebhookconfiguration/{INJECTOR}-{NAMESPACE}")
}

impl Webhook {
    fn create(&self, pod: &Value) -> Result<Value, String> {
        self.release.server.create(pod)
    }

    fn created(&self, pod: &Value) -> Value {
        self.create(pod).unwrap()
    }
}

fn changed(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = pod(name);
    change(&mut pod);
    pod
}

#[tokio::test]
async fn a_labelled_pod_gets_the_broker_and_its_application_a_token() {
    let Some(webhook) = webhook().await else { return };
    let kept = webhook.created(&pod("asks"));
    let broker = container(&kept, "unsecret");
    assert_eq!(broker["restartPolicy"], "Always", "a native sidecar");
    assert_eq!(kept["spec"]["initContainers"].as_array().unwrap().len(), 1);
    let stood = Stood::up(webhook.release, &kept).await;
    let endpoint = stood.variable("IDENTITY_ENDPOINT").strip_prefix("http://").unwrap();
    let (door, _) = endpoint.split_once('/').unwrap();
    let (status, answer) = ask(door, stood.variable("IDENTITY_HEADER")).await;
    assert_eq!(status, 200, "{answer}\n{}", stood.broker.said());
    assert!(answer["access_token"].is_string());
    assert_eq!(ask(door, "6e9f0a6e-0000-4000-8000-000000000000").await.0, 401, "another pod's uid is no key");
}

#[tokio::test]
async fn an_injected_pod_is_taken_as_it_is() {
    let Some(webhook) = webhook().await else { return };
    let once = webhook.created(&pod("once"));
    let mut again = once.clone();
    again["metadata"] = json!({
        "name": "again",
        "namespace": INJECTED,
        "labels": once["metadata"]["labels"],
        "annotations": once["metadata"]["annotations"],
    });
    let twice = webhook.created(&again);
    assert_eq!(twice["spec"], once["spec"]);
    assert_eq!(twice["metadata"]["annotations"], once["metadata"]["annotations"]);
}

#[tokio::test]
async fn a_pod_that_does_not_ask_or_says_no_is_left_as_it_is() {
    let Some(webhook) = webhook().await else { return };
    let no = changed("no", |pod| pod["metadata"]["labels"]["unsecret.dev/inject"] = json!("false"));
    let silent = changed("silent", |pod| pod["metadata"]["labels"] = json!({}));
    for pod in [no, silent] {
        let kept = webhook.created(&pod);
        assert!(kept["spec"]["initContainers"].is_null(), "{kept}");
        assert!(container(&kept, "app")["env"].is_null(), "{kept}");
    }
}

#[tokio::test]
async fn a_refusal_says_in_kubectl_what_to_do() {
    let Some(webhook) = webhook().await else { return };
    let secret = |pod: &mut Value| {
        pod["spec"]["containers"][0]["env"] =
            json!([{"name": "AZURE_CLIENT_SECRET", "value": "canary-of-the-old-days"}]);
    };
    let port = |pod: &mut Value| pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 4780}]);
    let label = |pod: &mut Value| pod["metadata"]["labels"]["unsecret.dev/inject"] = json!("yes");
    let host = |pod: &mut Value| pod["spec"]["hostNetwork"] = json!(true);
    let windows = |pod: &mut Value| pod["spec"]["os"] = json!({"name": "windows"});
    for (name, pod, why) in [
        ("secret", changed("secret", secret), ["AZURE_CLIENT_SECRET", "unsecret.dev/leftover-secret"]),
        ("port", changed("port", port), ["4780", "`app`"]),
        ("label", changed("label", label), ["unsecret.dev/inject", "yes"]),
        ("host", changed("host", host), ["hostNetwork", "ask the broker for tokens"]),
        ("windows", changed("windows", windows), ["Windows", "unsecret.dev/inject"]),
    ] {
        let said = webhook.create(&pod).unwrap_err();
        assert!(said.contains(r#"admission webhook "inject.unsecret.dev" denied the request"#), "{name}: {said}");
        assert!(why.iter().all(|word| said.contains(word)), "{name}: {said}");
        assert!(!said.contains("canary"), "{name}: {said}");
    }
}
