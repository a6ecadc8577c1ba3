//! Reading configurations, right and wrong, through the front door.

mod documented;
mod keys;
mod overrides;
mod refusals;
mod sinks;
mod takeover;

use proptest::prelude::*;

use super::*;
use crate::policy::CallerRule::{Key, Uid};
use crate::secret::local_key::LocalKey;

/// The smallest file that is right, without its caller.
const GOOD: &str = r#"
[[identity]]
name = "billing"
tenant = "11111111-aaaa-4bbb-8ccc-222222222222"
client_id = "33333333-dddd-4eee-8fff-444444444444"
scopes = ["https://graph.microsoft.com/.default"]
assertion = { file = "/var/run/secrets/unsecret/token" }
any_local_caller = true
"#;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().copied().collect()
}

fn read(text: &str) -> Result<Config, ConfigProblems> {
    Config::from_text(text, "c.toml", &Environment::default())
}

#[test]
fn variables_that_hold_secrets_are_kept_from_modules() {
    let text = format!("{GOOD}caller = [{{ key_env = \"POD_UID\" }}]").replace("any_local_caller = true\n", "");
    let pairs = [
        ("POD_UID", "7f3a1c9e-5b2d-4e8f-9a6c-0d1e2f3a4b5c"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "canary"),
        ("IDENTITY_HEADER", "canary"),
        ("PATH", "/usr/bin"),
        ("SOFTHSM2_CONF", "/etc/softhsm2.conf"),
        ("MONKEY", "see"),
    ];
    let config = Config::from_text(&text, "c.toml", &environment(&pairs)).unwrap();
    let mut withheld = config.hardware.withheld;
    withheld.sort();
    assert_eq!(withheld, ["ACTIONS_ID_TOKEN_REQUEST_TOKEN", "IDENTITY_HEADER", "POD_UID"]);
}

#[test]
fn a_small_file_gives_a_whole_configuration() {
    let config = read(GOOD).unwrap();
    assert_eq!(config.listen.http, ["127.0.0.1:4780".parse().unwrap()]);
    assert_eq!(config.listen.admin, Some("127.0.0.1:9464".parse().unwrap()));
    assert_eq!((config.listen.wait, config.listen.drain), (Duration::from_secs(10), Duration::ZERO));
    let identity = &config.identities[0];
    assert!(identity.required && identity.entry.any_local_caller);
    let token_url = "https://login.microsoftonline.com/11111111-aaaa-4bbb-8ccc-222222222222/oauth2/v2.0/token";
    assert_eq!(identity.authority.token_url().as_str(), token_url);
    let expected = AssertionSettings::File {
        path: "/var/run/secrets/unsecret/token".into(),
        audience: "api://AzureADTokenExchange".to_owned(),
    };
    assert_eq!(identity.assertion, expected);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn the_default_audience_is_the_clouds_even_by_its_host() {
    for setting in ["cloud = \"china\"", "authority_host = \"https://login.partner.microsoftonline.cn/\""] {
        let config = read(&format!("{GOOD}{setting}\n")).unwrap();
        let AssertionSettings::File { audience, .. } = &config.identities[0].assertion else { panic!() };
        assert_eq!(audience, "api://AzureADTokenExchangeChina", "{setting}");
    }
}

#[test]
fn a_caller_rule_keeps_the_hash_of_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let key = LocalKey::generate().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, format!("{}\r\n", key.secret().expose())).unwrap();
    let env = environment(&[("POD_UID", "7b0c1a52-93ce-4f7a-8d53-0d8a6cf1f6de")]);
    let text = format!(
        "{GOOD}caller = [{{ key_file = {path:?} }}, {{ key_env = \"POD_UID\" }}, {{ key_sha256 = {:?} }}, {{ uid = 7 }}]",
        key.fingerprint().hex().to_uppercase()
    );
    let config = Config::from_text(&text, "c.toml", &env).unwrap();
    let pod = crate::secret::Fingerprint::of(b"7b0c1a52-93ce-4f7a-8d53-0d8a6cf1f6de");
    let expected = [Key(key.fingerprint()), Key(pod), Key(key.fingerprint()), Uid(7)];
    assert_eq!(config.identities[0].entry.callers, expected);
}

#[test]
fn a_rule_for_the_number_of_all_strangers_is_warned_of() {
    let config = read(&format!("[listen]\nunix = \"/run/u/s\"\n{GOOD}[[identity.caller]]\nuid = 65534\n")).unwrap();
    assert!(config.warnings.iter().any(|text| text.contains("everybody from another user namespace")));
}

#[test]
fn a_readable_key_file_and_a_useless_uid_rule_are_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "k".repeat(40)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let config = read(&format!("{GOOD}caller = [{{ key_file = {path:?} }}, {{ gid = 7 }}]\n")).unwrap();
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("`identity[0].caller[0].key_file` can be read by every user"));
    assert!(config.warnings[1].contains("`identity[0].caller[1]` can match nobody"));
}

#[test]
fn any_local_caller_on_an_open_door_is_warned_of() {
    let config = read(&format!("[listen]\nhttp = [\"0.0.0.0:4780\"]\nunsafe_any_address = true\n{GOOD}")).unwrap();
    let expected = "c.toml, line 11: `identity[0].any_local_caller` hands tokens to everybody who reaches 0.0.0.0:4780, \
                    other machines included";
    assert_eq!(config.warnings, [expected]);
}

#[test]
fn without_a_file_the_platforms_variables_make_one_identity() {
    let mut pairs = vec![
        ("AZURE_TENANT_ID", "11111111-aaaa-4bbb-8ccc-222222222222"),
        ("AZURE_CLIENT_ID", "33333333-dddd-4eee-8fff-444444444444"),
        ("AZURE_AUTHORITY_HOST", "https://login.usgovcloudapi.net/"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/azure/tokens/azure-identity-token"),
        ("UNSECRET_SCOPES", "*"),
        ("UNSECRET_CALLER_KEY_ENV", "POD_UID"),
        ("POD_UID", "7b0c1a52-93ce-4f7a-8d53-0d8a6cf1f6de"),
    ];
    let config = Config::load(None, &environment(&pairs)).unwrap();
    let identity = &config.identities[0];
    assert_eq!(identity.entry.name.as_str(), "default");
    let AssertionSettings::File { audience, .. } = &identity.assertion else { panic!() };
    assert_eq!(audience, "api://AzureADTokenExchangeUSGov");

    pairs.remove(3);
    pairs.extend([
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://pipelines.actions.githubusercontent.com/x?api-version=2.0"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "canary-bearer"),
    ]);
    let config = Config::load(None, &environment(&pairs)).unwrap();
    assert!(matches!(config.identities[0].assertion, AssertionSettings::Github { .. }));
    assert!(!format!("{config:?}").contains("canary"), "a bearer does not print");
}

#[test]
fn without_a_file_and_with_nothing_set_each_missing_variable_is_named() {
    let problems = Config::load(None, &Environment::default()).unwrap_err();
    let report = problems.report();
    let named = [
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "UNSECRET_SCOPES",
        "UNSECRET_CALLER_KEY_FILE",
        "UNSECRET_ANY_LOCAL_CALLER",
        "AZURE_FEDERATED_TOKEN_FILE",
    ];
    for name in named {
        assert!(report.contains(name), "{name} in {report}");
    }
    assert_eq!(problems.items().len(), 5);
}

#[test]
fn a_missing_file_is_one_problem() {
    let problems = Config::load(Some(Path::new("/no/such/file.toml")), &Environment::default()).unwrap_err();
    assert_eq!(problems.items().len(), 1);
    assert_eq!(problems.items()[0].mistake, Mistake::Unreadable);
}

#[test]
fn the_proxy_comes_from_the_environment_unless_the_file_says_otherwise() {
    let proxied = |setting: &str, pairs: &[(&str, &str)]| {
        let config = Config::from_text(&format!("{GOOD}{setting}\n"), "c.toml", &environment(pairs)).unwrap();
        config.identities[0].outbound.proxy.as_ref().map(Url::to_string)
    };
    let variable = ("HTTPS_PROXY", "corp:3128");
    assert_eq!(proxied("", &[]), None);
    assert_eq!(proxied("", &[variable]).as_deref(), Some("http://corp:3128/"));
    assert_eq!(proxied("", &[variable, ("NO_PROXY", ".microsoftonline.com")]), None);
    assert_eq!(proxied("proxy = \"direct\"", &[variable]), None);
    assert_eq!(proxied("proxy = \"http://own:8080\"", &[variable]).as_deref(), Some("http://own:8080/"));
    assert_eq!(proxied("authority_host = \"https://127.0.0.1:8443\"", &[variable]), None);
}

#[test]
fn a_reload_keeps_tokens_when_only_policy_changed() {
    let before = read(GOOD).unwrap().identities.remove(0);
    let other_policy = GOOD.replace("graph.microsoft.com", "vault.azure.net");
    assert!(before.mints_like(&read(&other_policy).unwrap().identities[0]));
    for (from, to) in [("33333333", "44444444"), ("11111111", "22222222"), ("unsecret/token", "other/token")] {
        assert!(!before.mints_like(&read(&GOOD.replace(from, to)).unwrap().identities[0]), "{from}");
    }
}

/// Pieces of which real files are made, so that random texts get past the first line.
fn fragment() -> impl Strategy<Value = String> {
    let keys: Vec<String> = schema::settings().iter().map(|setting| setting.path.replace("[]", "")).collect();
    let values =
        ["\"x\"", "[]", "{}", "[\"*\"]", "true", "-1", "1e9", "[[1]]", "{ file = 3 }", "[{ uid = 1 }]", "\"\u{202e}\""];
    prop_oneof![
        proptest::sample::select(vec![
            "[listen]\n",
            "[[identity]]\n",
            "[[identity.caller]]\n",
            "[log]\n",
            "[identity]\n"
        ])
        .prop_map(str::to_owned),
        (proptest::sample::select(keys), proptest::sample::select(values.to_vec())).prop_map(|(key, value)| {
            let last = key.rsplit('.').next().unwrap_or_default().to_owned();
            format!("{last} = {value}\n")
        }),
        ".{0,12}\n",
    ]
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}", fragments in proptest::collection::vec(fragment(), 0..12)) {
        for text in [text, fragments.concat(), format!("{GOOD}{}", fragments.concat())] {
            if let Err(problems) = read(&text) {
                prop_assert!(!problems.items().is_empty());
            }
        }
    }

    #[test]
    fn no_variable_makes_the_reader_panic(n in 0usize..64, value in "[ -~]{1,20}") {
        let settings = schema::settings();
        let name = settings[n % settings.len()].variable();
        let _ = Config::from_text(GOOD, "c.toml", &environment(&[(&name, &value)]));
    }
}
