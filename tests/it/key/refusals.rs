//! What the key verbs refuse, and that nothing good is lost over it.

use super::file::issue;
use super::{Desk, openssl};

/// A desk with a key and its certificate.
fn desk() -> (Desk, String) {
    let desk = Desk::new();
    let key = desk.uri("billing.key");
    desk.key(&["create", &key]).done();
    desk.key(&["certificate", &key, "--subject", "CN=billing", "--out", "billing.pem"]).done();
    (desk, key)
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let (desk, key) = desk();
    let before = ["billing.key", "billing.pem"].map(|name| std::fs::read(desk.path(name)).unwrap());
    desk.key(&["create", &key]).refused("key-exists");
    desk.key(&["certificate", &key, "--subject", "CN=other", "--out", "billing.pem"]).refused("key-output-exists");
    desk.key(&["request", &key, "--subject", "CN=other", "--out", "billing.key"]).refused("key-output-exists");
    assert_eq!(before, ["billing.key", "billing.pem"].map(|name| std::fs::read(desk.path(name)).unwrap()));
}

#[test]
fn a_certificate_of_another_key_stays_out_of_place() {
    let (desk, key) = desk();
    let other = desk.uri("other.key");
    desk.key(&["create", &other]).done();
    desk.key(&["certificate", &other, "--subject", "CN=other", "--out", "other.pem"]).done();
    let before = std::fs::read(desk.path("billing.pem")).unwrap();
    let into = ["--into", "billing.pem"];
    let import = |file: &str| desk.key(&[&["import-certificate", &key, "--certificate", file], &into[..]].concat());
    import("other.pem").refused("key-certificate-mismatch");
    import("missing.pem").refused("certificate-unreadable");
    import("billing.key").refused("certificate-invalid");
    let turned = ["other.pem", "billing.pem"].map(|name| std::fs::read_to_string(desk.path(name)).unwrap()).concat();
    desk.put("turned.pem", &turned);
    let said = import("turned.pem").refused("certificate-not-first").stderr;
    assert!(said.contains("certificate 2 in it is of this key"), "{said}");
    assert_eq!(std::fs::read(desk.path("billing.pem")).unwrap(), before);
    assert!(!desk.path("billing.pem.previous").exists());
    desk.key(&["test", &key, "--certificate", "other.pem"]).refused("key-certificate-mismatch");
}

#[test]
fn an_expired_certificate_is_refused_and_an_odd_one_warned_of() {
    let (desk, key) = desk();
    desk.key(&["request", &key, "--subject", "CN=new", "--out", "billing.csr"]).done();
    issue(&desk, "new.pem", "90");
    let sign = ["x509", "-req", "-in", "billing.csr", "-CA", "ca.pem", "-CAkey", "ca.key"];
    desk.put("odd.ext", "basicConstraints = CA:TRUE\nkeyUsage = keyEncipherment\n");
    openssl(desk.0.path(), &[&sign[..], &["-days", "9", "-extfile", "odd.ext", "-out", "odd.pem"]].concat());
    // The verb of openssl that takes dates is another one.
    let past = ["x509", "-req", "-in", "billing.csr", "-key", "billing.key", "-days", "-1", "-out", "past.pem"];
    openssl(desk.0.path(), &past);
    desk.key(&["import-certificate", &key, "--certificate", "past.pem"]).refused("certificate-not-valid");
    desk.key(&["test", &key, "--certificate", "past.pem"]).refused("certificate-not-valid");
    let odd = desk.key(&["import-certificate", &key, "--certificate", "odd.pem"]).done().stderr;
    assert!(odd.contains("does not name digitalSignature") && odd.contains("certificate of a CA"), "{odd}");
    assert!(!desk.key(&["import-certificate", &key, "--certificate", "new.pem"]).done().stderr.contains("warning"));
}

#[test]
fn what_is_typed_wrong_is_told_before_anything_is_done() {
    let desk = Desk::new();
    let key = desk.uri("billing.key");
    let usage = |args: &[&str], code: &str| {
        let ended = desk.key(args);
        assert_eq!(ended.status, Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(code), "{args:?}: {}", ended.stderr);
    };
    usage(&["create", "billing.key"], "code: key-uri-malformed");
    usage(&["create", &key, "--bits", "1024"], "[possible values: 2048, 3072, 4096]");
    usage(&["certificate", &key, "--subject", "billing", "--out", "b.pem"], "code: key-subject-malformed");
    usage(&["request", &key, "--subject", "CN=b", "--san", "FAX:1", "--out", "b.csr"], "code: key-name-malformed");
    usage(&["test", &key, "--config", "missing.toml"], "missing.toml");
    usage(&["test", &key, "--module-environment", "NAME"], "write NAME=VALUE");
    desk.put("pin.toml", "[pkcs11]\nmodules = [\"/usr/lib/allowed.so\"]\n");
    usage(&["list", "/usr/lib/other.so", "--config", "pin.toml"], "code: key-module-not-allowed");
    assert!(!desk.path("billing.key").exists());
}
