//! Pod Security Standards, profile "restricted", field by field: what a namespace that enforces it says of a pod.

use serde_json::Value;

/// Kinds of volumes that the profile admits, beside a volume's name.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// Sysctls that reach no further than the pod.
const SYSCTLS: [&str; 4] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
];

fn list<'a>(of: &'a Value, key: &str) -> Vec<&'a Value> {
    of[key].as_array().map(|all| all.iter().collect()).unwrap_or_default()
}

/// What is wrong with a pod's `spec`, each as the path of a field.
pub fn violations(spec: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[field] == true {
            wrong.push(field.to_owned());
        }
    }
    for volume in list(spec, "volumes") {
        let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        wrong.extend(kinds.filter(|kind| !VOLUMES.contains(&kind.as_str())).map(|kind| format!("volumes.{kind}")));
    }
    let pod = &spec["securityContext"];
    for sysctl in list(pod, "sysctls") {
        if !SYSCTLS.contains(&sysctl["name"].as_str().unwrap()) {
            wrong.push(format!("sysctls.{}", sysctl["name"]));
        }
    }
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        for container in list(spec, kind) {
            let found = of_container(pod, container);
            wrong.extend(found.into_iter().map(|what| format!("{kind}.{}.{what}", container["name"])));
        }
    }
    wrong
}

fn of_container(pod: &Value, container: &Value) -> Vec<&'static str> {
    let own = &container["securityContext"];
    // The container's word stands before the pod's.
    let either = |field: &str| if own[field].is_null() { &pod[field] } else { &own[field] };
    let capabilities = &own["capabilities"];
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
    let rules = [
        ("privileged", own["privileged"] != true),
        ("allowPrivilegeEscalation", own["allowPrivilegeEscalation"] == false),
        ("runAsNonRoot", *either("runAsNonRoot") == true),
        ("runAsUser", *either("runAsUser") != 0),
        ("seccompProfile", ["RuntimeDefault", "Localhost"].iter().any(|it| either("seccompProfile")["type"] == *it)),
        ("capabilities.drop", list(capabilities, "drop").iter().any(|it| **it == "ALL")),
        ("capabilities.add", list(capabilities, "add").iter().all(|it| **it == "NET_BIND_SERVICE")),
        ("procMount", own["procMount"].is_null() || own["procMount"] == "Default"),
        ("seLinuxOptions", either("seLinuxOptions").is_null()),
        ("appArmorProfile", either("appArmorProfile")["type"] != "Unconfined"),
        ("windowsOptions", either("windowsOptions")["hostProcess"] != true),
        ("ports.hostPort", list(container, "ports").iter().all(|it| it["hostPort"].as_u64().unwrap_or(0) == 0)),
        // Since 1.34: a probe may not make the kubelet talk to another host.
        ("probe.host", probes.iter().all(|it| container[*it]["httpGet"]["host"].is_null())),
    ];
    rules.into_iter().filter(|(_, holds)| !holds).map(|(field, _)| field).collect()
}

#[test]
fn each_field_of_the_restricted_profile_is_looked_at() {
    let good = serde_json::json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "a", "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        "volumes": [{"name": "v", "projected": {}}],
    });
    assert_eq!(violations(&good), Vec::<String>::new());
    let worse = [
        ("/hostNetwork", "true"),
        ("/hostPID", "true"),
        ("/volumes/0/hostPath", "{}"),
        ("/securityContext/runAsNonRoot", "false"),
        ("/securityContext/runAsUser", "0"),
        ("/securityContext/seccompProfile", "null"),
        ("/securityContext/sysctls", r#"[{"name": "kernel.msgmax"}]"#),
        ("/containers/0/securityContext/privileged", "true"),
        ("/containers/0/securityContext/allowPrivilegeEscalation", "null"),
        ("/containers/0/securityContext/capabilities/drop", "[]"),
        ("/containers/0/securityContext/capabilities/add", r#"["NET_ADMIN"]"#),
        ("/containers/0/securityContext/procMount", r#""Unmasked""#),
        ("/containers/0/ports", r#"[{"hostPort": 80}]"#),
        ("/containers/0/startupProbe", r#"{"httpGet": {"host": "example.org"}}"#),
    ];
    for (path, value) in worse {
        let (mut pod, (parent, field)) = (good.clone(), path.rsplit_once('/').unwrap());
        pod.pointer_mut(parent).unwrap()[field] = serde_json::from_str(value).unwrap();
        assert_eq!(violations(&pod).len(), 1, "{path}: {value}");
    }
}
