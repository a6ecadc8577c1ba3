//! What is asked of the API, and whether the chart's rights allow it.

use std::collections::BTreeMap;

use http::Method;
use http::request::Parts;
use serde_json::Value;

use super::store::Kind;

/// As a ClusterRole names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    List,
    Watch,
    Update,
    Patch,
    /// Anything else.
    Other,
}

/// One call, as the journal keeps it.
#[derive(Clone, Debug)]
pub struct Call {
    pub verb: Verb,
    /// `None` for what the webhook has no business with.
    pub kind: Option<Kind>,
    pub namespace: String,
    pub name: Option<String>,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub accept: String,
    pub content_type: String,
    pub body: Value,
    /// What it was answered with; 0 while it is not.
    pub status: u16,
}

impl Call {
    pub fn of(head: &Parts, body: &[u8]) -> Self {
        let query = url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
        let query: BTreeMap<String, String> = query.into_owned().collect();
        let header = |name: &str| {
            let value = head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            value.unwrap_or_default()
        };
        let (kind, namespace, name) = place(head.uri.path());
        let is_watch = query.get("watch").is_some_and(|value| value == "true");
        let verb = match (&head.method, &name) {
            (&Method::GET, Some(_)) if !is_watch => Verb::Get,
            (&Method::GET, None) if is_watch => Verb::Watch,
            (&Method::GET, None) => Verb::List,
            (&Method::PUT, Some(_)) => Verb::Update,
            (&Method::PATCH, Some(_)) => Verb::Patch,
            _ => Verb::Other,
        };
        // The field selector of a single object stands for its name, in rights as well.
        let selected = query.get("fieldSelector").and_then(|selector| selector.strip_prefix("metadata.name="));
        let name = name.or_else(|| selected.map(str::to_owned));
        Self {
            verb,
            kind,
            namespace,
            name,
            path: head.uri.path().to_owned(),
            accept: header("accept"),
            content_type: header("content-type"),
            body: serde_json::from_slice(body).unwrap_or_default(),
            query,
            status: 0,
        }
    }

    /// As charts/unsecret/templates/rbac.yaml has it, without what the webhook can do without: to get its Secret and its
    /// configuration, and to create events.
    pub fn is_granted(&self, namespace: &str, secret: &str, configuration: &str) -> bool {
        let named = self.name.as_deref();
        match (self.kind, self.verb) {
            (Some(Kind::Accounts | Kind::Namespaces), Verb::Get | Verb::List | Verb::Watch) => true,
            (Some(Kind::Secrets), Verb::List | Verb::Update | Verb::Watch) => {
                self.namespace == namespace && named == Some(secret)
            }
            (Some(Kind::Configurations), Verb::List | Verb::Patch | Verb::Watch) => named == Some(configuration),
            _ => false,
        }
    }

    /// Whether only metadata is asked for, as far as only metadata is given.
    pub fn is_acceptable(&self) -> bool {
        let partial = |kind: &str| format!("application/json;as={kind};g=meta.k8s.io;v=v1");
        match (self.kind.is_some_and(Kind::is_metadata_only), self.verb) {
            (true, Verb::List) => self.accept.contains(&partial("PartialObjectMetadataList")),
            (true, _) => self.accept.contains(&partial("PartialObjectMetadata")),
            (false, _) => self.accept.is_empty() || self.accept.contains("*/*") || self.accept == "application/json",
        }
    }
}

/// Kind, namespace and name in a path.
fn place(path: &str) -> (Option<Kind>, String, Option<String>) {
    let steps: Vec<&str> = path.split('/').skip(1).collect();
    let (kind, namespace, name) = match steps[..] {
        ["api", "v1", "serviceaccounts"] => (Kind::Accounts, "", None),
        ["api", "v1", "namespaces"] => (Kind::Namespaces, "", None),
        ["api", "v1", "namespaces", name] => (Kind::Namespaces, "", Some(name)),
        ["api", "v1", "namespaces", namespace, "serviceaccounts", name] => (Kind::Accounts, namespace, Some(name)),
        ["api", "v1", "namespaces", namespace, "secrets"] => (Kind::Secrets, namespace, None),
        ["api", "v1", "namespaces", namespace, "secrets", name] => (Kind::Secrets, namespace, Some(name)),
        ["apis", "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations"] => {
            (Kind::Configurations, "", None)
        }
        ["apis", "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", name] => {
            (Kind::Configurations, "", Some(name))
        }
        _ => return (None, String::new(), None),
    };
    (Some(kind), namespace.to_owned(), name.map(str::to_owned))
}
