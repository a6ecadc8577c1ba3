//! What one attempt sends, and for which reasons it asks again.

use std::sync::Arc;

use unsecret::assertion::FileSource;
use unsecret::broker::Mint as _;
use unsecret::clock::SystemClock;
use unsecret::fault::Class;
use unsecret::observe::Observer;

use super::{Heard, World, mint, settings};
use crate::support::far_end::Reply;

#[tokio::test]
async fn the_request_is_as_the_contract_says() {
    let world = World::new(&["a.b+c"], [Reply::token("t")]).await;
    assert_eq!(world.ask().await.unwrap().access_token.expose(), "t");
    let seen = world.far.seen().remove(0);
    assert_eq!(
        seen.body,
        "client_id=33333333-dddd-4eee-8fff-444444444444&grant_type=client_credentials\
         &scope=https%3A%2F%2Fgraph.microsoft.com%2F.default\
         &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
         &client_assertion=a.b%2Bc"
    );
    let mut lines = seen.head.lines();
    assert_eq!(lines.next(), Some("POST /11111111-aaaa-4bbb-8ccc-222222222222/oauth2/v2.0/token HTTP/1.1"));
    let mut names: Vec<_> = lines.filter_map(|line| Some(line.split_once(": ")?.0.to_lowercase())).collect();
    names.sort();
    let expected = "accept client-request-id content-length content-type host return-client-request-id user-agent \
                    x-client-sku x-client-ver";
    assert_eq!(names.join(" "), expected);
    assert_eq!(world.heard(), ["asserted success", "exchanged success"]);
}

#[tokio::test]
async fn a_fresh_assertion_is_fetched_once() {
    let world = World::new(&["one", "two", "three"], [Reply::fault(700_024), Reply::token("t")]).await;
    world.ask().await.unwrap();
    let sent: Vec<_> = world.far.seen().iter().map(|seen| seen.body.rsplit('=').next().unwrap().to_owned()).collect();
    assert_eq!(sent, ["one", "two"]);
    world.far.then([Reply::fault(700_024)]);
    let problem = world.failure().await;
    assert_eq!((problem.problem.code(), problem.class), ("entra-assertion-refused", Class::Fresh));
    assert_eq!(world.far.seen().len(), 4);
}

#[tokio::test]
async fn entras_word_stands_when_the_source_has_nothing_fresher() {
    let world = World::new(&["one"], [Reply::fault(7_000_274)]).await;
    let problem = world.failure().await;
    assert_eq!(problem.numbers[..], [7_000_274]);
    assert_eq!(problem.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(problem.trace_id.as_deref(), Some("trace-1"));
    assert_eq!(problem.error.as_deref(), Some("invalid_client"));
    assert_eq!(world.far.seen().len(), 1);
    assert_eq!(world.heard(), ["asserted success", "exchanged upstream_error 7000274"]);
}

#[tokio::test]
async fn a_certificate_that_entra_does_not_know_gives_way_to_the_next() {
    let world = World::new(&["new", "old"], [Reply::fault(700_027), Reply::token("t")]).await;
    world.ask().await.unwrap();
    world.far.then([Reply::fault(700_027)]);
    let several = world.failure().await;
    assert_eq!((several.class, several.numbers[0]), (Class::Propagation, 700_027));
    assert_eq!(world.far.seen().len(), 4);
    let alone = World::new(&["only"], [Reply::fault(700_027)]).await.failure().await;
    assert_eq!((alone.class, alone.numbers[0]), (Class::Configuration, 700_027));
}

/// Contract A11 lists them together: the certificate is not authorised, or its chain not trusted, or revoked.
#[tokio::test]
async fn a_certificate_that_entra_refuses_for_itself_gives_way_to_the_next_too() {
    for number in [700_028, 700_030, 7_000_212, 7_000_214, 7_000_221] {
        let world = World::new(&["new", "old"], [Reply::fault(number), Reply::token("t")]).await;
        world.ask().await.unwrap();
        assert_eq!(world.far.seen().len(), 2, "{number}");
        world.far.then([Reply::fault(number)]);
        assert_eq!(world.failure().await.class, Class::Configuration, "nothing of it passes by itself");
    }
    // But where one of them may be spreading still, this does.
    let world = World::new(&["new", "old"], [Reply::fault(700_027), Reply::fault(7_000_214)]).await;
    assert_eq!(world.failure().await.class, Class::Propagation);
}

#[tokio::test]
async fn a_source_that_never_runs_out_does_not_make_a_loop() {
    let world = World::new(&["1", "2", "3", "4", "5", "6", "7"], [Reply::fault(700_027)]).await;
    assert_eq!(world.failure().await.class, Class::Propagation);
    assert_eq!(world.far.seen().len(), 5);
}

#[tokio::test]
async fn a_broken_connection_or_a_5xx_is_tried_again_once_and_at_once() {
    for first in [Reply::Reset, Reply::entra(500, &[], ""), Reply::http(502, &[], "<html>")] {
        let world = World::new(&["one"], [first.clone(), Reply::token("t")]).await;
        world.ask().await.unwrap();
        world.far.then([first]);
        assert_eq!(world.failure().await.class, Class::Transient);
        assert_eq!(world.far.seen().len(), 4);
    }
}

#[tokio::test]
async fn a_configuration_fault_is_not_asked_about_twice() {
    let world = World::new(&["one", "two"], [Reply::fault(700_016)]).await;
    assert_eq!(world.failure().await.class, Class::Configuration);
    assert_eq!(world.far.seen().len(), 1);
    assert_eq!(world.heard(), ["asserted success", "exchanged rejected 700016"]);
}

#[tokio::test]
async fn a_loop_that_entra_sees_is_not_asked_about_again_even_after_a_500() {
    let body = r#"{"error":"invalid_request","error_codes":[50196]}"#;
    let world = World::new(&["one"], [Reply::entra(500, &[], body)]).await;
    // By this number the broker knows to leave Entra alone for minutes.
    assert_eq!(world.failure().await.numbers[..], [50_196]);
    assert_eq!(world.far.seen().len(), 1);
}

#[tokio::test]
async fn without_an_assertion_nothing_is_sent() {
    let world = World::new(&["unused"], [Reply::token("t")]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let source = Arc::new(FileSource::new(path, "api://x".to_owned(), Arc::new(SystemClock::new())));
    let heard = Arc::new(Heard::default());
    let observer = Arc::clone(&heard) as Arc<dyn Observer>;
    let mint = mint(&world.far.host(), settings(dir.path().join("no-ca")), source, observer);
    let problem = mint.mint(super::graph().into()).await.unwrap_err();
    assert_eq!((problem.problem.code(), problem.class), ("token-file-missing", Class::Transient));
    assert_eq!(mint.probe().await.unwrap_err().problem.code(), "token-file-missing", "no exchange, and none is told");
    assert!(world.far.seen().is_empty());
    let missing = "asserted token-file-missing";
    assert_eq!(*heard.0.lock().unwrap(), [missing, "exchanged assertion_error", missing]);
}
