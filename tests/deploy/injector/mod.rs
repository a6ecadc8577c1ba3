//! `unsecret injector`, the real binary, before a strict fake of the Kubernetes API.
//!
//! Written from the specification (section 2.3), not from the code. Easy to get wrong: the fake runs on the test's own
//! runtime, so a test must not block; and it accepts only what the chart's RBAC grants.

mod api;
mod bundle;
mod caches;
mod certificate;
mod client;
mod doors;
mod folder;
mod hostile;
mod log;
mod lookup;
mod metrics;
mod process;
mod renewal;
mod replicas;
mod stage;
mod start;
mod stop;
mod verdicts;

use std::time::Duration;

use serde_json::{Value, json};

use api::store::{Kind, Store};
use process::unpacked;

/// Nothing here takes longer, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(30);

const NAMESPACE: &str = "unsecret";
const SERVICE: &str = "unsecret-injector";
const SECRET: &str = "unsecret-injector-tls";
const CONFIGURATION: &str = "unsecret-injector-unsecret";

/// The webhook's name inside its configuration.
const WEBHOOK: &str = "inject.unsecret.dev";

/// What the API server asks for.
const HOST: &str = "unsecret-injector.unsecret.svc";
const PATH: &str = "/v1/mutate";

/// By which an answer belongs to its question.
const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

/// Waits for a condition.
async fn until<T>(what: impl Fn() -> String, probe: impl AsyncFn() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {}", what()))
}

/// The question about a pod of namespace `shop`, as a kube-apiserver asks it.
fn reviewed(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "shop",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
}

/// Our webhook's `caBundle` in a configuration, unpacked.
fn bundle(store: &Store, configuration: &str) -> Option<String> {
    let configuration = store.object(Kind::Configurations, "", configuration)?;
    let webhooks = configuration["webhooks"].as_array()?;
    let ours = webhooks.iter().find(|webhook| webhook["name"] == WEBHOOK)?;
    unpacked(&ours["clientConfig"]["caBundle"])
}
