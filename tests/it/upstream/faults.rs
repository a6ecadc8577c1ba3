//! What every bad answer is called; none of them is held against the configuration.

use std::sync::Arc;
use std::time::Duration;

use unsecret::broker::Mint as _;
use unsecret::fault::Class;
use unsecret::outbound::{Outbound, Request, Settings};
use unsecret::problem::{Problem as _, chain};

use super::{Scripted, World, graph, mint, settings, told};
use crate::support::far_end::{FarEnd, Reply, ca};

/// The code for this reply, after checking that it passes and that it is asked about so often.
async fn code(reply: Reply, requests: usize) -> &'static str {
    let world = World::new(&["one"], [reply]).await;
    let problem = world.failure().await;
    assert_eq!(problem.class, Class::Transient, "{:?}", told(&problem));
    assert_eq!(world.far.seen().len(), requests, "{:?}", told(&problem));
    problem.problem.code()
}

#[tokio::test]
async fn a_throttle_keeps_the_time_that_entra_asks_for() {
    let body = r#"{"error":"temporarily_unavailable","error_codes":[90055]}"#;
    let world = World::new(&["one"], [Reply::entra(429, &[("retry-after", "7")], body)]).await;
    let problem = world.failure().await;
    assert_eq!((problem.class, problem.retry_after), (Class::Transient, Some(Duration::from_secs(7))));
    assert_eq!(world.heard(), ["asserted success", "exchanged throttled 90055"]);
}

#[tokio::test]
async fn every_kind_of_bad_answer_has_its_name() {
    let html = [("content-type", "text/html")];
    assert_eq!(code(Reply::entra(503, &[("retry-after", "1")], ""), 1).await, "entra-unavailable");
    assert_eq!(code(Reply::entra(200, &[], "garbage"), 1).await, "entra-answer-unreadable");
    assert_eq!(code(Reply::http(200, &html, "<html>log in"), 1).await, "not-from-entra");
    assert_eq!(code(Reply::http(503, &html, "<html>blocked"), 2).await, "not-from-entra");
    assert_eq!(code(Reply::http(302, &[("location", "https://login/")], ""), 1).await, "not-from-entra");
    assert_eq!(code(Reply::Bytes(Vec::new()), 2).await, "connection-broken");
    assert_eq!(code(Reply::Reset, 2).await, "connection-broken");
    assert_eq!(code(Reply::Bytes(b"\x16\x03garbage\r\n\r\n".to_vec()), 2).await, "connection-broken");
    assert_eq!(
        code(Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf".to_vec()), 2).await,
        "connection-broken"
    );
    assert_eq!(code(Reply::entra(200, &[], &"x".repeat(300 * 1024)), 1).await, "answer-too-large");
}

#[tokio::test]
async fn an_entra_that_hangs_is_a_timeout_and_not_tried_again() {
    // However loaded the machine is, the answer never comes: a short deadline cannot make this fail.
    let world = World::with(&["one"], [Reply::Hang], Duration::from_millis(300)).await;
    let problem = world.failure().await;
    assert_eq!(problem.problem.code(), "upstream-timeout", "{:?}", told(&problem));
    assert_eq!(world.heard(), ["asserted success", "exchanged timeout"]);
}

#[tokio::test]
async fn what_keeps_a_connection_from_coming_about_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (known, stranger) = (ca("known"), ca("stranger"));
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, known.certificate_pem()).unwrap();
    let code = async |host: &str| {
        let source = Arc::new(Scripted(vec!["one"]));
        let mint = mint(host, settings(ca_file.clone()), source, Arc::new(super::Heard::default()));
        let problem = mint.mint(graph().into()).await.unwrap_err();
        assert_eq!(problem.class, Class::Transient);
        assert!(problem.correlation_id.is_some());
        told(&problem)
    };
    let untrusted = FarEnd::start(&stranger, [Reply::token("t")]).await;
    let (name, line) = code(&untrusted.host()).await;
    assert_eq!(name, "tls-untrusted-issuer", "{line}");
    assert!(line.contains("was not issued by a trusted CA"), "{line}");
    let trusted = FarEnd::start(&known, [Reply::token("t")]).await;
    let other_name = format!("https://127.0.0.1:{}", trusted.address.port());
    assert_eq!(code(&other_name).await.0, "tls-failed");
    let port = {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        closed.local_addr().unwrap().port()
    };
    let (name, line) = code(&format!("https://localhost:{port}")).await;
    assert_eq!(name, "connect-failed", "{line}");
    assert!(line.contains("refused"), "{line}");
}

#[tokio::test]
async fn a_name_without_an_address_is_told_from_a_refused_connection() {
    // A label of more than 63 letters is refused by the resolver itself, so no name server is asked; over http, because
    // TLS would refuse such a name before it is looked up.
    let url = format!("http://{}.invalid/?canary", "a".repeat(64)).parse().unwrap();
    let problem = Outbound::new(Settings::default()).send(Request::get(url)).await.err().unwrap();
    assert_eq!(problem.code(), "name-not-found", "{}", chain(&problem));
    assert!(!format!("{} {problem:?}", chain(&problem)).contains("canary"));
}
