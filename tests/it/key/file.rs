//! A key in a file, from nothing to a token: the stepping stone, and the same verbs as for hardware.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use super::{Desk, configuration, ended, entra, openssl, register};
use crate::support::world::{CLIENT, GRAPH};

const MODE: u32 = 0o777;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_its_certificate_and_a_registration_make_a_token() {
    let desk = Desk::new();
    let (entra, key) = (entra(&desk).await, desk.uri("billing.key"));
    let made = desk.key(&["create", &key]).done();
    assert_eq!(made.stdout, format!("{key}\n"), "the URI and nothing else");
    assert_eq!(std::fs::metadata(desk.path("billing.key")).unwrap().permissions().mode() & MODE, 0o600);

    let config = configuration(&desk, &entra, &key, &desk.text("billing.pem"));
    let certified = desk.key(&[
        "certificate",
        &key,
        "--subject",
        "CN=billing,O=Contoso",
        "--out",
        "billing.pem",
        "--config",
        &config,
    ]);
    let said = certified.done().stderr;
    let line = format!("az ad app credential reset --id {CLIENT} --append --cert @{}\n", desk.text("billing.pem"));
    assert!(said.contains(&line) && said.contains("without --append every other credential"), "{said}");
    assert!(said.contains("PATCH replaces the whole list"), "{said}");
    register(&entra, &desk.path("billing.pem")).await;

    let scope = format!("{GRAPH}/.default");
    let token = ended(desk.command(&["token", "--config", &config, "--scope", &scope])).done().stdout;
    assert_eq!(entra.verify(token.trim()).unwrap()["appid"], CLIENT);
    entra.stop().await;
}

#[test]
fn openssl_finds_the_certificate_and_the_request_in_order() {
    let desk = Desk::new();
    let key = desk.uri("billing.key");
    desk.key(&["create", &key]).done();
    desk.key(&["certificate", &key, "--subject", "CN=billing,C=DE", "--days", "30", "--out", "billing.pem"]).done();
    openssl(desk.0.path(), &["verify", "-CAfile", "billing.pem", "billing.pem"]);
    let text = openssl(desk.0.path(), &["x509", "-in", "billing.pem", "-noout", "-text"]);
    for shown in ["sha256WithRSAEncryption", "CA:FALSE", "Digital Signature", "CN = billing, C = DE"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    // Thirty days in all, of which an hour is past: clocks differ.
    openssl(desk.0.path(), &["x509", "-in", "billing.pem", "-noout", "-checkend", "2588000"]);
    let later = ["x509", "-in", "billing.pem", "-noout", "-checkend", "2588500"];
    assert!(!Command::new("openssl").args(later).current_dir(desk.0.path()).output().unwrap().status.success());
    assert_eq!(std::fs::metadata(desk.path("billing.pem")).unwrap().permissions().mode() & MODE, 0o644);

    let san = ["--san", "DNS:billing.example", "--san", "192.0.2.1"];
    desk.key(&[&["request", &key, "--subject", "CN=billing", "--out", "billing.csr"], &san[..]].concat()).done();
    let text = openssl(desk.0.path(), &["req", "-in", "billing.csr", "-noout", "-verify", "-text"]);
    for shown in ["verify OK", "DNS:billing.example", "IP Address:192.0.2.1", "Digital Signature"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
}

#[test]
fn a_program_reads_what_each_verb_did() {
    let desk = Desk::new();
    let key = desk.uri("billing.key");
    let made = desk.key(&["create", &key, "--bits", "3072", "--json"]).done();
    assert_eq!((made.json()["key"].as_str().unwrap(), &made.json()["bits"]), (&*key, &3_072.into()));
    let certified = desk.key(&["certificate", &key, "--subject", "CN=b", "--out", "b.pem", "--json"]).done();
    assert_eq!(certified.json()["certificate"], desk.text("b.pem"));
    assert!(certified.json()["next"]["graph"]["key_credential"]["key"].as_str().unwrap().starts_with("MII"));
    let tested = desk.key(&["test", &key, "--certificate", "b.pem", "--count", "3", "--json"]).done();
    assert_eq!((&tested.json()["algorithm"], &tested.json()["signatures"]), (&"PS256".into(), &3.into()));
    assert_eq!(tested.json()["certificate"]["sha256"], certified.json()["sha256"]);
    let listed = desk.key(&["list", &key, "--json"]).done();
    assert_eq!(listed.json()["keys"][0]["extractable"], true);
    for verb in [made, certified, tested, listed] {
        // A slow machine is waited for, and that is said to people.
        assert!(verb.stderr.lines().all(|line| line.starts_with("… waiting for")), "{}", verb.stderr);
    }
}

#[test]
fn a_certificate_of_the_companys_ca_goes_in_place_and_the_old_one_stays_beside_it() {
    let desk = Desk::new();
    let key = desk.uri("billing.key");
    desk.key(&["create", &key]).done();
    desk.key(&["certificate", &key, "--subject", "CN=old", "--out", "billing.pem"]).done();
    desk.key(&["request", &key, "--subject", "CN=new", "--out", "billing.csr"]).done();
    issue(&desk, "new.pem", "90");
    let old = std::fs::read_to_string(desk.path("billing.pem")).unwrap();
    let args = ["import-certificate", &key, "--certificate", "chain.pem", "--into", "billing.pem"];
    let chain = ["new.pem", "ca.pem"].map(|name| std::fs::read_to_string(desk.path(name)).unwrap()).concat();
    desk.put("chain.pem", &chain);
    for _twice in 0..2 {
        desk.key(&args).done();
        let held = |name| std::fs::read_to_string(desk.path(name)).unwrap();
        assert_eq!((held("billing.pem"), held("billing.pem.previous")), (chain.clone(), old.clone()));
    }
}

/// A CA in the desk's folder signs the desk's request.
pub(super) fn issue(desk: &Desk, name: &str, days: &str) {
    let folder = desk.0.path();
    let ca = ["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "30", "-subj", "/CN=CA"];
    openssl(folder, &[&ca[..], &["-keyout", "ca.key", "-out", "ca.pem"]].concat());
    let sign = ["x509", "-req", "-in", "billing.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", days, "-out", name];
    openssl(folder, &sign);
}
