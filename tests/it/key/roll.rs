//! `unsecret key roll`: the next pair beside the current one, known to the application by a proof alone.

use unsecret::emulator::Emulator;
use unsecret::ids::Guid;

use super::{Desk, Ended, configuration, ended, entra_with, register};
use crate::support::world::{CLIENT, GRAPH};

/// An identity whose current pair is `old.key` and `old.pem`, known to Entra.
async fn rolling(policy: &str) -> (Desk, Emulator) {
    let desk = Desk::new();
    let entra = entra_with(&desk, policy).await;
    desk.key(&["create", &desk.uri("old.key")]).done();
    desk.key(&["certificate", &desk.uri("old.key"), "--subject", "CN=billing", "--out", "old.pem"]).done();
    register(&entra, &desk.path("old.pem")).await;
    configuration(&desk, &entra, &desk.uri("old.key"), &desk.text("old.pem"));
    (desk, entra)
}

fn roll(desk: &Desk, more: &[&str]) -> Ended {
    let config = desk.text("config.toml");
    desk.key(&[&["roll", &desk.uri("new.key"), "--out", "new.pem", "--config", &config][..], more].concat())
}

/// `--apply` with what it needs.
fn apply(entra: &Emulator) -> Vec<String> {
    let object_id = entra.application_object_id(&Guid::parse(CLIENT).unwrap()).unwrap();
    let all = ["--apply", "--object-id", object_id.as_str(), "--graph", &entra.authority_host()];
    all.map(str::to_owned).to_vec()
}

fn words(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_applied_roll_lets_the_next_pair_get_tokens_alone() {
    let (desk, entra) = rolling("").await;
    let said = roll(&desk, &words(&apply(&entra))).done();
    let (new, old) = (said.stderr.find("new.pem\", key").unwrap(), said.stderr.find("old.pem\", key").unwrap());
    assert!(new < old, "the new pair goes first: {}", said.stderr);
    let config = configuration(&desk, &entra, &desk.uri("new.key"), &desk.text("new.pem"));
    let scope = format!("{GRAPH}/.default");
    let token = ended(desk.command(&["token", "--config", &config, "--scope", &scope])).done();
    assert!(entra.verify(token.stdout.trim()).is_ok());
    entra.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roll_goes_on_where_an_earlier_one_stopped() {
    let (desk, entra) = rolling("").await;
    let first = roll(&desk, &["--json"]).done().json();
    assert_eq!(first["applied"], false);
    let certificate = std::fs::read(desk.path("new.pem")).unwrap();
    let apply = [apply(&entra), vec!["--json".to_owned()]].concat();
    let second = roll(&desk, &words(&apply)).done();
    assert!(second.stderr.contains("found file:"), "{}", second.stderr);
    let second = second.json();
    assert_eq!((&second["applied"], &second["sha256"]), (&true.into(), &first["sha256"]));
    assert_eq!(second["certificates"].as_array().unwrap().len(), 2);
    assert_eq!(std::fs::read(desk.path("new.pem")).unwrap(), certificate);
    entra.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_refuses_the_certificate_is_named_with_the_way_that_is_left() {
    for (policy, code, way) in [
        ("refuse_self_signed = true", "graph-policy-issuer", "unsecret key request"),
        ("longest_certificate_days = 30", "graph-policy-life", "fewer `--days`"),
    ] {
        let (desk, entra) = rolling(policy).await;
        let refused = roll(&desk, &words(&apply(&entra))).refused(code);
        assert!(refused.stderr.contains(way), "{}", refused.stderr);
        assert!(desk.path("new.pem").exists(), "what was made stays");
        entra.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_keys_certificate_is_not_written_over() {
    let (desk, entra) = rolling("").await;
    std::fs::copy(desk.path("old.pem"), desk.path("new.pem")).unwrap();
    roll(&desk, &[]).refused("key-output-exists");
    assert_eq!(std::fs::read(desk.path("old.pem")).unwrap(), std::fs::read(desk.path("new.pem")).unwrap());
    entra.stop().await;
}
