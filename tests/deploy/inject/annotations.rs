//! Each annotation: where it is read, what it does, what it may be.

use serde_json::json;

use super::{CLIENT, Case, TENANT, container, variable, written};

const OTHER: &str = "77777777-aaaa-4bbb-8ccc-888888888888";

/// What the broker is told.
fn told(case: &Case, name: &str) -> Option<String> {
    variable(&case.injected(), "unsecret", name)
}

#[test]
fn the_pod_is_heard_before_the_namespace_and_that_before_the_service_account() {
    let mut case = Case::new();
    assert_eq!(told(&case, "UNSECRET_CLIENT_ID").as_deref(), Some(CLIENT));
    case.namespace = written("annotations", &[("unsecret.dev/client-id", OTHER)]);
    assert_eq!(told(&case, "UNSECRET_CLIENT_ID").as_deref(), Some(OTHER));
    case.annotate("client-id", TENANT);
    assert_eq!(told(&case, "UNSECRET_CLIENT_ID").as_deref(), Some(TENANT));
}

#[test]
fn a_service_account_made_for_azures_webhook_is_understood() {
    let mut case = Case::new();
    let azures =
        [("azure.workload.identity/client-id", OTHER), ("azure.workload.identity/tenant-id", "contoso.example")];
    case.account = written("annotations", &azures);
    assert_eq!(told(&case, "UNSECRET_CLIENT_ID").as_deref(), Some(OTHER));
    assert_eq!(told(&case, "UNSECRET_TENANT").as_deref(), Some("contoso.example"), "it stands before the chart's");
    case.account = written("annotations", &[azures[0], ("unsecret.dev/client-id", CLIENT)]);
    assert_eq!(told(&case, "UNSECRET_CLIENT_ID").as_deref(), Some(CLIENT), "our own is meant for us");
    // AZWI 651: an empty annotation let the pod start, and the login fail.
    case.account = written("annotations", &[("azure.workload.identity/client-id", "")]);
    let (code, message, _) = case.denied();
    assert_eq!(code, "inject-annotation");
    assert!(message.contains("`azure.workload.identity/client-id` of service account `shop/api` is \"\""), "{message}");
}

#[test]
fn every_annotation_has_its_effect() {
    let effects = [
        ("tenant-id", "contoso.example", "UNSECRET_TENANT", "contoso.example"),
        ("cloud", "china", "UNSECRET_CLOUD", "china"),
        ("cloud", "usgov", "UNSECRET_ASSERTION_AUDIENCE", "api://AzureADTokenExchangeUSGov"),
        (
            "resources",
            "https://a.example, https://b.example/",
            "UNSECRET_SCOPES",
            "https://a.example/.default,https://b.example//.default",
        ),
        ("resources", "*", "UNSECRET_SCOPES", "*"),
        ("doors", "oauth,plain", "UNSECRET_LISTEN_DOORS", "oauth,plain"),
        ("config-map", "broker", "UNSECRET_CONFIG", "/etc/unsecret/config.toml"),
        ("log-level", "debug", "UNSECRET_LOG_LEVEL", "debug"),
        ("intercept", "loopback-address", "UNSECRET_LISTEN_HTTP", "127.0.0.1:4780,169.254.169.254:80"),
        ("ready-gate", "true", "UNSECRET_PREFETCH", "https://vault.azure.net/.default"),
    ];
    for (key, value, name, expected) in effects {
        assert_eq!(told(&Case::annotated(&[(key, value)]), name).as_deref(), Some(expected), "{key}: {value}");
    }
    let token =
        |pod: &serde_json::Value| pod["spec"]["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"].clone();
    let pod = Case::annotated(&[("token-expiration-seconds", "600")]).injected();
    assert_eq!(token(&pod)["expirationSeconds"], 600);
    let amounts =
        [("resources-cpu-request", "7m"), ("resources-memory-request", "17Mi"), ("resources-memory-limit", "77Mi")];
    let pod = Case::annotated(&amounts).injected();
    let expected = json!({"requests": {"cpu": "7m", "memory": "17Mi"}, "limits": {"memory": "77Mi"}});
    assert_eq!(container(&pod, "unsecret")["resources"], expected);
}

#[test]
fn every_wrong_value_is_told_with_what_is_right_and_all_at_once() {
    let wrong = [
        ("client-id", "api", "a GUID looks like"),
        ("tenant-id", "common", "a GUID or a verified domain"),
        ("cloud", "Public", "public, usgov or china"),
        ("resources", "vault", "https://vault.azure.net"),
        ("doors", "appservice", "app-service"),
        ("leftover-secret", "ignore", "deny, strip or warn"),
        ("expose-token-file", "yes", "true or false"),
        ("intercept", "iptables", "env or loopback-address"),
        ("token-expiration-seconds", "599", "600 to 86400"),
        ("containers", "a;b", "commas"),
        ("skip-containers", "", "commas"),
        ("run-as", "0", "not 0"),
        ("native-sidecar", "on", "auto, true or false"),
        ("ready-gate", "1", "true or false"),
        ("config-map", "Broker", "ConfigMap"),
        ("resources-cpu-request", "5 m", "5m"),
        ("resources-memory-request", "16MB", "64Mi"),
        ("resources-memory-limit", "-1", "64Mi"),
        ("log-level", "verbose", "info"),
    ];
    for (key, value, right) in wrong {
        let (code, message, _) = Case::annotated(&[(key, value)]).denied();
        assert_eq!(code, "inject-annotation", "{key}");
        let start = format!("annotation `unsecret.dev/{key}` of the pod is \"{value}\": ");
        assert!(message.starts_with(&start) && message.contains(right), "{key}: {message}");
    }
    let all: Vec<_> = wrong.iter().map(|(key, value, _)| (*key, *value)).collect();
    let (_, message, _) = Case::annotated(&all).denied();
    assert_eq!(message.matches("annotation `").count(), wrong.len(), "{message}");
}

#[test]
fn a_strayed_secret_is_not_repeated() {
    let secret = format!("abc8Q~{}", "x".repeat(34));
    let (_, message, _) = Case::annotated(&[("client-id", &secret)]).denied();
    assert!(!message.contains("xxx"), "{message}");
}

#[test]
fn containers_and_skip_containers_exclude_each_other() {
    let (code, message, _) = Case::annotated(&[("containers", "api"), ("skip-containers", "log")]).denied();
    assert_eq!(code, "inject-annotation");
    assert!(message.contains("either containers or skip-containers"), "{message}");
}

#[test]
fn an_exposed_token_lasts_long_enough_for_those_who_read_it_themselves() {
    let mut case = Case::annotated(&[("expose-token-file", "true"), ("token-expiration-seconds", "900")]);
    let (_, message, _) = case.denied();
    assert!(message.contains("\"900\": write 3600 or more"), "{message}");
    case = Case::annotated(&[("expose-token-file", "true")]);
    case.values["defaults"]["tokenExpirationSeconds"] = 600.into();
    let pod = case.injected();
    let token = &pod["spec"]["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(token["expirationSeconds"], 3_600, "nobody said 600 of this pod");
}

#[test]
fn a_misspelt_key_is_warned_of_with_the_nearest_one() {
    let mut case = Case::annotated(&[("resorces", "https://a.example"), ("elephant", "1")]);
    case.namespace = written("annotations", &[("unsecret.dev/clientid", CLIENT), ("other.example/clientid", "x")]);
    case.account.annotations.insert("unsecret.dev/containers".to_owned(), "api".to_owned());
    let warnings = case.warnings();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    let has = |text: &str| assert!(warnings.iter().any(|warning| warning.contains(text)), "{text}: {warnings:?}");
    has("`unsecret.dev/resorces` of the pod is not known and has no effect; did you mean `unsecret.dev/resources`?");
    has(
        "`unsecret.dev/clientid` of namespace `shop` is not known and has no effect; did you mean `unsecret.dev/client-id`?",
    );
    has("`unsecret.dev/containers` of service account `shop/api` has no effect: only a pod can say it");
    assert!(
        warnings
            .iter()
            .any(|warning| warning.ends_with("`unsecret.dev/elephant` of the pod is not known and has no effect"))
    );
}

#[test]
fn a_login_host_of_ones_own_gives_way_to_a_cloud_that_is_annotated() {
    let mut case = Case::new();
    case.values["defaults"]["authorityHost"] = "https://login.example".into();
    assert_eq!(told(&case, "UNSECRET_AUTHORITY_HOST").as_deref(), Some("https://login.example"));
    assert_eq!(told(&case, "UNSECRET_CLOUD"), None, "the broker takes one of the two");
    case.annotate("cloud", "usgov");
    assert_eq!(told(&case, "UNSECRET_AUTHORITY_HOST"), None);
    assert_eq!(told(&case, "UNSECRET_CLOUD").as_deref(), Some("usgov"));
}
