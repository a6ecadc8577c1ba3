//! `UNSECRET_*` over a file.

use super::*;
use crate::config::findings::Findings;
use crate::config::schema::settings;

/// What the file and these variables come to, before anything is judged.
fn laid(text: &str, pairs: &[(&str, &str)]) -> Value {
    let mut findings = Findings::of_file("c.toml");
    let mut tree = shape::read(text, &mut findings);
    environment::lay_over(&mut tree, &environment(pairs), &mut findings);
    findings.conclude().unwrap();
    Value::Object(tree)
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace("[]", ".0").replace('.', "/"))
}

#[test]
fn every_key_has_a_variable_that_overrides_it() {
    for setting in settings() {
        let example = setting.example().unwrap();
        let tree = laid(GOOD, &[(&setting.variable(), &setting.as_variable(example))]);
        assert_eq!(tree.pointer(&pointer(&setting.path)), Some(example), "{}", setting.variable());
        if let Some(name) = setting.named_variable("billing") {
            let tree = laid(GOOD, &[(&name, &setting.as_variable(example))]);
            assert_eq!(tree.pointer(&pointer(&setting.path)), Some(example), "{name}");
        }
    }
}

#[test]
fn no_two_keys_share_a_variable() {
    let mut names: Vec<_> = settings().iter().map(schema::Setting::variable).collect();
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn lists_of_tables_come_from_comma_separated_variables() {
    let text = format!("{GOOD}caller = [{{ uid = 1 }}]\n");
    let pairs = [("UNSECRET_CALLER_UID", "7, 8"), ("UNSECRET_CALLER_GID", "9")];
    let callers = &laid(&text, &pairs)["identity"][0]["caller"];
    assert_eq!(*callers, serde_json::json!([{ "gid": 9 }, { "uid": 7 }, { "uid": 8 }]));

    let pairs = [
        ("UNSECRET_ASSERTION_CERTIFICATES_CERTIFICATE", "/new.pem,/old.pem"),
        ("UNSECRET_ASSERTION_CERTIFICATES_KEY", "file:/new.key,file:/old.key"),
    ];
    let assertion = &laid(GOOD, &pairs)["identity"][0]["assertion"];
    let expected = serde_json::json!({ "certificates": [
        { "certificate": "/new.pem", "key": "file:/new.key" },
        { "certificate": "/old.pem", "key": "file:/old.key" },
    ]});
    assert_eq!(*assertion, expected, "the file's other source is gone");
}

#[test]
fn a_variable_for_one_of_several_identities_carries_its_name() {
    let second = GOOD.replace("billing", "re-ports").replace("33333333", "44444444");
    let both = format!("{GOOD}{second}");
    let tree = laid(&both, &[("UNSECRET_IDENTITY_RE_PORTS_CLOUD", "china")]);
    assert_eq!((&tree["identity"][0]["cloud"], &tree["identity"][1]["cloud"]), (&Value::Null, &"china".into()));

    let problems = Config::from_text(&both, "c.toml", &environment(&[("UNSECRET_TENANT", "a.b")])).unwrap_err();
    let report = problems.report();
    assert!(report.contains("has 2 entries, and UNSECRET_TENANT does not say which one it means"), "{report}");
    assert!(report.contains("UNSECRET_IDENTITY_BILLING_TENANT"), "{report}");
}

#[test]
fn a_file_without_identities_takes_one_from_variables() {
    let pairs = [
        ("UNSECRET_TENANT", "contoso.onmicrosoft.com"),
        ("UNSECRET_CLIENT_ID", "33333333-dddd-4eee-8fff-444444444444"),
        ("UNSECRET_SCOPES", "*"),
        ("UNSECRET_ASSERTION_FILE", "/t"),
        ("UNSECRET_ANY_LOCAL_CALLER", "true"),
    ];
    let config = Config::from_text("[log]\njson = true\n", "c.toml", &environment(&pairs)).unwrap();
    assert_eq!(config.identities[0].entry.name.as_str(), "default");
}

#[test]
fn a_wrong_value_in_a_variable_is_reported_under_its_name() {
    for (name, value, expected) in [
        ("UNSECRET_LOG_JSON", "yes", "variable UNSECRET_LOG_JSON: `log.json` is \"yes\", but must be true or false"),
        (
            "UNSECRET_CALLER_UID",
            "-1",
            "variable UNSECRET_CALLER_UID: `identity[0].caller[0].uid` is \"-1\", but must be a whole number",
        ),
        (
            "UNSECRET_CLOUD",
            "chnia",
            "variable UNSECRET_CLOUD: `identity[0].cloud` is \"chnia\", but must be one of public, usgov, china",
        ),
        (
            "UNSECRET_LISTEN_HTTP",
            "0.0.0.0:1",
            "variable UNSECRET_LISTEN_HTTP: `listen.http[0]` is \"0.0.0.0:1\", but must be a loopback address",
        ),
    ] {
        let problems = Config::from_text(GOOD, "c.toml", &environment(&[(name, value)])).unwrap_err();
        assert_eq!(problems.items()[0].to_string(), expected);
        assert_eq!(problems.items().len(), 1, "{problems}");
    }
}

#[test]
fn an_unknown_variable_is_warned_of_unless_kubernetes_set_it() {
    let pairs = [
        ("UNSECRET_SCOPE", "x"),
        ("UNSECRET_SERVICE_HOST", "10.0.0.1"),
        ("UNSECRET_PORT_4780_TCP", "tcp://10.0.0.1:4780"),
        ("UNSECRET_CLOUD", ""),
    ];
    let config = Config::from_text(GOOD, "c.toml", &environment(&pairs)).unwrap();
    let expected = "variable UNSECRET_SCOPE is not known and has no effect; the nearest known one is UNSECRET_SCOPES";
    assert_eq!(config.warnings, [expected]);
}
