//! The pods of the webhook: what Pod Security asks of them, and what keeps them answering.

use serde_json::{Value, json};
use unsecret::inject::Values;

use super::helm::{Release, documents, releases};
use crate::support::pod_security;

fn pod(release: &Release) -> Option<&Value> {
    let deployments = release.of_kind("Deployment");
    deployments.first().map(|deployment| &deployment["spec"]["template"]["spec"])
}

#[test]
fn every_pod_meets_the_restricted_profile() {
    let Some(releases) = releases() else { return };
    let mut pods = 0;
    for (name, release) in releases {
        let Some(pod) = pod(release) else { continue };
        // The one thing that its name says.
        let expected: &[&str] = if name == "eks-hostnetwork" { &["hostNetwork"] } else { &[] };
        assert_eq!(pod_security::violations(pod), expected, "{name}");
        assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true, "{name}");
        pods += 1;
    }
    assert!(pods > 8);
}

#[test]
fn openshift_may_give_the_pod_a_user_of_its_own() {
    let Some(releases) = releases() else { return };
    let user = |name: &str| pod(&releases[name]).unwrap()["securityContext"]["runAsUser"].clone();
    assert_eq!((user("openshift"), user("default")), (Value::Null, json!(65532)));
}

#[test]
fn what_the_pod_mounts_and_says_of_itself_is_there() {
    let Some(releases) = releases() else { return };
    for (name, release) in releases {
        let Some(pod) = pod(release) else { continue };
        let container = &pod["containers"][0];
        let volumes: Vec<&Value> = pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert_eq!(mounts.iter().map(|mount| &mount["name"]).collect::<Vec<_>>(), volumes, "{name}");
        assert_eq!(pod["enableServiceLinks"], false, "{name}");
        assert!(pod["automountServiceAccountToken"].is_boolean(), "{name}");
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(container[probe]["httpGet"]["port"], "metrics", "{name}: probes come without TLS");
        }
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
        assert!(container["resources"]["limits"]["cpu"].is_null(), "{name}: a CPU limit makes admission slow");
        assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
    }
}

#[test]
fn other_settings_make_other_pods() {
    let Some(releases) = releases() else { return };
    let checksum = |name: &str| {
        let deployment = releases[name].the("Deployment");
        deployment["spec"]["template"]["metadata"]["annotations"]["checksum/settings"].clone()
    };
    assert!(checksum("default").is_string());
    assert_ne!(checksum("default"), checksum("openshift"));
    // What is not the webhook's setting leaves the pods alone.
    assert_eq!(checksum("default"), checksum("monitoring"));
}

#[test]
fn a_rollout_never_leaves_the_webhook_without_a_pod() {
    let Some(releases) = releases() else { return };
    let strategy = |name: &str| releases[name].the("Deployment")["spec"]["strategy"]["rollingUpdate"].clone();
    assert_eq!(strategy("default"), json!({"maxUnavailable": 0, "maxSurge": 1}));
    // A node has the port once: a third pod might find no place.
    assert_eq!(strategy("eks-hostnetwork"), json!({"maxUnavailable": 1, "maxSurge": 0}));
}

#[test]
fn nodes_can_always_be_drained() {
    let Some(releases) = releases() else { return };
    for (name, release) in releases {
        let Some(deployment) = release.of_kind("Deployment").first().copied() else { continue };
        let budgets = release.of_kind("PodDisruptionBudget");
        let one = deployment["spec"]["replicas"] == 1;
        assert_eq!(budgets.is_empty(), one || name == "own-rights", "{name}");
        for budget in budgets {
            assert_eq!(budget["spec"]["selector"], deployment["spec"]["selector"], "{name}");
        }
    }
}

#[test]
fn pods_of_two_versions_are_spread_apart_from_each_other() {
    let Some(releases) = releases() else { return };
    let spread = pod(&releases["default"]).unwrap()["topologySpreadConstraints"].as_array().unwrap();
    assert_eq!(spread.len(), 2);
    for one in spread {
        assert_eq!(one["whenUnsatisfiable"], "ScheduleAnyway", "a cluster of one node is a cluster");
        assert_eq!(one["labelSelector"], releases["default"].the("Deployment")["spec"]["selector"]);
    }
    assert_eq!(pod(&releases["ha"]).unwrap()["topologySpreadConstraints"].as_array().unwrap().len(), 1);
}

#[test]
fn gke_admits_the_priority_class_by_its_quota() {
    let Some(releases) = releases() else { return };
    let class = &pod(&releases["gke"]).unwrap()["priorityClassName"];
    let quota = releases["gke"].the("ResourceQuota");
    assert_eq!(quota["spec"]["scopeSelector"]["matchExpressions"][0]["values"], json!([class]));
    assert!(releases["default"].of_kind("ResourceQuota").is_empty());
    assert!(pod(&releases["minimal"]).unwrap()["priorityClassName"].is_null());
}

#[test]
fn the_image_is_named_by_its_digest_where_there_is_one() {
    let Some(releases) = releases() else { return };
    let image = |name: &str| pod(&releases[name]).unwrap()["containers"][0]["image"].as_str().unwrap().to_owned();
    assert_eq!(image("default"), "registry.example/unsecret:0.1.0");
    let digest = "0123456789abcdef".repeat(4);
    assert_eq!(image("onprem"), format!("mirror.example:5000/platform/unsecret:0.1.0@sha256:{digest}"));
}

#[test]
fn the_webhook_understands_the_settings_of_every_scenario() {
    let Some(releases) = releases() else { return };
    for (name, release) in releases.iter().filter(|(_, release)| !release.of_kind("Deployment").is_empty()) {
        let maps = release.of_kind("ConfigMap");
        let mounted = pod(release).unwrap()["volumes"][0]["configMap"]["name"].clone();
        let map = maps.into_iter().find(|map| map["metadata"]["name"] == mounted).unwrap();
        let settings = documents(&[map["data"]["values.yaml"].as_str().unwrap().to_owned()]).remove(0).remove(0);
        let read = Values::read(&settings);
        assert!(read.is_ok(), "{name}: {}", read.unwrap_err().report());
        assert_eq!(settings.as_object().unwrap().len(), 4, "{name}: image, sidecar, defaults and platform");
    }
}
