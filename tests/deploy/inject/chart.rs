//! The settings of injection have one shape: what the code reads, the chart documents, and the other way round.

use std::fs;

use serde_json::Value;
use unsecret::inject::Values;
use unsecret::manifest::Manifest;

use super::{Case, container};

const PARTS: [&str; 4] = ["image", "sidecar", "defaults", "platform"];

fn chart(file: &str) -> String {
    fs::read_to_string(format!("{}/charts/unsecret/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The chart's values as they come from its file.
fn values() -> Value {
    let manifest = Manifest::read(&chart("values.yaml")).unwrap();
    manifest.documents().next().unwrap().clone()
}

#[test]
fn the_charts_defaults_are_those_of_the_code() {
    let (chart, code) = (values(), Values::defaults());
    for part in PARTS {
        assert_eq!(chart[part], code[part], "{part}");
    }
    assert_eq!(code.as_object().unwrap().len(), PARTS.len());
    Values::read(&chart).unwrap();
}

/// The paths of all members, down to where a map is free.
fn paths(value: &Value, path: &str, into: &mut Vec<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{key}");
        if !["/sidecar/image", "/sidecar/resources", "/sidecar/securityContext"].contains(&path.as_str()) {
            paths(value, &path, into);
        }
        into.push(path);
    }
}

#[test]
fn the_charts_schema_knows_the_same_keys() {
    let schema: Value = serde_json::from_str(&chart("values.schema.json")).unwrap();
    let code = Values::defaults();
    let mut known = vec![];
    paths(&code, "", &mut known);
    assert!(known.len() > 25, "{known:?}");
    for path in &known {
        let mut at = &schema;
        for step in path.split('/').skip(1) {
            at = &resolved(&schema, at)["properties"][step];
        }
        assert!(!at.is_null(), "the schema lacks {path}");
        let at = resolved(&schema, at);
        if let Some(properties) =
            at["properties"].as_object().filter(|_| known.iter().any(|one| one.starts_with(&format!("{path}/"))))
        {
            for key in properties.keys() {
                assert!(known.contains(&format!("{path}/{key}")), "the code does not know {path}/{key}");
            }
        }
    }
}

fn resolved<'a>(schema: &'a Value, at: &'a Value) -> &'a Value {
    at["$ref"].as_str().map_or(at, |to| schema.pointer(to.trim_start_matches('#')).unwrap())
}

#[test]
fn the_charts_pod_monitor_names_the_brokers_port() {
    let pod = Case::new().injected();
    let name = container(&pod, "unsecret")["ports"][0]["name"].as_str().unwrap();
    let monitor = chart("templates/podmonitor-sidecars.yaml");
    assert!(monitor.contains(&format!("- port: {name}\n")), "{monitor}");
}
