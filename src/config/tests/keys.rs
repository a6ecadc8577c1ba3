//! Keys in hardware: what they need beside their URI, and which are allowed.

use super::*;
use crate::signer::{KeyUri, PinSource, TpmPlace};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// The good file with these keys, and these lines before it.
fn with(before: &str, keys: &[&str], after: &str) -> String {
    let pair = |key: &&str| format!("{{ certificate = \"/c\", key = {key:?} }}");
    let pairs: Vec<_> = keys.iter().map(pair).collect();
    let assertion = format!("{{ certificates = [{}]{after} }}", pairs.join(", "));
    format!("{before}\n{}", GOOD.replace("{ file = \"/var/run/secrets/unsecret/token\" }", &assertion))
}

fn keys(config: &Config) -> Vec<&KeyUri> {
    let AssertionSettings::Certificates { certificates, .. } = &config.identities[0].assertion else { panic!() };
    certificates.iter().map(|pair| &pair.key).collect()
}

#[test]
fn without_a_word_about_hardware_everything_has_its_default() {
    let given = read(GOOD).unwrap().hardware;
    let expected = HardwareSettings {
        state_dir: "/var/lib/unsecret".into(),
        modules: None,
        environment: std::collections::BTreeMap::new(),
        limit: Duration::from_secs(10),
        tcti: "device:/dev/tpmrm0".to_owned(),
        credentials: None,
        withheld: given.withheld.clone(),
    };
    assert_eq!(given, expected);
    let defaults =
        "state_dir = \"/var/lib/unsecret\"\n[pkcs11]\nlimit = \"10s\"\n[tpm]\ntcti = \"device:/dev/tpmrm0\"\n";
    assert_eq!(read(&format!("{defaults}{GOOD}")).unwrap().hardware, expected);
}

#[test]
fn what_is_said_about_hardware_comes_through() {
    let before = "state_dir = \"/srv/state\"\n[pkcs11]\nmodules = [\"/usr/lib/softhsm/libsofthsm2.so\"]\nlimit = \"1m\"\n\
                  environment = { SOFTHSM2_CONF = \"/etc/a\", B = \"\" }\n[tpm]\ntcti = \"swtpm:host=127.0.0.1,port=2321\"\n";
    let key = "pkcs11:token=a;object=b?module-name=softhsm2&pin-source=file:/pin";
    let config = read(&with(before, &[key], ", test_every = \"5m\"")).unwrap();
    let hardware = &config.hardware;
    assert_eq!((hardware.state_dir.to_str(), hardware.limit.as_secs()), (Some("/srv/state"), 60));
    assert_eq!((hardware.environment["SOFTHSM2_CONF"].as_str(), hardware.environment["B"].as_str()), ("/etc/a", ""));
    assert_eq!(hardware.tcti, "swtpm:host=127.0.0.1,port=2321");
    let [KeyUri::Pkcs11(key)] = keys(&config)[..] else { panic!() };
    assert_eq!((key.module.to_str(), &key.pin), (Some(MODULE), &Some(PinSource::File("/pin".into()))));
    let AssertionSettings::Certificates { algorithm, test_every, .. } = &config.identities[0].assertion else {
        panic!()
    };
    assert_eq!((*algorithm, *test_every), (None, Some(Duration::from_secs(300))));
}

#[test]
fn systemds_variables_give_the_state_directory_and_the_credentials() {
    let text = with("", &["pkcs11:?module-path=/m.so&pin-source=credential:pin"], "");
    let env =
        environment(&[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("CREDENTIALS_DIRECTORY", "/run/credentials/u")]);
    let config = Config::from_text(&text, "c.toml", &env).unwrap();
    assert_eq!(config.hardware.state_dir, Path::new("/var/lib/a"));
    assert_eq!(keys(&config)[0].pin().and_then(PinSource::path), Some(Path::new("/run/credentials/u/pin")));
    let said = Config::from_text(&format!("state_dir = \"/c\"\n{text}"), "c.toml", &env).unwrap();
    assert_eq!(said.hardware.state_dir, Path::new("/c"), "the file has the last word");
    let report = read(&text).unwrap_err().report();
    assert!(
        report.contains("the variable CREDENTIALS_DIRECTORY is not set") && report.contains("LoadCredential=pin"),
        "{report}"
    );
}

#[test]
fn a_variable_gives_the_modules_environment_in_pairs() {
    let at = |value: &str| Config::from_text(GOOD, "c.toml", &environment(&[("UNSECRET_PKCS11_ENVIRONMENT", value)]));
    assert_eq!(
        at("A=b=c, D=").unwrap().hardware.environment,
        [("A", "b=c"), ("D", "")].map(|(k, v)| (k.into(), v.into())).into()
    );
    let report = at("SOFTHSM2_CONF").unwrap_err().report();
    assert!(report.contains("but must be pairs of NAME=value"), "{report}");
    assert!(report.contains("to `SOFTHSM2_CONF=/etc/unsecret/softhsm2.conf`"), "{report}");
}

/// Lines before the identity, the path that is named, and a piece of what is said.
const WRONG: [(&str, &str, &str); 12] = [
    ("state_dir = \"lib\"", "state_dir", "is \"lib\", but must be an absolute path"),
    ("[pkcs11]\nmodules = [\"softhsm2.so\"]", "pkcs11.modules[0]", "is \"softhsm2.so\", but must be the absolute path"),
    ("[pkcs11]\nmodules = []", "pkcs11.modules", "or delete it to allow any"),
    ("[pkcs11]\nmodules = \"/m.so\"", "pkcs11.modules", "must be an array of strings"),
    ("[pkcs11]\nlimit = \"10\"", "pkcs11.limit", "must be a time from 1s to 300s"),
    ("[pkcs11]\nlimit = \"10ms\"", "pkcs11.limit", "write `limit = \"20s\"`"),
    ("[pkcs11]\nenvironment = { A = 3 }", "pkcs11.environment.A", "is the number 3, but must be a string"),
    ("[pkcs11]\nenvironment = { \"A=B\" = \"\" }", "pkcs11.environment", "has \"A=B\", which no variable can be named"),
    ("[pkcs11]\nenvironment = \"A=B\"", "pkcs11.environment", "must be a table of strings"),
    ("[tpm]\ntcti = \"usb:1\"", "tpm.tcti", "must begin with one of device, mssim, swtpm, tabrmd"),
    ("[tpm]\ntcti = \"swtpm:path=/run/tpm\"", "tpm.tcti", "must be `swtpm:host=…,port=…`; nothing else is read there"),
    ("[tpm]\ntci = \"device\"", "tpm.tci", "write `tcti`, the nearest known key"),
];

fn check(text: &str, path: &str, piece: &str) {
    let problems = read(text).expect_err(text);
    let [problem] = problems.items() else { panic!("more than one problem: {}", problems.report()) };
    assert_eq!(problem.path, path, "{}", problems.report());
    assert!(problems.report().contains(piece), "{piece:?} in {}", problems.report());
}

#[test]
fn each_wrong_word_about_hardware_has_one_problem_with_its_path_and_a_way_out() {
    for (before, path, piece) in WRONG {
        check(&format!("{before}\n{GOOD}"), path, piece);
    }
    let text = with("", &["file:/k"], ", test_every = \"5s\"");
    check(&text, "identity[0].assertion.test_every", "must be a time from 10s to 86400s");
    let text = GOOD.replace("token\" }", "token\", test_every = \"5m\" }");
    check(&text, "identity[0].assertion.test_every", "is set, but belongs to `certificates`");
}

#[test]
fn a_module_that_is_not_on_the_list_is_refused_by_name() {
    let before = "[pkcs11]\nmodules = [\"/usr/lib/softhsm/libsofthsm2.so\"]";
    let key = |rest: &str| with(before, &[rest], "");
    let path = "identity[0].assertion.certificates[0].key";
    let piece = "names the module \"/tmp/evil.so\", which is not in `pkcs11.modules`";
    check(&key("pkcs11:token=a?module-path=/tmp/evil.so"), path, piece);
    check(&key("pkcs11:token=a?module-path=/tmp/evil.so"), path, "name one that is (/usr/lib/softhsm/libsofthsm2.so)");
    check(&key("pkcs11:token=a?module-path=/usr/lib/softhsm/../evil.so"), path, "which is not in `pkcs11.modules`");
    check(&key("pkcs11:token=a?module-name=evil"), path, "by name there are /usr/lib/softhsm/libsofthsm2.so");
    read(&key("pkcs11:token=a?module-path=/usr/lib/softhsm/libsofthsm2.so")).unwrap();
}

#[test]
fn every_wrong_key_is_reported_at_once_and_no_pin_is_repeated() {
    let wrong = ["pkcs11:token=a?module-path=m.so", "pkcs11:?module-path=/m.so&pin-value=canary", "canary"];
    let problems = read(&with("[tpm]\ntcti = \"\"", &wrong, "")).unwrap_err();
    let paths: Vec<_> = problems.items().iter().map(|problem| problem.path.as_str()).collect();
    let key = |n: usize| format!("identity[0].assertion.certificates[{n}].key");
    assert_eq!(paths, ["tpm.tcti", &key(0), &key(1), &key(2)]);
    assert!(!format!("{}{problems:?}", problems.report()).contains("canary"));
}

#[test]
fn a_key_in_a_tpm_needs_a_build_that_has_a_part_for_it() {
    let text = with("", &["tpm:handle=0x81010042"], "");
    if cfg!(feature = "tpm") {
        let config = read(&text).unwrap();
        let [KeyUri::Tpm(key)] = keys(&config)[..] else { panic!() };
        assert_eq!(key.place, TpmPlace::Handle(0x8101_0042));
    } else {
        let problems = read(&text).unwrap_err();
        assert_eq!(problems.items()[0].mistake, Mistake::FeatureMissing);
        let report = problems.report();
        assert!(report.contains("without the cargo feature `tpm`") && report.contains("ends in `-tpm`"), "{report}");
    }
}

#[test]
fn a_sink_may_not_replace_a_pin_file() {
    let text = with("", &["pkcs11:?module-path=/m.so&pin-source=file:/run/u/pin"], "");
    let text = format!("{text}[[identity.sink]]\nfile = \"/run/u/pin\"\nassertion = true\n");
    check(&text, "identity[0].sink[0].file", "but so is `identity[0].assertion.certificates[0].key`");
}

#[test]
fn another_module_is_another_way_to_the_same_tokens() {
    let one = read(&with("", &["pkcs11:token=a?module-path=/m.so"], "")).unwrap().identities.remove(0);
    let other = read(&with("", &["pkcs11:token=a?module-path=/n.so"], "")).unwrap().identities.remove(0);
    assert!(one.mints_like(&one) && !one.mints_like(&other));
}
