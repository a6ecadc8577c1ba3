//! The objects of a stream: which make pods, and what stands around these.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::inject::{self, LABEL, Metadata, Outcome, Surroundings, Values, Verdict};
use crate::patch::{Operation, Pointer};

/// What the command line says.
pub(super) struct Given<'a> {
    pub(super) namespace: &'a str,
    pub(super) client_id: Option<&'a str>,
    pub(super) native_sidecars: bool,
    pub(super) all: bool,
}

/// One object, and where in its document it stands.
pub(super) struct Object<'d> {
    pub(super) place: Pointer,
    value: &'d Value,
}

/// The document itself, or the items of a List.
pub(super) fn of(document: &Value) -> Vec<Object<'_>> {
    let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match document["items"].as_array() {
        Some(items) if is_list => {
            let place = Pointer::root().below("items");
            items.iter().enumerate().map(|(at, value)| Object { place: place.below(at), value }).collect()
        }
        _ => vec![Object { place: Pointer::root(), value: document }],
    }
}

/// Namespaces by name, service accounts by namespace and name.
pub(super) struct Around {
    namespaces: BTreeMap<String, Metadata>,
    accounts: BTreeMap<(String, String), Metadata>,
}

impl Around {
    pub(super) fn of(documents: &[Value], given: &Given<'_>) -> Self {
        let mut around = Self { namespaces: BTreeMap::new(), accounts: BTreeMap::new() };
        for object in documents.iter().flat_map(of).filter(|object| object.value["apiVersion"] == "v1") {
            let name = object.text("name").unwrap_or_default().to_owned();
            match object.kind() {
                "Namespace" => drop(around.namespaces.insert(name, Metadata::of(object.value))),
                "ServiceAccount" => {
                    let place = (object.namespace(given).to_owned(), name);
                    around.accounts.insert(place, Metadata::of(object.value));
                }
                _ => {}
            }
        }
        around
    }

    /// What a pod's service account says, and the command line where it does not.
    fn account(&self, namespace: &str, name: &str, given: &Given<'_>) -> Option<Metadata> {
        let account = self.accounts.get(&(namespace.to_owned(), name.to_owned()));
        let Some(client_id) = given.client_id else { return account.cloned() };
        let mut account = account.cloned().unwrap_or_default();
        if !account.annotations.contains_key("azure.workload.identity/client-id") {
            account.annotations.entry("unsecret.dev/client-id".to_owned()).or_insert_with(|| client_id.to_owned());
        }
        Some(account)
    }
}

impl Object<'_> {
    /// As `kubectl` names it.
    pub(super) fn name(&self) -> String {
        let name = self.text("name").or_else(|| self.text("generateName")).unwrap_or("(unnamed)");
        format!("{}/{name}", self.kind().to_lowercase())
    }

    /// `None` for what makes no pods.
    pub(super) fn inject(&self, around: &Around, given: &Given<'_>, values: &Values) -> Option<Outcome> {
        let place = self.template()?;
        let found = place.steps().iter().try_fold(self.value, |value, step| value.get(step));
        let mut pod = found.cloned().unwrap_or_default();
        let labels = if given.all { label(&mut pod) } else { Vec::new() };
        let namespace = self.namespace(given);
        let account = pod["spec"]["serviceAccountName"].as_str().unwrap_or("default");
        let account = around.account(namespace, account, given);
        let unknown = Metadata::default();
        let surroundings = Surroundings {
            namespace,
            namespace_metadata: around.namespaces.get(namespace).unwrap_or(&unknown),
            service_account: account.as_ref(),
            native_sidecars: given.native_sidecars,
        };
        let mut outcome = inject::inject(&pod, &surroundings, values);
        if let Verdict::Injected(operations) = &mut outcome.verdict {
            let all = labels.into_iter().chain(operations.drain(..)).map(|operation| operation.within(&place));
            *operations = all.collect();
        }
        Some(outcome)
    }

    /// Where its pod stands. Others have kinds of these names too (a Job of Volcano), and other templates.
    fn template(&self) -> Option<Pointer> {
        let group = self.value["apiVersion"].as_str()?.rsplit_once('/').map_or("", |(group, _)| group);
        matches!(group, "" | "apps" | "batch").then(|| inject::template(self.kind())).flatten()
    }

    fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.value["metadata"][key].as_str()
    }

    fn namespace<'a>(&'a self, given: &'a Given<'_>) -> &'a str {
        self.text("namespace").unwrap_or(given.namespace)
    }
}

/// Asks for the broker where the author said nothing.
fn label(pod: &mut Value) -> Vec<Operation> {
    let mut place = Pointer::root();
    let mut operations = Vec::new();
    for (step, empty) in [("metadata", json!({})), ("labels", json!({})), (LABEL, json!("true"))] {
        let above = place.steps().iter().try_fold(&mut *pod, |value, step| value.get_mut(step));
        let Some(Value::Object(members)) = above else { return operations };
        place = place.below(step);
        if members.get(step).is_none_or(Value::is_null) {
            members.insert(step.to_owned(), empty.clone());
            operations.push(Operation::Add { path: place.clone(), value: empty });
        }
    }
    operations
}
