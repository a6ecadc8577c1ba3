//! Pods created through the chart's webhook configuration, its Service and its selectors: what becomes of them in the real
//! chain of admission, with Pod Security and the chart's own policies behind it.
//!
//! `unsecret injector` answers, with the arguments and the rights that the chart gives it. Easy to get wrong: a Service leads the
//! API server to a cluster's network, which is not here. As an ExternalName it leads to this machine, and the certificate is
//! still judged by the Service's name.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use unsecret::clock::{Clock as _, SystemClock};
use unsecret::local_ca::LocalCa;

use super::beside::{Beside, until};
use super::release::{INJECTED, INJECTOR, NAMESPACE, Release, pod, release};
use super::server::free_ports;
use super::stood::{Stood, container};
use super::tokens::ask;
use super::unsecret;

struct Webhook {
    release: &'static Release,
    injector: Beside,
}

async fn webhook() -> Option<&'static Webhook> {
    static WEBHOOK: OnceCell<Option<Webhook>> = OnceCell::const_new();
    WEBHOOK.get_or_init(start).await.as_ref()
}

async fn start() -> Option<Webhook> {
    let release = release().await?;
    let server = release.server;
    let [port] = free_ports();
    server.run(&["delete", "service", INJECTOR, "--namespace", NAMESPACE]);
    server.run(&["create", "service", "externalname", INJECTOR, "--external-name=localhost", "--namespace", NAMESPACE]);
    let change = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/service/port", "value": port}]);
    server.run(&["patch", &configuration(), "--type=json", "--patch", &change.to_string()]);
    let injector = injector(release, port);
    // The API server hears of the caBundle by a watch, a moment later.
    let tried = until("the webhook is asked", || server.create(&pod("first")).ok()).await;
    assert_eq!(container(&tried, "unsecret")["name"], "unsecret");
    Some(Webhook { release, injector })
}

/// As the chart's Deployment starts it, but for what is elsewhere without a node: addresses, volumes, the token.
fn injector(release: &Release, port: u16) -> Beside {
    let server = release.server;
    let settings = server.json(&["get", "configmap", INJECTOR, "--namespace", NAMESPACE]);
    let values = server.stage.join("injector-values.yaml");
    fs::write(&values, settings["data"]["values.yaml"].as_str().unwrap()).unwrap();
    let token = server.stage.join("injector-token");
    fs::write(&token, server.run(&["create", "token", INJECTOR, "--namespace", NAMESPACE])).unwrap();
    let deployment = server.json(&["get", "deployment", INJECTOR, "--namespace", NAMESPACE]);
    let args = deployment["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    let mut command = unsecret();
    for arg in args.as_array().unwrap() {
        match arg.as_str().unwrap().split_once('=') {
            Some(("--values", _)) => command.arg(format!("--values={}", values.display())),
            Some(("--listen", _)) => command.arg(format!("--listen=127.0.0.1:{port}")),
            Some(("--admin", _)) => command.arg("--admin=127.0.0.1:0"),
            _ => command.arg(arg.as_str().unwrap()),
        };
    }
    command.arg(format!("--api-server=https://127.0.0.1:{}", server.port));
    command.arg(format!("--api-ca-file={}", server.ca_file())).arg(format!("--api-token-file={}", token.display()));
    Beside::start(&command, &server.stage.join("injector.log"))
}

fn configuration() -> String {
    format!("mutatingwebhookconfiguration/{INJECTOR}-{NAMESPACE}")
}

/// What the API server trusts.
fn ca_bundle(webhook: &Webhook) -> String {
    let configuration = webhook.release.server.json(&["get", &configuration()]);
    let bundle = configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned();
    String::from_utf8(STANDARD.decode(bundle).unwrap()).unwrap()
}

fn patch_secret(webhook: &Webhook, data: &Value) {
    let name = format!("secret/{INJECTOR}-tls");
    let change = json!([{"op": "replace", "path": "/data", "value": data}]).to_string();
    webhook.release.server.run(&["patch", &name, "--namespace", NAMESPACE, "--type=json", "--patch", &change]);
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

/// The one test that touches the certificate: in turn, since all tests share the webhook.
#[tokio::test]
async fn trust_is_restored_and_a_ca_near_its_end_is_replaced_beside_the_old_one() {
    let Some(webhook) = webhook().await else { return };
    let before = ca_bundle(webhook);
    let server = webhook.release.server;
    let emptied = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}]).to_string();
    server.run(&["patch", &configuration(), "--type=json", "--patch", &emptied]);
    until("the caBundle is written again", || (ca_bundle(webhook) == before).then_some(())).await;
    patch_secret(webhook, &json!({}));
    let secret =
        || server.json(&["get", "secret", &format!("{INJECTOR}-tls"), "--namespace", NAMESPACE])["data"].clone();
    until("the Secret has its certificate again", || secret()["ca.crt"].is_string().then_some(())).await;
    assert_eq!(ca_bundle(webhook), before, "the same one");
    let old = near_its_end();
    patch_secret(webhook, &old.data);
    let both =
        until("two CAs are trusted", || Some(ca_bundle(webhook)).filter(|bundle| bundle.ends_with(&old.ca))).await;
    assert_eq!(both.matches("BEGIN CERTIFICATE").count(), 2);
    until("a pod is injected under the new CA", || webhook.create(&pod("rotated")).ok()).await;
    let said = webhook.injector.said();
    assert!(!said.contains("PRIVATE KEY") && !said.contains("forbidden"), "{said}");
}

struct Old {
    ca: String,
    data: Value,
}

/// A certificate with some weeks left, under a CA with some months left.
fn near_its_end() -> Old {
    let (now, day) = (SystemClock::new().now(), std::time::Duration::from_secs(86_400));
    let ca = LocalCa::create("unsecret injector CA", now, day * 100).unwrap();
    let host = format!("{INJECTOR}.{NAMESPACE}.svc");
    let leaf = ca.leaf(&[format!("{host}.cluster.local"), host], now, day * 80).unwrap();
    let data = json!({
        "ca.crt": STANDARD.encode(ca.certificate_pem()),
        "ca.key": STANDARD.encode(ca.key_pem().expose()),
        "tls.crt": STANDARD.encode(leaf.chain_pem()),
        "tls.key": STANDARD.encode(leaf.key_pem().expose()),
    });
    Old { ca: ca.certificate_pem().to_owned(), data }
}
