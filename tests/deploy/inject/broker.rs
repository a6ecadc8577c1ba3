//! The broker's container: where it stands, whose process it is, what it reads.

use serde_json::{Value, json};

use super::{Case, container, names, variable};

#[test]
fn it_is_a_native_sidecar_before_everything_else() {
    let mut case = Case::new();
    case.pod["spec"]["initContainers"] = json!([{"name": "migrate", "image": "api:1"}]);
    let pod = case.injected();
    assert_eq!(names(&pod, "initContainers"), ["unsecret", "migrate"]);
    assert_eq!(names(&pod, "containers"), ["api"]);
    let broker = container(&pod, "unsecret");
    assert_eq!(broker["restartPolicy"], "Always");
    assert_eq!(broker["args"], json!(["run"]));
    assert_eq!(broker["command"], Value::Null, "the image's entry point");
    assert_eq!(broker["terminationMessagePolicy"], "FallbackToLogsOnError");
    assert_eq!(broker["resources"]["limits"]["cpu"], Value::Null, "a CPU limit would only slow it");
    for (probe, path) in [("startupProbe", "/startupz"), ("livenessProbe", "/livez")] {
        assert_eq!(broker[probe]["httpGet"]["path"], path);
        assert_eq!(broker[probe]["httpGet"]["port"], broker["ports"][0]["name"], "{probe}");
    }
    assert_eq!(broker["readinessProbe"], Value::Null);
    assert_eq!(pod["metadata"]["annotations"]["unsecret.dev/injected"], env!("CARGO_PKG_VERSION"));
    let hash = pod["metadata"]["annotations"]["unsecret.dev/config-hash"].as_str().unwrap();
    assert!(hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
}

#[test]
fn without_native_sidecars_it_is_the_first_container_and_not_the_default_one() {
    let annotated = Case::annotated(&[("native-sidecar", "false")]);
    let mut old = Case::new();
    old.native_sidecars = false;
    for mut case in [annotated, old] {
        case.pod["spec"]["initContainers"] = json!([{"name": "migrate", "image": "api:1"}]);
        let pod = case.injected();
        assert_eq!(names(&pod, "containers"), ["unsecret", "api"]);
        let broker = container(&pod, "unsecret");
        assert_eq!(broker["restartPolicy"], Value::Null, "an older cluster refuses it on an ordinary container");
        assert_eq!(pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"], "api");
        assert_eq!(variable(&pod, "migrate", "IDENTITY_ENDPOINT"), None, "it ends before the broker starts");
        assert_eq!(variable(&pod, "unsecret", "UNSECRET_LISTEN_DRAIN").as_deref(), Some("10s"));
    }
}

#[test]
fn a_default_container_that_was_chosen_stays() {
    let mut case = Case::annotated(&[("native-sidecar", "false")]);
    case.pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = "log".into();
    assert_eq!(case.injected()["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"], "log");
}

#[test]
fn a_job_with_an_ordinary_container_is_told_that_it_never_ends() {
    let mut case = Case::annotated(&[("native-sidecar", "false")]);
    case.pod["spec"]["restartPolicy"] = "Never".into();
    assert!(case.warnings().iter().any(|warning| warning.contains("never completes")), "{:?}", case.warnings());
    case.annotate("native-sidecar", "true");
    assert_eq!(case.warnings(), Vec::<String>::new());
}

#[test]
fn its_name_for_the_port_takes_no_service_from_the_application() {
    let mut case = Case::annotated(&[("native-sidecar", "false")]);
    case.pod["spec"]["containers"][0]["ports"] = json!([{"name": "metrics", "containerPort": 2112}]);
    let pod = case.injected();
    // A Service with `targetPort: metrics` goes to the first container that has a port of that name.
    assert_ne!(container(&pod, "unsecret")["ports"][0]["name"], "metrics");
}

#[test]
fn its_user_is_its_own_unless_told_otherwise() {
    let user = |case: &Case| container(&case.injected(), "unsecret")["securityContext"].clone();
    let context = user(&Case::new());
    assert_eq!((&context["runAsUser"], &context["runAsGroup"]), (&json!(65_532), &json!(65_532)));
    let context = user(&Case::annotated(&[("run-as", "1234")]));
    assert_eq!((&context["runAsUser"], &context["runAsGroup"]), (&json!(1_234), &json!(1_234)));
    let mut same = Case::annotated(&[("run-as", "same")]);
    same.pod["spec"]["securityContext"] = json!({"runAsUser": 1000});
    assert_eq!(user(&same)["runAsUser"], 1_000);
}

#[test]
fn openshift_gives_the_user_unless_the_pod_insists() {
    let user = |case: &Case| container(&case.injected(), "unsecret")["securityContext"]["runAsUser"].clone();
    assert_eq!(user(&Case::annotated(&[("run-as", "unset")])), Value::Null);
    let mut openshift = Case::new();
    openshift.values["platform"] = "openshift".into();
    assert_eq!(user(&openshift), Value::Null, "restricted-v2 refuses 65532");
    openshift.annotate("run-as", "dedicated");
    assert_eq!(user(&openshift), 65_532);
}

#[test]
fn run_as_same_needs_one_user_that_is_not_root() {
    let contexts = [
        (json!({}), json!({}), "names none"),
        (json!({"runAsUser": 1000}), json!({"runAsUser": 1001}), "has several"),
        (json!({"runAsUser": 0}), json!({}), "runs as root"),
    ];
    for (pod, second, why) in contexts {
        let mut case = Case::annotated(&[("run-as", "same")]);
        case.pod["spec"]["securityContext"] = pod;
        let containers = case.pod["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({"name": "log", "securityContext": second}));
        let (code, message, _) = case.denied();
        assert_eq!(code, "inject-no-common-user");
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn a_user_of_its_own_beside_other_token_files_is_warned_of() {
    let mut case = Case::new();
    case.pod["spec"]["securityContext"] = json!({"runAsUser": 1000});
    assert_eq!(case.warnings(), Vec::<String>::new(), "there is no token file to loosen");
    let token = json!({"serviceAccountToken": {"path": "token", "audience": "vault"}});
    case.pod["spec"]["volumes"] = json!([{"name": "vault", "projected": {"sources": [token]}}]);
    assert!(case.warnings()[0].contains("0644"), "{:?}", case.warnings());
    case.pod["spec"]["securityContext"]["fsGroup"] = 2_000.into();
    assert_eq!(case.warnings(), Vec::<String>::new(), "then the group may read, and nobody else");
    case.pod["spec"]["securityContext"] = json!({"runAsUser": 1000});
    case.annotate("run-as", "same");
    assert_eq!(case.warnings(), Vec::<String>::new());
}

#[test]
fn the_token_is_projected_for_this_audience_alone_and_mounted_whole() {
    let pod = Case::new().injected();
    let token = json!({"path": "token", "audience": "api://AzureADTokenExchange", "expirationSeconds": 3600});
    let volume = json!({"name": "unsecret-token", "projected": {"sources": [{"serviceAccountToken": token}]}});
    assert_eq!(pod["spec"]["volumes"], json!([volume]));
    let mount = json!({"name": "unsecret-token", "mountPath": "/var/run/secrets/unsecret", "readOnly": true});
    assert_eq!(container(&pod, "unsecret")["volumeMounts"], json!([mount]), "a subPath would never be updated");
    assert_eq!(container(&pod, "api")["volumeMounts"], Value::Null);
}

#[test]
fn what_the_operator_says_of_all_brokers_is_in_each() {
    let mut case = Case::new();
    case.values = json!({
        "image": {"registry": "r.example", "repository": "u", "tag": "1", "digest": "sha256:00", "pullPolicy": "Always"},
        "sidecar": {
            "ports": {"token": 5780, "metrics": 10464},
            "securityContext": {"seLinuxOptions": {"level": "s0"}, "seccompProfile": {"type": "Localhost"}},
            "extraEnv": [{"name": "UNSECRET_LOG_JSON", "value": "false"}, {"name": "SSL_CERT_DIR", "value": "/certs"}],
        },
        "defaults": {
            "tenantId": super::TENANT, "allowedResources": ["*"], "httpsProxy": "http://proxy:3128", "noProxy": ".corp",
            "extraCaConfigMap": "roots", "audience": "api://ours", "tokenExpirationSeconds": 7200,
        },
    });
    let pod = case.injected();
    let broker = container(&pod, "unsecret");
    assert_eq!(broker["image"], "r.example/u:1@sha256:00");
    assert_eq!(broker["imagePullPolicy"], "Always");
    assert_eq!(broker["ports"][0]["containerPort"], 10_464);
    assert_eq!(broker["securityContext"]["seLinuxOptions"]["level"], "s0");
    assert_eq!(broker["securityContext"]["seccompProfile"], json!({"type": "Localhost"}));
    assert_eq!(broker["securityContext"]["runAsNonRoot"], true, "laid over, not put in place of");
    let told = [
        ("UNSECRET_LISTEN_HTTP", "127.0.0.1:5780"),
        ("UNSECRET_LISTEN_ADMIN", "0.0.0.0:10464"),
        ("UNSECRET_CA_FILE", "/etc/unsecret-ca/ca.crt"),
        ("HTTPS_PROXY", "http://proxy:3128"),
        ("NO_PROXY", ".corp"),
        ("UNSECRET_LOG_JSON", "false"),
        ("SSL_CERT_DIR", "/certs"),
        ("UNSECRET_ASSERTION_AUDIENCE", "api://ours"),
    ];
    for (name, value) in told {
        assert_eq!(variable(&pod, "unsecret", name).as_deref(), Some(value), "{name}");
    }
    let env = broker["env"].as_array().unwrap();
    assert_eq!(env.iter().filter(|entry| entry["name"] == "UNSECRET_LOG_JSON").count(), 1);
    assert_eq!(variable(&pod, "api", "IDENTITY_ENDPOINT").as_deref(), Some("http://127.0.0.1:5780/msi/token"));
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.contains(&json!({"name": "unsecret-ca", "configMap": {"name": "roots"}})), "{volumes:?}");
}

#[test]
fn a_ready_gate_asks_for_the_tokens_and_waits_for_them() {
    let pod = Case::annotated(&[("ready-gate", "true")]).injected();
    assert_eq!(container(&pod, "unsecret")["readinessProbe"]["httpGet"]["path"], "/readyz");
    let any = Case::annotated(&[("ready-gate", "true"), ("resources", "*")]).injected();
    assert_eq!(variable(&any, "unsecret", "UNSECRET_PREFETCH"), None, "nothing is named that could be held");
}

#[test]
fn a_config_map_is_read_from_its_own_folder() {
    let pod = Case::annotated(&[("config-map", "broker")]).injected();
    let mounts = container(&pod, "unsecret")["volumeMounts"].as_array().unwrap().clone();
    assert!(mounts.contains(&json!({"name": "unsecret-config", "mountPath": "/etc/unsecret", "readOnly": true})));
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.contains(&json!({"name": "unsecret-config", "configMap": {"name": "broker"}})));
}

#[test]
fn the_loopback_address_comes_from_one_step_with_one_capability() {
    let mut case = Case::annotated(&[("intercept", "loopback-address")]);
    case.pod["spec"]["securityContext"] = json!({"runAsNonRoot": true});
    let pod = case.injected();
    assert_eq!(names(&pod, "initContainers"), ["unsecret-net-setup", "unsecret"]);
    let step = container(&pod, "unsecret-net-setup");
    assert_eq!(step["args"], json!(["net-setup"]));
    assert_eq!(step["restartPolicy"], Value::Null);
    let context = &step["securityContext"];
    assert_eq!(context["runAsUser"], 0);
    assert_eq!(context["runAsNonRoot"], false, "the pod's own would keep it from starting");
    assert_eq!(context["capabilities"], json!({"drop": ["ALL"], "add": ["NET_ADMIN"]}));
    assert_eq!(context["privileged"], Value::Null);
    assert_eq!(context["allowPrivilegeEscalation"], false);
    let sysctl = json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"});
    assert_eq!(pod["spec"]["securityContext"], json!({"runAsNonRoot": true, "sysctls": [sysctl]}));
    assert_eq!(container(&pod, "unsecret")["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
    // A sysctl of the pod's own that does as well is left as it is.
    case.pod["spec"]["securityContext"] =
        json!({"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}]});
    assert_eq!(case.injected()["spec"]["securityContext"], case.pod["spec"]["securityContext"]);
}
