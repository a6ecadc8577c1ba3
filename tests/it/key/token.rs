//! A key in a token of SoftHSM: made there, never out of it, and good for a token of Entra's.

use super::{Desk, Ended, configuration, ended, entra, openssl, register};
use crate::support::softhsm::{self, Softhsm};
use crate::support::world::{CLIENT, GRAPH};

/// A canary of all output.
pub(super) const PIN: &str = "canary-pin-97531";

/// A store with one token, and a desk beside it.
pub(super) struct Token {
    pub(super) hsm: Softhsm,
    pub(super) desk: Desk,
    variable: String,
}

impl Token {
    /// `None` where SoftHSM is missing.
    pub(super) fn new() -> Option<Self> {
        let hsm = Softhsm::new()?;
        hsm.token("prod", PIN);
        let desk = Desk::new();
        desk.put("pin", &format!("{PIN}\n"));
        let variable = format!("{}={}", softhsm::VARIABLE, hsm.config().display());
        Some(Self { hsm, desk, variable })
    }

    pub(super) fn uri_without_pin(&self, label: &str) -> String {
        format!("pkcs11:token=prod;object={label}?module-path={}", self.hsm.module().display())
    }

    fn uri(&self, label: &str) -> String {
        format!("{}&pin-source=file:{}", self.uri_without_pin(label), self.desk.text("pin"))
    }

    /// With what a module needs.
    pub(super) fn args<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [args, &["--module-environment", &self.variable]].concat()
    }

    /// `unsecret key …` to its end; the PIN is in nothing that it prints.
    pub(super) fn key(&self, args: &[&str]) -> Ended {
        let ended = self.desk.key(&self.args(args));
        assert!(!ended.stdout.contains(PIN) && !ended.stderr.contains(PIN), "{}{}", ended.stdout, ended.stderr);
        ended
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_made_in_a_token_and_registered_makes_a_token() {
    let Some(token) = Token::new() else { return };
    let entra = entra(&token.desk).await;
    let made = token.key(&["create", &token.uri("billing")]).done();
    let uri = made.stdout.trim().to_owned();
    assert!(made.stderr.contains("2048 bits, which cannot leave the device"), "{}", made.stderr);
    let id = token.key(&["list", &uri, "--json"]).done().json()["keys"][0]["id"].as_str().unwrap().to_owned();
    let attributes = token.hsm.attributes("prod", &id);
    assert!(attributes.contains("never extractable") && attributes.contains("always sensitive"), "{attributes:?}");

    let certified = token.key(&["certificate", &uri, "--subject", "CN=billing", "--out", "billing.pem"]).done();
    assert!(certified.stderr.contains(&format!("key = {uri:?}")), "{}", certified.stderr);
    register(&entra, &token.desk.path("billing.pem")).await;
    let config = configuration(&token.desk, &entra, &uri, &token.desk.text("billing.pem"));
    let text = std::fs::read_to_string(&config).unwrap();
    let environment = format!("[pkcs11]\nenvironment = {{ SOFTHSM2_CONF = {:?} }}\n", token.hsm.config());
    token.desk.put("config.toml", &(environment + &text));
    let scope = format!("{GRAPH}/.default");
    let minted = ended(token.desk.command(&["token", "--config", &config, "--scope", &scope])).done();
    assert_eq!(entra.verify(minted.stdout.trim()).unwrap()["appid"], CLIENT);
    entra.stop().await;
}

#[test]
fn openssl_finds_what_the_token_signed_in_order() {
    let Some(token) = Token::new() else { return };
    let uri = token.key(&["create", &token.uri("billing")]).done().stdout.trim().to_owned();
    token.key(&["certificate", &uri, "--subject", "CN=billing", "--out", "billing.pem"]).done();
    openssl(token.desk.0.path(), &["verify", "-CAfile", "billing.pem", "billing.pem"]);
    token.key(&["request", &uri, "--subject", "CN=billing,O=Contoso", "--out", "billing.csr"]).done();
    openssl(token.desk.0.path(), &["req", "-in", "billing.csr", "-noout", "-verify"]);
    super::file::issue(&token.desk, "new.pem", "90");
    token.key(&["import-certificate", &uri, "--certificate", "new.pem", "--into", "billing.pem"]).done();
    let tested = token.key(&["test", &uri, "--certificate", "billing.pem", "--json"]).done().json();
    assert_eq!((&tested["algorithm"], &tested["kind"]), (&"PS256".into(), &"pkcs11".into()));
    let mechanisms = tested["mechanisms"].as_array().unwrap();
    assert!(mechanisms.contains(&"RSA-PKCS-PSS".into()), "{mechanisms:?}");
}

#[test]
fn a_token_is_listed_without_a_login_and_its_keys_after_one() {
    let Some(token) = Token::new() else { return };
    token.hsm.key("prod", "billing", "01", 2_048);
    token.hsm.token("spare", "another-pin");
    let module = token.hsm.module().to_str().unwrap();
    let open = token.key(&["list", module, "--json"]).done().json();
    let labels: Vec<_> = open["tokens"].as_array().unwrap().iter().map(|one| one["label"].as_str().unwrap()).collect();
    assert!(labels.contains(&"prod") && labels.contains(&"spare") && labels.len() == 2, "{labels:?}");
    assert_eq!((&open["keys"], &open["more_after_login"]), (&serde_json::json!([]), &true.into()));
    let told = token.key(&["list", module]).done().stderr;
    assert!(told.contains("a login, which may show more"), "{told}");

    let all = format!("pkcs11:token=prod?module-path={module}&pin-source=file:{}", token.desk.text("pin"));
    let keys = token.key(&["list", &all, "--json"]).done().json();
    let key = &keys["keys"][0];
    assert_eq!((&key["label"], &key["bits"], &key["extractable"]), (&"billing".into(), &2_048.into(), &false.into()));
    // The URI that is listed names the key.
    let named = format!("{}&pin-source=file:{}", key["key"].as_str().unwrap(), token.desk.text("pin"));
    token.key(&["test", &named]).done();
}

#[test]
fn a_key_that_is_there_is_not_made_again() {
    let Some(token) = Token::new() else { return };
    let uri = token.uri("billing");
    token.key(&["create", &uri]).done();
    let before = token.hsm.objects("prod");
    let said = token.key(&["create", &uri]).refused("key-exists").stderr;
    assert!(said.contains("keys are never overwritten"), "{said}");
    assert_eq!(token.hsm.objects("prod"), before);
}

#[test]
fn a_wrong_pin_is_tried_once_by_all_the_verbs_together() {
    let Some(token) = Token::new() else { return };
    token.hsm.key("prod", "billing", "01", 2_048);
    token.desk.put("pin", "canary-wrong-pin");
    let uri = token.uri("billing");
    for verb in ["test", "list", "test", "create"] {
        let said = token.key(&[verb, &uri]).refused("pin-refused").stderr;
        assert!(!said.contains("canary"), "{said}");
    }
    // A refused PIN stays refused by force, which is for the token's own count.
    token.key(&["test", &uri, "--force"]).refused("pin-refused");
    token.desk.put("pin", PIN);
    token.key(&["test", &uri]).done();
}

#[test]
fn attempts_of_others_are_overruled_by_force_alone() {
    let Some(token) = Token::new() else { return };
    token.hsm.key("prod", "billing", "01", 2_048);
    let mut other = token.hsm.tool(token.hsm.module(), "prod");
    assert!(!other.args(["--login", "--pin", "a-guess", "--list-objects"]).output().unwrap().status.success());
    let uri = token.uri("billing");
    token.key(&["test", &uri]).refused("pin-count-low");
    token.key(&["test", &uri, "--force"]).done();
    token.key(&["test", &uri]).done();
}

#[test]
fn a_certificate_tells_its_key_from_a_twin_of_the_same_label() {
    let Some(token) = Token::new() else { return };
    token.hsm.key("prod", "billing", "01", 2_048);
    token.hsm.key("prod", "billing", "02", 2_048);
    let (both, second) = (token.uri("billing"), token.uri("billing;id=%02"));
    token.key(&["test", &both]).refused("key-ambiguous");
    token.key(&["certificate", &second, "--subject", "CN=billing", "--out", "billing.pem"]).done();
    token.key(&["import-certificate", &both, "--certificate", "billing.pem"]).done();
    token.key(&["test", &both, "--certificate", "billing.pem"]).done();
}

#[test]
fn tokens_of_one_label_are_listed_with_their_serials() {
    let Some(token) = Token::new() else { return };
    let first = token.hsm.serial("prod");
    token.hsm.token("prod", PIN);
    let listed = token.key(&["list", token.hsm.module().to_str().unwrap(), "--json"]).done().json();
    let uris: Vec<_> = listed["tokens"].as_array().unwrap().iter().map(|one| one["token"].as_str().unwrap()).collect();
    assert!(uris.len() == 2 && uris[0] != uris[1], "{uris:?}");
    let named = uris.iter().find(|uri| uri.contains(&format!("serial={first}"))).unwrap();
    assert_eq!(token.key(&["list", named, "--json"]).done().json()["tokens"].as_array().unwrap().len(), 1);
}
