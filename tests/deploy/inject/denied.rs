//! What is refused, and with which words: `kubectl apply` shows them, and nothing else does.

use serde_json::json;

use super::{Case, written};

/// Code, a part of the message, a part of the remedy.
fn refused(case: &Case, code: &str, message: &str, remedy: &str) {
    let (denied, what, todo) = case.denied();
    assert_eq!(denied, code, "{what}");
    assert!(what.contains(message), "{what}");
    assert!(todo.contains(remedy), "{todo}");
}

#[test]
fn a_label_that_is_neither_true_nor_false() {
    for value in ["yes", "True", "", "enabled"] {
        let mut case = Case::new();
        case.pod["metadata"]["labels"]["unsecret.dev/inject"] = value.into();
        refused(
            &case,
            "inject-label",
            &format!("`unsecret.dev/inject` is \"{value}\""),
            "`unsecret.dev/inject: \"true\"`",
        );
    }
}

#[test]
fn a_pod_that_shares_its_nodes_network() {
    let mut case = Case::new();
    case.pod["spec"]["hostNetwork"] = true.into();
    refused(&case, "inject-host-network", "every process of its node", "without hostNetwork");
}

#[test]
fn a_pod_for_windows() {
    for spec in [json!({"os": {"name": "windows"}}), json!({"nodeSelector": {"kubernetes.io/os": "windows"}})] {
        let mut case = Case::new();
        case.pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        refused(&case, "inject-windows", "Windows", "remove the label");
    }
}

#[test]
fn a_container_or_volume_with_a_name_of_ours() {
    for list in ["containers", "initContainers"] {
        for name in ["unsecret", "unsecret-net-setup"] {
            let mut case = Case::new();
            case.pod["spec"][list] = json!([{"name": "api"}, {"name": name}]);
            refused(&case, "inject-name-taken", &format!("a container named `{name}` already"), "another name");
        }
    }
    let mut case = Case::new();
    case.pod["spec"]["volumes"] = json!([{"name": "unsecret-token", "emptyDir": {}}]);
    refused(&case, "inject-name-taken", "a volume named `unsecret-token`", "another name");
}

#[test]
fn a_container_that_declares_a_port_of_the_broker() {
    for (port, what) in [(4_780, "its doors"), (9_464, "probes and metrics")] {
        let mut case = Case::new();
        case.pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": port}]);
        refused(
            &case,
            "inject-port-taken",
            &format!("`api` declares port {port}, which the broker needs for {what}"),
            "sidecar.ports",
        );
        case.pod["spec"]["containers"][0]["ports"][0]["protocol"] = "UDP".into();
        let _ = case.injected();
    }
    let mut case = Case::annotated(&[("intercept", "loopback-address")]);
    case.pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80}]);
    refused(&case, "inject-port-taken", "port 80", "another port");
}

#[test]
fn a_pod_that_says_not_who_it_is_and_what_for_told_at_once() {
    let mut case = Case::new();
    (case.values, case.account) = (json!({}), written("annotations", &[]));
    refused(
        &case,
        "inject-missing",
        "which application it is, or in which tenant that is, or what it may ask",
        "service account",
    );
    let (_, _, remedy) = case.denied();
    for part in ["`unsecret.dev/client-id: GUID`", "`defaults.tenantId`", "`defaults.allowedResources`"] {
        assert!(remedy.contains(part), "{remedy}");
    }
    case.values = json!({"defaults": {"tenantId": super::TENANT, "allowedResources": []}});
    case.account = written("annotations", &[("unsecret.dev/client-id", super::CLIENT)]);
    refused(&case, "inject-missing", "nothing says what it may ask tokens for", "`\"*\"` for any");
}

#[test]
fn the_loopback_address_where_the_platform_has_it() {
    for platform in ["eks", "gke"] {
        let mut case = Case::annotated(&[("intercept", "loopback-address")]);
        case.values["platform"] = platform.into();
        refused(
            &case,
            "inject-intercept-platform",
            &format!("on {platform} the address 169.254.169.254"),
            "force-loopback-address",
        );
        case.annotate("intercept", "force-loopback-address");
        let _ = case.injected();
    }
}

#[test]
fn the_loopback_address_where_pod_security_would_refuse_the_step() {
    for level in ["baseline", "restricted"] {
        for how in ["loopback-address", "force-loopback-address"] {
            let mut case = Case::annotated(&[("intercept", how)]);
            case.namespace = written("labels", &[("pod-security.kubernetes.io/enforce", level)]);
            refused(
                &case,
                "inject-intercept-pod-security",
                &format!("namespace `shop` enforces the Pod Security level {level}"),
                "intercept: env",
            );
        }
    }
    let mut case = Case::annotated(&[("intercept", "loopback-address")]);
    case.namespace = written("labels", &[("pod-security.kubernetes.io/enforce", "privileged")]);
    let _ = case.injected();
}

#[test]
fn the_loopback_address_where_port_80_is_kept_from_users() {
    let mut case = Case::annotated(&[("intercept", "loopback-address")]);
    case.pod["spec"]["securityContext"] =
        json!({"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "1024"}]});
    refused(&case, "inject-port-start", "\"1024\"", "leave the sysctl out");
}

#[test]
fn what_has_no_containers() {
    for spec in [
        json!(null),
        json!({}),
        json!({"containers": []}),
        json!({"containers": [{}]}),
        json!({"containers": {"name": "api"}}),
    ] {
        let mut case = Case::new();
        case.pod["spec"] = spec;
        refused(&case, "inject-not-a-pod", "this is no pod", "pod template");
    }
}

#[test]
fn whoever_did_not_ask_is_left_alone() {
    use unsecret::inject::{Reason, Verdict};
    let mut case = Case::new();
    case.pod["spec"]["hostNetwork"] = true.into();
    case.pod["metadata"]["labels"]["unsecret.dev/inject"] = "false".into();
    assert_eq!(case.outcome().verdict, Verdict::Unchanged(Reason::OptedOut));
    case.pod["metadata"]["labels"] = json!({});
    case.annotate("inject", "true");
    let outcome = case.outcome();
    assert_eq!((outcome.verdict, outcome.warnings.len()), (Verdict::Unchanged(Reason::NotAsked), 0));
}

#[test]
fn looking_into_the_brokers_process_is_warned_of() {
    for field in ["shareProcessNamespace", "hostPID"] {
        let mut case = Case::new();
        case.pod["spec"][field] = true.into();
        assert!(case.warnings()[0].contains(&format!("`{field}: true` lets")), "{:?}", case.warnings());
    }
}
