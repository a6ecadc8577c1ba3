//! The chart, installed into the cluster by real Helm, with the webhook that it registers running beside the cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::beside::until;
use super::cluster;
use super::server::{Server, tool};
use super::tokens::{Entra, TENANT, VAULT};

/// The namespace of the release.
pub const NAMESPACE: &str = "unsecret";

/// Where pods are injected, by the service account `billing`.
pub const INJECTED: &str = "injected";

/// What the release calls its webhook's Deployment, Service and service account.
pub const INJECTOR: &str = "unsecret-injector";

pub struct Release {
    pub server: &'static Server,
    pub entra: Entra,
    helm: PathBuf,
}

/// Installed once for all tests.
pub async fn release() -> Option<&'static Release> {
    static RELEASE: OnceCell<Option<Release>> = OnceCell::const_new();
    RELEASE.get_or_init(install).await.as_ref()
}

async fn install() -> Option<Release> {
    let server = cluster().await?;
    let helm = tool("kubernetes/helm")?;
    server.restricted_namespace(INJECTED);
    server.run(&["create", "serviceaccount", "billing", "--namespace", INJECTED]);
    let entra = Entra::trusting(server, INJECTED).await;
    let values = json!({
        "defaults": {"tenantId": TENANT, "authorityHost": entra.authority, "allowedResources": [VAULT], "extraCaConfigMap": "entra-ca"},
        "validation": {"policy": {"enabled": true}},
    });
    fs::write(server.stage.join("values.yaml"), values.to_string()).unwrap();
    let release = Release { server, entra, helm };
    release.helm(&["install", "--create-namespace", "--values", "values.yaml"]);
    Some(release)
}

impl Release {
    /// Helm's verb with the release, its chart and its namespace.
    pub fn helm(&self, args: &[&str]) -> String {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/unsecret");
        let mut helm = Command::new(&self.helm);
        helm.env_clear().env("HOME", &self.server.stage).current_dir(&self.server.stage);
        helm.args(args).arg("unsecret").arg(chart).args(["--namespace", NAMESPACE]).args(self.server.helm_access());
        let output = helm.output().unwrap();
        let [said, complained] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "helm {args:?}: {complained}");
        said
    }

    /// May the webhook's service account do this? As `kubectl auth can-i` says.
    fn may(&self, question: &[&str]) -> bool {
        let user = format!("--as=system:serviceaccount:{NAMESPACE}:{INJECTOR}");
        let args = [&["auth", "can-i", "--quiet"], question, &[user.as_str()]].concat();
        self.server.kubectl(&args, "").is_ok()
    }
}

/// A pod that asks for the broker, of the profile "restricted".
pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": INJECTED,
            "labels": {"unsecret.dev/inject": "true"},
            "annotations": {"unsecret.dev/client-id": super::tokens::CLIENT},
        },
        "spec": {
            "serviceAccountName": "billing",
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "app",
                "image": "registry.example/billing:1.0.0",
                "securityContext": {
                    "runAsUser": 10001,
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

/// A Deployment of such pods, changed.
fn deployment(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut template = pod(name);
    change(&mut template);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": INJECTED},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {
                    "labels": {"app": name, "unsecret.dev/inject": template["metadata"]["labels"]["unsecret.dev/inject"]},
                    "annotations": template["metadata"]["annotations"],
                },
                "spec": template["spec"],
            },
        },
    })
}

#[tokio::test]
async fn the_webhook_may_do_what_it_needs_and_nothing_else() {
    let Some(release) = release().await else { return };
    let own = format!("--namespace={NAMESPACE}");
    let secret = format!("secrets/{INJECTOR}-tls");
    let webhook = format!("mutatingwebhookconfigurations/{INJECTOR}-{NAMESPACE}");
    for right in [
        &["update", secret.as_str(), own.as_str()] as &[&str],
        &["watch", &secret, &own],
        &["list", &secret, &own],
        &["patch", &webhook],
        &["watch", &webhook],
        &["list", "serviceaccounts", "--all-namespaces"],
        &["watch", "namespaces"],
    ] {
        assert!(release.may(right), "{right:?}");
    }
    for wrong in [
        &["get", "secrets", own.as_str()] as &[&str],
        &["get", &secret, &own],
        &["get", &webhook],
        &["create", "events", "--namespace=injected"],
        &["list", "secrets", &own],
        &["create", "secrets", &own],
        &["get", "secrets/another", &own],
        &["get", &secret, "--namespace=injected"],
        &["update", &webhook],
        &["patch", "mutatingwebhookconfigurations/another"],
        &["list", "mutatingwebhookconfigurations"],
        &["update", "serviceaccounts", "--all-namespaces"],
        &["create", "serviceaccounts/token", "--all-namespaces"],
        &["get", "pods", "--all-namespaces"],
        &["create", "pods", &own],
    ] {
        assert!(!release.may(wrong), "{wrong:?}");
    }
}

#[tokio::test]
async fn the_webhooks_own_pod_is_of_the_restricted_profile() {
    let Some(release) = release().await else { return };
    let server = release.server;
    server.run(&["label", "namespace", NAMESPACE, "--overwrite", "pod-security.kubernetes.io/enforce=restricted"]);
    let deployment = server.json(&["get", "deployment", INJECTOR, "--namespace", NAMESPACE]);
    let mut own = deployment["spec"]["template"].clone();
    own["apiVersion"] = json!("v1");
    own["kind"] = json!("Pod");
    own["metadata"]["name"] = json!("one");
    own["metadata"]["namespace"] = json!(NAMESPACE);
    server.create(&own).unwrap();
}

#[tokio::test]
async fn what_cannot_be_injected_is_refused_when_its_workload_is_applied() {
    let Some(release) = release().await else { return };
    let refused = async |name: &str, change: fn(&mut Value), why: &str| {
        // A new policy is not in force at once: until then each try makes the object, which is taken away again.
        let said = until(why, || {
            let said = release.server.create(&deployment(name, change)).err();
            if said.is_none() {
                release.server.run(&["delete", "deployment", name, "--namespace", INJECTED]);
            }
            said
        });
        let said = said.await;
        assert!(said.contains(why), "{said}");
    };
    refused("host", |pod| pod["spec"]["hostNetwork"] = json!(true), "shares its loopback with the whole node").await;
    let label = |pod: &mut Value| pod["metadata"]["labels"]["unsecret.dev/inject"] = json!("True");
    refused("label", label, r#"neither "true" nor "false""#).await;
    let client = |pod: &mut Value| pod["metadata"]["annotations"]["unsecret.dev/client-id"] = json!("billing");
    refused("client", client, "client-id is not a GUID").await;
    release.server.create(&deployment("right", |_| ())).unwrap();
}

#[tokio::test]
async fn the_chart_is_upgraded_over_itself() {
    let Some(release) = release().await else { return };
    release.helm(&["upgrade", "--values", "values.yaml", "--dry-run=server"]);
}
