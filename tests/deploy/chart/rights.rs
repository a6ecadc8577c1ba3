//! What the webhook may do with the API: this and nothing else.

use serde_json::{Value, json};

use super::helm::{Release, releases};

fn rules(release: &Release, kind: &str) -> Value {
    release.of_kind(kind).into_iter().flat_map(|role| role["rules"].as_array().unwrap()).cloned().collect()
}

fn read_everywhere() -> Vec<Value> {
    vec![json!({"apiGroups": [""], "resources": ["serviceaccounts", "namespaces"], "verbs": ["get", "list", "watch"]})]
}

#[test]
fn with_its_own_certificate_it_may_write_two_objects_by_name() {
    let Some(releases) = releases() else { return };
    let release = &releases["default"];
    let name = |kind: &str| release.the(kind)["metadata"]["name"].clone();
    let mut everywhere = read_everywhere();
    everywhere.push(json!({
        "apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
        "resourceNames": [name("MutatingWebhookConfiguration")], "verbs": ["list", "patch", "watch"],
    }));
    assert_eq!(rules(release, "ClusterRole"), Value::Array(everywhere));
    let secret = json!({
        "apiGroups": [""], "resources": ["secrets"], "resourceNames": [name("Secret")], "verbs": ["list", "update", "watch"],
    });
    assert_eq!(rules(release, "Role"), json!([secret]));
}

#[test]
fn with_a_certificate_from_elsewhere_it_may_write_nothing() {
    let Some(releases) = releases() else { return };
    for name in ["cert-manager", "cert-manager-issuer", "existing-secret"] {
        assert_eq!(rules(&releases[name], "ClusterRole"), Value::Array(read_everywhere()), "{name}");
        assert_eq!(rules(&releases[name], "Role"), json!([]), "{name}");
    }
}

#[test]
fn every_right_goes_to_the_webhooks_own_account() {
    let Some(releases) = releases() else { return };
    for (name, release) in releases {
        for binding in ["ClusterRoleBinding", "RoleBinding"].iter().flat_map(|kind| release.of_kind(kind)) {
            let account = &release.the("ServiceAccount")["metadata"];
            let pod = &release.the("Deployment")["spec"]["template"]["spec"];
            let subject =
                json!([{"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}]);
            assert_eq!(binding["subjects"], subject, "{name}");
            assert_eq!(pod["serviceAccountName"], account["name"], "{name}");
            let role = binding["kind"].as_str().unwrap().strip_suffix("Binding").unwrap();
            assert_eq!(binding["roleRef"]["name"], release.the(role)["metadata"]["name"], "{name}");
        }
    }
}

#[test]
fn nothing_is_granted_by_a_star() {
    let Some(releases) = releases() else { return };
    for release in releases.values() {
        for kind in ["ClusterRole", "Role"] {
            assert!(!rules(release, kind).to_string().contains('*'));
        }
    }
}

#[test]
fn rights_and_account_may_be_somebody_elses() {
    let Some(releases) = releases() else { return };
    let release = &releases["own-rights"];
    for kind in ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount"] {
        assert!(release.of_kind(kind).is_empty(), "{kind}");
    }
    let pod = &release.the("Deployment")["spec"]["template"]["spec"];
    assert_eq!((&pod["serviceAccountName"], &pod["automountServiceAccountToken"]), (&json!("webhooks"), &json!(false)));
}
