//! Every kind that makes pods, as the published schemas of three Kubernetes versions see it after injection.

use std::io::Write as _;
use std::process::Command;

use serde_json::{Value, json};
use unsecret::inject::{self, Verdict};
use unsecret::patch::{Operation, Pointer};

use super::{Case, applied, pod};
use crate::support::parts::{self, Level};

const VERSIONS: [&str; 3] = ["1.29", "1.33", "1.37"];

/// A pod with most of what people write, as a template.
fn template() -> Value {
    let mut template = pod();
    let members = template.as_object_mut().unwrap();
    members.remove("apiVersion");
    members.remove("kind");
    members["metadata"].as_object_mut().unwrap().remove("name");
    template["spec"]["securityContext"] = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    template["spec"]["initContainers"] =
        json!([{"name": "migrate", "image": "api:1", "env": [{"name": "A", "value": "1"}]}]);
    template["spec"]["volumes"] = json!([{"name": "tmp", "emptyDir": {}}]);
    template
}

/// An object of this kind with that template.
fn workload(kind: &str, mut template: Value) -> Value {
    let metadata = json!({"name": "api", "namespace": "shop"});
    let selector = json!({"matchLabels": {"app": "api"}});
    let object = |api: &str, spec: Value| json!({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec});
    match kind {
        "Pod" => {
            template["metadata"]["name"] = "api".into();
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]})
        }
        "Job" | "CronJob" => {
            template["spec"]["restartPolicy"] = "Never".into();
            let job = json!({"template": template});
            if kind == "Job" {
                object("batch/v1", job)
            } else {
                object("batch/v1", json!({"schedule": "0 4 * * *", "jobTemplate": {"spec": job}}))
            }
        }
        "StatefulSet" => object("apps/v1", json!({"selector": selector, "serviceName": "api", "template": template})),
        _ => object("apps/v1", json!({"selector": selector, "template": template})),
    }
}

/// The object with its pods injected, as the verb and the webhook do it.
fn injected(case: &Case, object: &Value) -> Value {
    let place = inject::template(object["kind"].as_str().unwrap()).unwrap();
    let operations = operations(case, object, &place);
    applied(object, &operations)
}

fn operations(case: &Case, object: &Value, place: &Pointer) -> Vec<Operation> {
    let outcome = case.outcome_of(object.pointer(&place.to_string()).unwrap());
    assert_eq!(outcome.warnings, Vec::<String>::new());
    let Verdict::Injected(operations) = outcome.verdict else { panic!("{:?}", outcome.verdict) };
    operations.into_iter().map(|operation| operation.within(place)).collect()
}

const KINDS: [&str; 7] = ["CronJob", "DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "StatefulSet"];

/// By `kubernetes-validate`, which passes over kinds that it does not know with a warning: so a warning is a failure.
fn validate(objects: &[Value]) {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci/venv/bin/kubernetes-validate");
    if !std::path::Path::new(program).exists() {
        return parts::missing(Level::Core, "kubernetes-validate in target/ci/venv");
    }
    let mut file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    for object in objects {
        // A document of JSON is one of YAML.
        writeln!(file, "---\n{object}").unwrap();
    }
    for version in VERSIONS {
        let ended =
            Command::new(program).args(["-k", version, "--strict"]).arg(file.path()).env_clear().output().unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(ended.status.success() && !said.contains("WARN"), "{version}: {said}");
        assert_eq!(said.matches("INFO").count(), objects.len(), "{version}: {said}");
    }
}

#[test]
fn every_kind_passes_the_strict_schemas_in_every_form() {
    let forms: [&[(&str, &str)]; 5] = [
        &[],
        &[("native-sidecar", "false")],
        &[("intercept", "loopback-address"), ("ready-gate", "true"), ("config-map", "broker")],
        &[("expose-token-file", "true"), ("run-as", "unset"), ("resources-memory-limit", "77Mi")],
        &[("doors", "app-service,imds,oauth,cloud-shell,plain,app-service-2017"), ("leftover-secret", "strip")],
    ];
    let mut all = vec![];
    for kind in KINDS {
        for form in forms {
            let mut template = template();
            let annotations = form.iter().map(|(key, value)| (format!("unsecret.dev/{key}"), json!(value)));
            template["metadata"]["annotations"] = Value::Object(annotations.collect());
            if form.contains(&("native-sidecar", "false")) && kind.ends_with("Job") {
                continue;
            }
            all.push(injected(&Case::new(), &workload(kind, template)));
        }
    }
    validate(&all);
}

#[test]
fn a_kind_without_pods_has_no_template() {
    for kind in ["Service", "ConfigMap", "List", "", "pod"] {
        assert_eq!(inject::template(kind), None, "{kind}");
    }
}

#[test]
fn each_item_of_a_list_is_injected_where_it_stands() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}},
        workload("Deployment", template()),
        workload("CronJob", template()),
    ]});
    let case = Case::new();
    let mut all = list.clone();
    for (n, item) in list["items"].as_array().unwrap().iter().enumerate() {
        let Some(place) = inject::template(item["kind"].as_str().unwrap()) else { continue };
        let place = place.within(&Pointer::root().below("items").below(n));
        all = applied(&all, &operations(&case, &list, &place));
    }
    assert_eq!(all["items"][0], list["items"][0]);
    for pointer in ["/items/1/spec/template", "/items/2/spec/jobTemplate/spec/template"] {
        let spec = &all.pointer(pointer).unwrap()["spec"];
        assert_eq!(spec["initContainers"][0]["name"], "unsecret", "{pointer}");
    }
    validate(&[all["items"][1].clone(), all["items"][2].clone()]);
}

#[test]
fn a_job_ends_because_the_broker_is_no_ordinary_container() {
    let job = injected(&Case::new(), &workload("Job", template()));
    let spec = &job["spec"]["template"]["spec"];
    assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
    assert_eq!(spec["initContainers"][0]["restartPolicy"], "Always");
    assert_eq!(spec["restartPolicy"], "Never");
}
