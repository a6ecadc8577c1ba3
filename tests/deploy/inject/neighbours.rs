//! With other sidecars in the pod, and other webhooks before and after ours.

use serde_json::{Value, json};
use unsecret::inject::{Reason, Verdict};

use super::{Case, applied, container, names, variable};

/// As Istio writes them with native sidecars.
fn istio() -> Value {
    json!([
        {"name": "istio-init", "image": "proxyv2", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}},
        {"name": "istio-proxy", "image": "proxyv2", "restartPolicy": "Always", "env": [{"name": "POD_NAME"}]},
    ])
}

#[test]
fn a_mesh_stays_ahead_and_is_not_touched() {
    let linkerd = json!([
        {"name": "linkerd-init", "image": "proxy-init"},
        {"name": "linkerd-proxy", "image": "proxy", "restartPolicy": "Always"},
    ]);
    for mesh in [istio(), linkerd] {
        let mut case = Case::new();
        let mut init = mesh.as_array().unwrap().clone();
        init.push(json!({"name": "migrate"}));
        case.pod["spec"]["initContainers"] = init.into();
        let pod = case.injected();
        let order = names(&pod, "initContainers");
        assert_eq!(order[2..], ["unsecret", "migrate"], "{order:?}");
        assert_eq!(pod["spec"]["initContainers"].as_array().unwrap()[..2], *mesh.as_array().unwrap());
        assert!(variable(&pod, "migrate", "IDENTITY_ENDPOINT").is_some());
    }
}

#[test]
fn a_mesh_behind_other_steps_leaves_them_to_us() {
    let mut case = Case::new();
    case.pod["spec"]["initContainers"] = json!([{"name": "migrate"}, {"name": "istio-init"}]);
    case.pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "istio-proxy"}));
    let pod = case.injected();
    assert_eq!(names(&pod, "initContainers"), ["unsecret", "migrate", "istio-init"]);
    assert_eq!(container(&pod, "istio-proxy"), &json!({"name": "istio-proxy"}));
}

#[test]
fn net_setup_comes_right_before_the_broker() {
    let mut case = Case::annotated(&[("intercept", "loopback-address")]);
    case.pod["spec"]["initContainers"] = istio();
    let order = names(&case.injected(), "initContainers");
    assert_eq!(order, ["istio-init", "istio-proxy", "unsecret-net-setup", "unsecret"]);
}

#[test]
fn vaults_agent_comes_after_us_and_is_served() {
    let mut case = Case::new();
    case.pod["spec"]["initContainers"] = json!([{"name": "vault-agent-init", "image": "vault"}]);
    case.pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "vault-agent", "image": "vault"}));
    let pod = case.injected();
    assert_eq!(names(&pod, "initContainers"), ["unsecret", "vault-agent-init"]);
    // Vault can log in to Azure with a managed identity.
    assert!(variable(&pod, "vault-agent", "IDENTITY_ENDPOINT").is_some());
}

#[test]
fn asked_again_it_changes_nothing() {
    let case = Case::annotated(&[("intercept", "loopback-address"), ("expose-token-file", "true")]);
    let outcome = case.outcome_of(&case.injected());
    assert_eq!(outcome.verdict, Verdict::Unchanged(Reason::AlreadyInjected));
    assert_eq!(outcome.warnings, Vec::<String>::new());
}

#[test]
fn asked_again_it_gives_a_later_container_its_variables_and_nothing_else() {
    let case = Case::new();
    let mut pod = case.injected();
    pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "late"}));
    pod["spec"]["initContainers"].as_array_mut().unwrap().insert(0, json!({"name": "early-step"}));
    let Verdict::Injected(operations) = case.outcome_of(&pod).verdict else {
        panic!("the later container has nothing")
    };
    assert!(operations.iter().all(|one| one.path().steps()[..3] == ["spec", "containers", "1"]), "{operations:?}");
    let again = applied(&pod, &operations);
    assert_eq!(container(&again, "late")["env"], container(&pod, "api")["env"]);
    assert_eq!(case.outcome_of(&again).verdict, Verdict::Unchanged(Reason::AlreadyInjected));
}

#[test]
fn asked_again_it_sees_what_azures_webhook_did_since() {
    let case = Case::new();
    let mut pod = case.injected();
    let env = pod["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    env.push(json!({"name": "AZURE_FEDERATED_TOKEN_FILE", "value": "/var/run/secrets/azure/wi/token"}));
    assert!(matches!(case.outcome_of(&pod).verdict, Verdict::Denied(_)));
}

#[test]
fn a_mark_that_was_copied_without_the_broker_is_no_mark() {
    let case = Case::annotated(&[("injected", "0.1.0")]);
    let pod = case.injected();
    assert_eq!(names(&pod, "initContainers"), ["unsecret"]);
    assert_eq!(case.warnings(), Vec::<String>::new(), "our own key is known");
}

#[test]
fn other_settings_than_those_it_was_injected_with_are_told() {
    let mut case = Case::new();
    let pod = case.injected();
    case.values["defaults"]["allowedResources"] = json!(["*"]);
    let outcome = case.outcome_of(&pod);
    assert_eq!(outcome.verdict, Verdict::Unchanged(Reason::AlreadyInjected));
    assert!(outcome.warnings[0].contains("injected with other settings"), "{:?}", outcome.warnings);
}
