//! The secret that stays: with it everything works, and past the broker.

use serde_json::{Value, json};

use super::{Case, container, variable};

fn carrying(entry: &Value) -> Case {
    let mut case = Case::new();
    case.pod["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "1"}, entry, {"name": "Z", "value": "2"}]);
    case
}

fn secret() -> Value {
    json!({"name": "AZURE_CLIENT_SECRET", "valueFrom": {"secretKeyRef": {"name": "api", "key": "secret"}}})
}

#[test]
fn it_is_refused_with_the_variable_the_container_and_the_remedy() {
    let forms = [
        secret(),
        json!({"name": "AZURE_CLIENT_SECRET", "value": "abc"}),
        json!({"name": "AZURE_CLIENT_SECRET"}),
        json!({"name": "AZURE_FEDERATED_TOKEN_FILE", "value": "/var/run/secrets/azure/wi/token"}),
    ];
    for entry in forms {
        let (code, message, remedy) = carrying(&entry).denied();
        let name = entry["name"].as_str().unwrap();
        assert_eq!(code, "inject-leftover-secret");
        assert!(message.contains(&format!("container `api` has {name}")), "{message}");
        assert!(remedy.contains("unsecret.dev/leftover-secret: strip"), "{remedy}");
        assert_eq!(remedy.contains("azure.workload.identity/use"), name == "AZURE_FEDERATED_TOKEN_FILE", "{remedy}");
        assert!(!message.contains("abc"), "a secret in a message");
    }
}

#[test]
fn an_init_container_is_looked_at_as_well() {
    let mut case = Case::new();
    case.pod["spec"]["initContainers"] = json!([{"name": "migrate", "env": [secret()]}]);
    assert!(case.denied().1.contains("`migrate`"));
}

#[test]
fn strip_takes_away_it_alone() {
    let mut case = carrying(&secret());
    case.annotate("leftover-secret", "strip");
    let twice = json!({"name": "AZURE_FEDERATED_TOKEN_FILE", "value": "/f"});
    let env = case.pod["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    env.insert(0, twice.clone());
    env.push(twice);
    let pod = case.injected();
    let env = container(&pod, "api")["env"].as_array().unwrap();
    assert_eq!(env[..2], [json!({"name": "A", "value": "1"}), json!({"name": "Z", "value": "2"})]);
    for gone in ["AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"] {
        assert_eq!(variable(&pod, "api", gone), None);
    }
    assert_eq!(variable(&pod, "api", "IDENTITY_HEADER").as_deref(), Some("metadata.uid"));
}

#[test]
fn warn_leaves_it_and_says_so() {
    let mut case = carrying(&secret());
    case.annotate("leftover-secret", "warn");
    assert!(case.warnings()[0].contains("`api` has AZURE_CLIENT_SECRET"), "{:?}", case.warnings());
    assert_eq!(container(&case.injected(), "api")["env"][1], secret());
}

#[test]
fn a_container_that_is_not_led_to_the_broker_may_keep_it() {
    let mut case = carrying(&secret());
    case.pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "new"}));
    case.annotate("containers", "new");
    assert_eq!(container(&case.injected(), "api"), &case.pod["spec"]["containers"][0]);
}

#[test]
fn what_env_from_brings_cannot_be_seen_and_that_is_said() {
    let mut case = Case::new();
    let from = |case: &mut Case, source: Value| case.pod["spec"]["containers"][0]["envFrom"] = json!([source]);
    from(&mut case, json!({"secretRef": {"name": "api-env"}}));
    let warnings = case.warnings();
    assert!(warnings[0].contains("Secret `api-env`") && warnings[0].contains("AZURE_CLIENT_SECRET"), "{warnings:?}");
    from(&mut case, json!({"configMapRef": {"name": "flags"}}));
    assert!(case.warnings()[0].contains("ConfigMap `flags`"));
    from(&mut case, json!({"prefix": "APP_", "secretRef": {"name": "api-env"}}));
    assert_eq!(case.warnings(), Vec::<String>::new(), "no key behind that prefix makes the name");
    from(&mut case, json!({"prefix": "AZURE_", "secretRef": {"name": "api-env"}}));
    assert_eq!(case.warnings().len(), 1);
}

#[test]
fn other_variables_that_lead_elsewhere_are_warned_of() {
    for name in ["AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME", "IDENTITY_SERVER_THUMBPRINT", "IMDS_ENDPOINT"] {
        let warnings = carrying(&json!({"name": name, "value": "x"})).warnings();
        assert!(warnings.iter().any(|warning| warning.contains(name)), "{warnings:?}");
    }
}

#[test]
fn an_exposed_token_file_is_no_leftover() {
    let mut case = Case::annotated(&[("expose-token-file", "true")]);
    let pod = case.injected();
    let set = [
        ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/unsecret/token"),
        ("AZURE_TENANT_ID", super::TENANT),
        ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/"),
    ];
    for (name, value) in set {
        assert_eq!(variable(&pod, "api", name).as_deref(), Some(value));
    }
    let mount = json!({"name": "unsecret-token", "mountPath": "/var/run/secrets/unsecret", "readOnly": true});
    assert_eq!(container(&pod, "api")["volumeMounts"], json!([mount]));
    case.pod["spec"]["containers"][0]["env"] = json!([secret()]);
    assert_eq!(case.denied().0, "inject-leftover-secret", "with the tenant set it would win");
}
