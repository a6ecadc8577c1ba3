//! The webhook's registration: which pods come to it, how it is trusted, and that two of them stay apart.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::helm::{Release, documents, releases, template, values_file};

fn hook(release: &Release) -> &Value {
    &release.the("MutatingWebhookConfiguration")["webhooks"][0]
}

/// Whether a label selector takes these labels, as the API server judges it.
fn selects(selector: &Value, labels: &[(&str, &str)]) -> bool {
    let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
    let mut exactly = selector["matchLabels"].as_object().into_iter().flatten();
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    exactly.all(|(key, value)| labels.get(key.as_str()).copied() == value.as_str())
        && expressions.all(|one| expressed(one, &labels))
}

fn expressed(one: &Value, labels: &BTreeMap<&str, &str>) -> bool {
    let value = labels.get(one["key"].as_str().unwrap());
    let listed = value.is_some_and(|value| one["values"].as_array().is_some_and(|all| all.contains(&json!(value))));
    match one["operator"].as_str().unwrap() {
        "In" => listed,
        // A pod without the label is taken as well.
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        other => panic!("{other}"),
    }
}

#[test]
fn it_is_registered_for_new_pods_and_called_again_after_others() {
    let Some(releases) = releases() else { return };
    let hook = hook(&releases["default"]);
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"], "scope": "Namespaced"});
    assert_eq!(hook["rules"], json!([rule]));
    let fixed = [
        ("name", json!("inject.unsecret.dev")),
        ("admissionReviewVersions", json!(["v1"])),
        ("failurePolicy", json!("Fail")),
        ("reinvocationPolicy", json!("IfNeeded")),
        ("matchPolicy", json!("Equivalent")),
        ("sideEffects", json!("None")),
        ("timeoutSeconds", json!(5)),
        // A condition is judged at the second call, too: one on "not injected yet" would leave late containers out.
        ("matchConditions", Value::Null),
    ];
    for (field, value) in fixed {
        assert_eq!(hook[field], value, "{field}");
    }
    assert_eq!(self::hook(&releases["minimal"])["failurePolicy"], "Ignore");
}

#[test]
fn only_labelled_pods_come_and_a_misspelt_label_comes_too() {
    let Some(releases) = releases() else { return };
    let selector = &hook(&releases["default"])["objectSelector"];
    for (value, comes) in [("true", true), ("false", false), ("True", true), ("yes", true)] {
        assert_eq!(selects(selector, &[("unsecret.dev/inject", value)]), comes, "{value}");
    }
    assert!(!selects(selector, &[("app", "billing")]), "opt in, never out");
}

#[test]
fn the_namespaces_that_the_cluster_stands_on_are_left_alone() {
    let Some(releases) = releases() else { return };
    for (name, namespaces) in [("default", [].as_slice()), ("second-install", &[("stage", "test")])] {
        let selector = &hook(&releases[name])["namespaceSelector"];
        let comes =
            |namespace: &str| selects(selector, &[&[("kubernetes.io/metadata.name", namespace)], namespaces].concat());
        for excluded in ["kube-system", "kube-node-lease", "unsecret-system"] {
            assert!(!comes(excluded), "{name}: {excluded}");
        }
        assert!(comes("billing"), "{name}");
    }
    let second = &hook(&releases["second-install"])["namespaceSelector"];
    assert!(!selects(second, &[("kubernetes.io/metadata.name", "billing")]), "the added part counts");
    assert!(!selects(second, &[("kubernetes.io/metadata.name", "cert-manager"), ("stage", "test")]));
}

#[test]
fn who_signed_its_certificate_is_left_to_who_knows_it() {
    let Some(releases) = releases() else { return };
    let from = |name: &str| {
        let configuration = releases[name].the("MutatingWebhookConfiguration");
        configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"].clone()
    };
    for (name, release) in releases {
        if release.of_kind("MutatingWebhookConfiguration").is_empty() {
            continue;
        }
        let bundle = &hook(release)["clientConfig"]["caBundle"];
        assert_eq!(bundle.is_null(), name != "existing-secret", "{name}: a bundle here is set back at every sync");
        assert_eq!(from(name).is_null(), !name.starts_with("cert-manager"), "{name}");
    }
    for name in ["cert-manager", "cert-manager-issuer"] {
        let pod = &releases[name].the("Deployment")["spec"]["template"]["spec"];
        let secret = pod["volumes"][1]["secret"]["secretName"].as_str().unwrap();
        assert_eq!(from(name), format!("unsecret-system/{secret}"), "{name}");
    }
}

#[test]
fn the_secret_for_its_own_certificate_is_there_and_empty() {
    let Some(releases) = releases() else { return };
    let secret = releases["default"].the("Secret");
    assert!(secret["data"].is_null() && secret["stringData"].is_null(), "or an upgrade takes the certificate away");
    assert_eq!(secret["type"], "Opaque", "the type for TLS must have its two keys from the start");
    for name in ["cert-manager", "existing-secret"] {
        assert!(releases[name].of_kind("Secret").is_empty(), "{name}");
    }
}

/// The flag's value on the webhook's command line.
fn flag(release: &Release, name: &str) -> Option<String> {
    let arguments = release.the("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    let prefix = format!("--{name}=");
    arguments.iter().find_map(|argument| argument.as_str().unwrap().strip_prefix(&prefix).map(str::to_owned))
}

#[test]
fn the_command_line_names_the_objects_that_are_there() {
    let Some(releases) = releases() else { return };
    for (name, release) in releases.iter().filter(|(_, release)| !release.of_kind("Deployment").is_empty()) {
        let service = release.the("Service");
        let client = &hook(release)["clientConfig"]["service"];
        assert_eq!(client["name"], service["metadata"]["name"], "{name}");
        assert_eq!((&client["path"], &client["port"]), (&json!("/v1/mutate"), &service["spec"]["ports"][0]["port"]));
        assert_eq!(service["spec"]["selector"], release.the("Deployment")["spec"]["selector"]["matchLabels"], "{name}");
        let self_made = flag(release, "tls-dir").is_none();
        let named = |kind: &str| self_made.then(|| release.the(kind)["metadata"]["name"].as_str().unwrap().to_owned());
        assert_eq!(flag(release, "webhook"), named("MutatingWebhookConfiguration"), "{name}");
        assert_eq!(flag(release, "secret"), named("Secret"), "{name}");
        assert_eq!(flag(release, "service"), named("Service"), "{name}");
        assert_eq!(flag(release, "namespace"), self_made.then(|| "unsecret-system".to_owned()), "{name}");
        assert_eq!(flag(release, "values").unwrap(), "/etc/unsecret/values.yaml");
    }
}

#[test]
fn no_pod_belongs_to_two_installs() {
    let Some(releases) = releases() else { return };
    let (first, second) = (&releases["default"], &releases["second-install"]);
    let identities = |release: &Release| -> BTreeSet<String> {
        let identity =
            |it: &Value| format!("{} {} {}", it["kind"], it["metadata"]["namespace"], it["metadata"]["name"]);
        release.objects.iter().map(identity).collect()
    };
    assert!(identities(first).is_disjoint(&identities(second)));
    let with = |release: &Release, labels: &[(&str, &str)]| {
        let always = [("unsecret.dev/inject", "true"), ("app.kubernetes.io/name", "billing")];
        selects(&hook(release)["objectSelector"], &[always.as_slice(), labels].concat())
    };
    for (labels, belongs) in [(&[][..], (true, false)), (&[("unsecret.dev/rev", "canary")], (false, true))] {
        assert_eq!((with(first, labels), with(second, labels)), belongs, "{labels:?}");
    }
}

#[test]
fn one_name_in_two_namespaces_is_two_installs() {
    let Some(releases) = releases() else { return };
    let other = template(&["--values", &values_file("default"), "--namespace", "elsewhere"]).unwrap();
    let clusterwide = |objects: &[Value]| -> BTreeSet<String> {
        let outside = objects.iter().filter(|object| object["metadata"]["namespace"].is_null());
        outside.map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect()
    };
    let (here, there) = (clusterwide(&releases["default"].objects), clusterwide(&documents(&[other])[0]));
    assert!(here.len() == 3 && here.is_disjoint(&there), "{here:?} {there:?}");
}

#[test]
fn aks_keeps_its_hands_off_the_selectors() {
    let Some(releases) = releases() else { return };
    let annotations =
        |name: &str| releases[name].the("MutatingWebhookConfiguration")["metadata"]["annotations"].clone();
    assert_eq!(annotations("aks"), json!({"admissions.enforcer/disabled": "true"}));
    assert_eq!(annotations("default"), Value::Null);
}

#[test]
fn the_policies_look_where_the_webhook_looks() {
    let Some(releases) = releases() else { return };
    for name in ["ha", "minimal"] {
        let (release, hook) = (&releases[name], hook(&releases[name]));
        let [_, after] = release.of_kind("ValidatingAdmissionPolicy")[..] else { panic!("not two policies") };
        assert_eq!(after["spec"]["matchConstraints"]["objectSelector"], hook["objectSelector"], "{name}");
        assert_eq!(after["spec"]["matchConstraints"]["namespaceSelector"], hook["namespaceSelector"], "{name}");
        let [before, _] = release.of_kind("ValidatingAdmissionPolicyBinding")[..] else { panic!("not two bindings") };
        assert_eq!(before["spec"]["matchResources"]["namespaceSelector"], hook["namespaceSelector"], "{name}");
    }
}
