//! What the containers get: that alone which leads an unmodified SDK to the broker (contract B1).

use serde_json::{Value, json};

use super::{CLIENT, Case, container, variable};

const NEAR: &str = "localhost,127.0.0.1,::1,169.254.169.254";

#[test]
fn the_usual_doors_lead_there_by_these_and_no_others() {
    let pod = Case::new().injected();
    let expected = [
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:4780/msi/token"),
        ("IDENTITY_HEADER", "metadata.uid"),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:4780/"),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_TOKEN_CREDENTIALS", "prod"),
        ("NO_PROXY", NEAR),
        ("no_proxy", NEAR),
    ];
    for (name, value) in expected {
        assert_eq!(variable(&pod, "api", name).as_deref(), Some(value), "{name}");
    }
    let env = container(&pod, "api")["env"].as_array().unwrap();
    assert_eq!(env.len(), expected.len(), "{env:?}");
}

#[test]
fn each_door_has_the_variables_its_clients_read() {
    let with = |doors: &str| Case::annotated(&[("doors", doors)]).injected();
    let imds = with("imds");
    assert_eq!(variable(&imds, "api", "IDENTITY_ENDPOINT"), None);
    assert_eq!(variable(&imds, "api", "IDENTITY_HEADER"), None);
    let old = with("app-service-2017");
    for (name, value) in [
        ("MSI_ENDPOINT", "http://127.0.0.1:4780/msi/token"),
        ("MSI_SECRET", "metadata.uid"),
        ("DEFAULT_IDENTITY_CLIENT_ID", CLIENT),
        ("APPSETTING_WEBSITE_SITE_NAME", "unsecret"),
    ] {
        assert_eq!(variable(&old, "api", name).as_deref(), Some(value), "{name}");
    }
    let shell = with("cloud-shell");
    let endpoint = variable(&shell, "api", "MSI_ENDPOINT").unwrap();
    assert_eq!(endpoint, "http://127.0.0.1:4780/cloud-shell/$(UNSECRET_POD_KEY)/oauth2/token");
    assert_eq!(variable(&shell, "api", "AZURE_CLIENT_ID"), None, "SDKs that find it refuse to ask");
    assert_eq!(variable(&shell, "api", "MSI_SECRET"), None, "with it the SDK would take it for Azure ML");
    let place = |name: &str| {
        let env = container(&shell, "api")["env"].as_array().unwrap();
        env.iter().position(|entry| entry["name"] == name).unwrap()
    };
    assert!(place("UNSECRET_POD_KEY") < place("MSI_ENDPOINT"), "the kubelet puts in only what stands before");
    for doors in ["oauth", "plain"] {
        assert_eq!(variable(&with(doors), "api", "UNSECRET_POD_KEY").as_deref(), Some("metadata.uid"), "{doors}");
    }
}

#[test]
fn nothing_wakes_the_environment_credential() {
    for doors in ["app-service", "imds", "oauth", "cloud-shell", "plain", "app-service-2017"] {
        let pod = Case::annotated(&[("doors", doors)]).injected();
        for name in ["AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST", "AZURE_FEDERATED_TOKEN_FILE"] {
            assert_eq!(variable(&pod, "api", name), None, "{doors}");
        }
    }
}

#[test]
fn what_is_there_stands_and_is_warned_of_where_it_differs() {
    let mut case = Case::new();
    let own = json!([
        {"name": "AZURE_CLIENT_ID", "value": "77777777-aaaa-4bbb-8ccc-888888888888"},
        {"name": "IDENTITY_ENDPOINT", "value": "http://127.0.0.1:4780/msi/token"},
        {"name": "AZURE_TOKEN_CREDENTIALS", "value": "managedidentitycredential"},
    ]);
    case.pod["spec"]["containers"][0]["env"] = own.clone();
    let warnings = case.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("`api` has AZURE_CLIENT_ID already"));
    let pod = case.injected();
    assert_eq!(container(&pod, "api")["env"].as_array().unwrap()[..3], *own.as_array().unwrap());
    case.pod["spec"]["containers"][0]["env"] = json!([{"name": "AZURE_TOKEN_CREDENTIALS", "value": "dev"}]);
    assert!(case.warnings()[0].contains("AZURE_TOKEN_CREDENTIALS"));
}

#[test]
fn exemptions_from_a_proxy_are_appended() {
    let lists = |env: Value| {
        let mut case = Case::new();
        case.pod["spec"]["containers"][0]["env"] = env;
        let pod = case.injected();
        (variable(&pod, "api", "NO_PROXY").unwrap(), variable(&pod, "api", "no_proxy").unwrap())
    };
    let appended = format!(".corp,{NEAR}");
    assert_eq!(lists(json!([{"name": "NO_PROXY", "value": ".corp"}])), (appended.clone(), appended.clone()));
    assert_eq!(lists(json!([{"name": "no_proxy", "value": ".corp"}])), (appended.clone(), appended));
    assert_eq!(lists(json!([{"name": "NO_PROXY", "value": "*"}])).0, "*");
    assert_eq!(lists(json!([{"name": "NO_PROXY"}])).0, NEAR, "an empty value may be left out");
    let from = json!({"name": "NO_PROXY", "valueFrom": {"configMapKeyRef": {"name": "proxy", "key": "no"}}});
    let mut case = Case::new();
    case.pod["spec"]["containers"][0]["env"] = json!([from]);
    assert_eq!(container(&case.injected(), "api")["env"][0], from);
    assert_eq!(variable(&case.injected(), "api", "no_proxy"), Some(format!("$(NO_PROXY),{NEAR}")));
    assert!(case.warnings()[0].contains("takes NO_PROXY from elsewhere"));
}

#[test]
fn containers_are_chosen_by_name() {
    let mut case = Case::new();
    case.pod["spec"]["containers"] = json!([{"name": "api"}, {"name": "log"}]);
    case.pod["spec"]["initContainers"] = json!([{"name": "migrate"}]);
    let served = |case: &Case| {
        let pod = case.injected();
        let all = ["api", "log", "migrate"].into_iter();
        all.filter(|name| variable(&pod, name, "IDENTITY_ENDPOINT").is_some()).collect::<Vec<_>>()
    };
    assert_eq!(served(&case), ["api", "log", "migrate"]);
    case.annotate("containers", "migrate, api");
    assert_eq!(served(&case), ["api", "migrate"]);
    case.pod["metadata"]["annotations"] = json!({});
    case.annotate("skip-containers", "log");
    assert_eq!(served(&case), ["api", "migrate"]);
    case.annotate("skip-containers", "logs");
    let warnings = case.warnings();
    assert!(
        warnings[0].contains("no container `logs`") && warnings[0].ends_with("did you mean `log`?"),
        "{warnings:?}"
    );
}

#[test]
fn a_step_that_nobody_serves_is_warned_of_where_it_was_named() {
    let mut case = Case::annotated(&[("native-sidecar", "false"), ("containers", "migrate,api")]);
    case.pod["spec"]["initContainers"] = json!([{"name": "migrate"}]);
    assert!(case.warnings()[0].contains("`migrate` ends before the broker starts"), "{:?}", case.warnings());
}
