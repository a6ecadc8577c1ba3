//! What injection makes of a pod, judged by applying the patch: written from the contract in docs/kubernetes.md, not from
//! what the code happens to write.

mod annotations;
mod broker;
mod chart;
mod configures;
mod denied;
mod leftover;
mod neighbours;
mod page;
mod properties;
mod restricted;
mod variables;
mod workloads;

use serde_json::{Value, json};
use unsecret::inject::{self, Metadata, Outcome, Surroundings, Values, Verdict};
use unsecret::problem::Problem as _;

pub const CLIENT: &str = "33333333-dddd-4eee-8fff-444444444444";
pub const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
pub const VAULT: &str = "https://vault.azure.net";

/// A pod that asks for the broker, and whose namespace and service account say the usual.
pub struct Case {
    pub pod: Value,
    pub namespace: Metadata,
    pub account: Metadata,
    pub values: Value,
    pub native_sidecars: bool,
}

impl Case {
    pub fn new() -> Self {
        let values = json!({"defaults": {"tenantId": TENANT, "allowedResources": [VAULT]}});
        let account = written("annotations", &[("unsecret.dev/client-id", CLIENT)]);
        Self { pod: pod(), namespace: Metadata::default(), account, values, native_sidecars: true }
    }

    pub fn annotated(annotations: &[(&str, &str)]) -> Self {
        let mut case = Self::new();
        for (key, value) in annotations {
            case.annotate(key, value);
        }
        case
    }

    pub fn annotate(&mut self, key: &str, value: &str) {
        self.pod["metadata"]["annotations"][format!("unsecret.dev/{key}")] = value.into();
    }

    pub fn outcome(&self) -> Outcome {
        self.outcome_of(&self.pod)
    }

    pub fn outcome_of(&self, pod: &Value) -> Outcome {
        let around = Surroundings {
            namespace: "shop",
            namespace_metadata: &self.namespace,
            service_account: Some(&self.account),
            native_sidecars: self.native_sidecars,
        };
        inject::inject(pod, &around, &Values::read(&self.values).unwrap())
    }

    /// The pod with the broker.
    pub fn injected(&self) -> Value {
        let outcome = self.outcome();
        let Verdict::Injected(operations) = outcome.verdict else { panic!("{:?}", outcome.verdict) };
        applied(&self.pod, &operations)
    }

    pub fn warnings(&self) -> Vec<String> {
        let outcome = self.outcome();
        assert!(!matches!(outcome.verdict, Verdict::Denied(_)), "{:?}", outcome.verdict);
        outcome.warnings
    }

    /// Code, message and remedy of the refusal.
    pub fn denied(&self) -> (&'static str, String, String) {
        match self.outcome().verdict {
            Verdict::Denied(denial) => (denial.code(), denial.to_string(), denial.remedy().unwrap().into_owned()),
            other => panic!("not denied: {other:?}"),
        }
    }
}

/// A small pod of today, with the label.
pub fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "api", "labels": {"unsecret.dev/inject": "true", "app": "api"}},
        "spec": {
            "serviceAccountName": "api",
            "containers": [{"name": "api", "image": "api:1", "ports": [{"containerPort": 8080}]}],
        },
    })
}

pub fn written(part: &str, pairs: &[(&str, &str)]) -> Metadata {
    let members: serde_json::Map<_, _> = pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    Metadata::of(&json!({"metadata": {part: members}}))
}

/// By somebody else's JSON Patch.
pub fn applied(object: &Value, operations: &[unsecret::patch::Operation]) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(operations).unwrap()).unwrap();
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).unwrap();
    object
}

/// The container of this name, in either list.
pub fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    let spec = &pod["spec"];
    let lists = ["initContainers", "containers"].into_iter().filter_map(|list| spec[list].as_array());
    lists.flatten().find(|container| container["name"] == name).unwrap_or_else(|| panic!("no container {name}"))
}

/// The value of a variable, or where it comes from.
pub fn variable(pod: &Value, of: &str, name: &str) -> Option<String> {
    let env = container(pod, of)["env"].as_array().cloned().unwrap_or_default();
    let entry = env.into_iter().rev().find(|entry| entry["name"] == name)?;
    let text = entry["value"].as_str().or(entry["valueFrom"]["fieldRef"]["fieldPath"].as_str());
    Some(text.unwrap_or_default().to_owned())
}

/// Names in the order of a list.
pub fn names(pod: &Value, list: &str) -> Vec<String> {
    let all = pod["spec"][list].as_array().cloned().unwrap_or_default();
    all.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect()
}
