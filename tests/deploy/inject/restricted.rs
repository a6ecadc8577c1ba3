//! Injection by variables needs no privilege: what passes Pod Security's level "restricted" still does afterwards. Field by
//! field, after https://kubernetes.io/docs/concepts/security/pod-security-standards/.

use serde_json::{Value, json};

use super::Case;

/// What the level forbids.
fn violations(pod: &Value) -> Vec<String> {
    let spec = &pod["spec"];
    let mut found = vec![];
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[field] == true {
            found.push(field.to_owned());
        }
    }
    let allowed =
        ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
    for volume in spec["volumes"].as_array().into_iter().flatten() {
        let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        found.extend(kinds.filter(|kind| !allowed.contains(&kind.as_str())).cloned());
    }
    let usual = &spec["securityContext"];
    let safe = ["kernel.shm_rmid_forced", "net.ipv4.ip_unprivileged_port_start"];
    for sysctl in usual["sysctls"].as_array().into_iter().flatten() {
        if !safe.contains(&sysctl["name"].as_str().unwrap()) {
            found.push("sysctls".to_owned());
        }
    }
    let lists = ["initContainers", "containers"].into_iter().filter_map(|list| spec[list].as_array());
    for container in lists.flatten() {
        let own = &container["securityContext"];
        let held = |field: &str| if own[field].is_null() { &usual[field] } else { &own[field] };
        let added = own["capabilities"]["add"].as_array().cloned().unwrap_or_default();
        let seccomp = &held("seccompProfile")["type"];
        let checks = [
            ("privileged", own["privileged"] != true),
            ("allowPrivilegeEscalation", own["allowPrivilegeEscalation"] == false),
            ("runAsNonRoot", held("runAsNonRoot") == true),
            ("runAsUser", held("runAsUser") != 0),
            ("seccompProfile", seccomp == "RuntimeDefault" || seccomp == "Localhost"),
            ("drop", own["capabilities"]["drop"].as_array().is_some_and(|drop| drop.contains(&json!("ALL")))),
            ("add", added.iter().all(|capability| capability == "NET_BIND_SERVICE")),
            ("procMount", own["procMount"].is_null()),
            ("hostPort", container["ports"].as_array().into_iter().flatten().all(|port| port["hostPort"].is_null())),
            ("hostProcess", own["windowsOptions"]["hostProcess"] != true),
        ];
        let name = container["name"].as_str().unwrap();
        found.extend(checks.iter().filter(|(_, fits)| !fits).map(|(field, _)| format!("{name}: {field}")));
    }
    found
}

fn restricted() -> Case {
    let mut case = Case::new();
    case.pod["spec"]["containers"][0]["securityContext"] = json!({
        "allowPrivilegeEscalation": false,
        "runAsNonRoot": true,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    case
}

#[test]
fn an_injected_pod_meets_the_level_restricted() {
    let forms: [&[(&str, &str)]; 6] = [
        &[],
        &[("native-sidecar", "false")],
        &[("run-as", "unset")],
        &[("run-as", "1000"), ("ready-gate", "true")],
        &[("config-map", "broker"), ("expose-token-file", "true")],
        &[("doors", "oauth,cloud-shell,plain")],
    ];
    for form in forms {
        let mut case = restricted();
        assert_eq!(violations(&case.pod), Vec::<String>::new());
        for (key, value) in form {
            case.annotate(key, value);
        }
        assert_eq!(violations(&case.injected()), Vec::<String>::new(), "{form:?}");
    }
}

#[test]
fn the_loopback_address_does_not_and_by_its_one_step_alone() {
    let mut case = restricted();
    case.annotate("intercept", "loopback-address");
    let found = violations(&case.injected());
    assert_eq!(found, ["unsecret-net-setup: runAsNonRoot", "unsecret-net-setup: runAsUser", "unsecret-net-setup: add"]);
}
