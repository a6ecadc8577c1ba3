//! The variables of the injected broker, read by the broker's own configuration.

use std::path::Path;

use unsecret::config::{AssertionSettings, Config, Environment};
use unsecret::ids::{Door, Resource};
use unsecret::policy::{Allowed, CallerRule};

use super::{CLIENT, Case, TENANT, VAULT, container};

const UID: &str = "0d4f6f0e-3d3a-4c3b-9a52-1f7d6f0f5a11";

/// What the broker makes of it.
fn configured(case: &Case) -> Config {
    Config::load(None, &environment(case)).unwrap_or_else(|problems| panic!("{}", problems.report()))
}

/// What the kubelet would start the broker with.
fn environment(case: &Case) -> Environment {
    let pod = case.injected();
    let env = container(&pod, "unsecret")["env"].as_array().unwrap();
    let pairs = env.iter().map(|entry| {
        let value = entry["value"].as_str().unwrap_or_else(|| {
            assert_eq!(entry["valueFrom"]["fieldRef"]["fieldPath"], "metadata.uid");
            UID
        });
        (entry["name"].as_str().unwrap(), value)
    });
    pairs.collect()
}

#[test]
fn the_broker_is_who_the_annotations_say() {
    let config = configured(&Case::new());
    assert_eq!(config.warnings, Vec::<String>::new());
    let [identity] = &config.identities[..] else { panic!("{:?}", config.identities) };
    assert_eq!((identity.entry.client_id.as_str(), identity.entry.tenant.as_str()), (CLIENT, TENANT));
    assert_eq!(identity.authority.host().as_str(), "https://login.microsoftonline.com/");
    assert_eq!(identity.entry.allowed, Allowed::Listed(vec![Resource::parse(VAULT).unwrap()]));
    let AssertionSettings::File { path, audience } = &identity.assertion else { panic!("{:?}", identity.assertion) };
    assert_eq!(path, Path::new("/var/run/secrets/unsecret/token"));
    assert_eq!(audience, "api://AzureADTokenExchange");
    assert_eq!(config.listen.doors.iter().collect::<Vec<_>>(), [Door::Imds, Door::AppService]);
    assert_eq!(config.listen.http, ["127.0.0.1:4780".parse().unwrap()]);
    assert_eq!(
        config.listen.admin,
        Some("0.0.0.0:9464".parse().unwrap()),
        "kubelet and Prometheus do not reach loopback"
    );
    assert!(!config.listen.unsafe_any_address);
}

#[test]
fn the_pods_uid_is_the_local_key_and_only_a_door_without_keys_does_without() {
    let entry = |doors: &str| configured(&Case::annotated(&[("doors", doors)])).identities[0].entry.clone();
    for (doors, any) in
        [("app-service,imds", true), ("imds", true), ("app-service", false), ("oauth,plain,cloud-shell", false)]
    {
        let entry = entry(doors);
        assert!(matches!(entry.callers[..], [CallerRule::Key(_)]), "{doors}");
        assert_eq!(entry.any_local_caller, any, "{doors}");
    }
}

#[test]
fn every_annotation_makes_a_configuration_that_is_taken() {
    let forms: [&[(&str, &str)]; 7] = [
        &[("cloud", "usgov"), ("log-level", "trace")],
        &[("resources", "*"), ("ready-gate", "true")],
        &[("resources", "https://a.example,api://b,00000003-0000-0000-c000-000000000000"), ("ready-gate", "true")],
        &[("native-sidecar", "false")],
        &[("doors", "app-service,imds,oauth,cloud-shell,plain,app-service-2017")],
        &[("tenant-id", "contoso.example"), ("expose-token-file", "true")],
        &[("run-as", "unset"), ("resources-cpu-request", "1")],
    ];
    for form in forms {
        let config = configured(&Case::annotated(form));
        assert_eq!(config.warnings, Vec::<String>::new(), "{form:?}");
    }
    let config = configured(&Case::annotated(forms[2]));
    assert_eq!(config.identities[0].prefetch.len(), 3);
    let mut case = Case::new();
    case.values["defaults"]["authorityHost"] = "https://login.example".into();
    assert_eq!(configured(&case).identities[0].authority.host().as_str(), "https://login.example/");
}

#[test]
fn the_loopback_address_is_taken_once_net_setup_has_given_it() {
    match Config::load(None, &environment(&Case::annotated(&[("intercept", "loopback-address")]))) {
        // This machine has it, as Azure's do.
        Ok(config) => assert_eq!(config.listen.http[1], "169.254.169.254:80".parse().unwrap()),
        Err(problems) => {
            let [only] = problems.items() else { panic!("{}", problems.report()) };
            assert!(only.what.contains("this machine does not have that address"), "{only}");
        }
    }
}
