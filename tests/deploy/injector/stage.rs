//! What the chart and a cluster's people have made before the webhook starts: its empty Secret, its configuration, a
//! namespace with a service account, and the webhook's files.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::api::Api;
use super::api::store::{Kind, Store};
use super::process::Injector;
use super::{CONFIGURATION, NAMESPACE, SECRET, SERVICE, WEBHOOK};
use crate::inject::{CLIENT, TENANT, VAULT};

/// In the token that opens the API, and so in nothing that anybody writes.
pub const TOKEN: &str = "canary-of-the-service-account-token";

pub struct Stage {
    pub api: Api,
    folder: TempDir,
}

impl Stage {
    pub async fn new() -> Self {
        let api = Api::start([NAMESPACE, SECRET, CONFIGURATION], TOKEN).await;
        api.store(|store| {
            store.put(Kind::Namespaces, json!({"metadata": {"name": "shop"}, "spec": {"finalizers": ["kubernetes"]}}));
            store.put(Kind::Accounts, account("api", CLIENT));
            store.put(Kind::Secrets, empty_secret());
            store.put(Kind::Configurations, configuration());
        });
        let stage = Self { api, folder: tempfile::tempdir().unwrap() };
        let values = json!({
            "image": {"registry": "registry.example", "repository": "unsecret", "tag": "1.0.0"},
            "defaults": {"tenantId": TENANT, "allowedResources": [VAULT]},
        });
        stage.write("values.yaml", &values.to_string());
        stage.write("ca.crt", &stage.api.ca_pem);
        stage.write("token", TOKEN);
        stage
    }

    /// With a webhook that is ready.
    pub async fn ready() -> (Self, Injector) {
        let stage = Self::new().await;
        let injector = stage.start().await;
        injector.until_ready().await;
        (stage, injector)
    }

    /// One whose sockets are bound. More than one may run at once.
    pub async fn start(&self) -> Injector {
        Injector::start(&self.args(), &self.api).await
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Whole or not at all, as the kubelet does.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.path("being-written");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    /// With a certificate of its own making.
    pub fn args(&self) -> Vec<String> {
        let own = ["--namespace", NAMESPACE, "--service", SERVICE, "--secret", SECRET, "--webhook", CONFIGURATION]
            .map(str::to_owned);
        [self.common(), own.to_vec()].concat()
    }

    /// Without a word on its certificate.
    pub fn common(&self) -> Vec<String> {
        let file = |name| self.path(name).display().to_string();
        let server = format!("https://localhost:{}", self.api.port);
        let (values, ca, token) = (file("values.yaml"), file("ca.crt"), file("token"));
        let all = ["injector", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--values", &values];
        let api = ["--api-server", &server, "--api-ca-file", &ca, "--api-token-file", &token];
        [&all[..], &api[..]].concat().into_iter().map(str::to_owned).collect()
    }
}

/// A service account of `shop` that belongs to this application.
pub fn account(name: &str, client: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop", "annotations": {"unsecret.dev/client-id": client}}, "secrets": []})
}

/// As the chart makes it, with what Helm writes on it.
pub fn empty_secret() -> Value {
    json!({
        "metadata": {
            "name": SECRET, "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": "unsecret"},
        },
        "type": "Opaque",
    })
}

/// Ours is not the first in it.
pub fn configuration() -> Value {
    let webhook =
        |name: &str| json!({"name": name, "clientConfig": {"service": {"name": SERVICE, "namespace": NAMESPACE}}});
    json!({
        "metadata": {"name": CONFIGURATION, "labels": {"app.kubernetes.io/managed-by": "Helm"}},
        "webhooks": [webhook("another.example"), webhook(WEBHOOK)],
    })
}

/// The webhook's Secret as it is now.
pub fn secret(store: &Store) -> Value {
    store.object(Kind::Secrets, NAMESPACE, SECRET).unwrap().clone()
}
