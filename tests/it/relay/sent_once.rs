//! A code is good once: what is sent a second time, and what never is (contract A14).

use unsecret::emulator::{Fault, Verdict};

use super::{ADA, Web, plan, relays, users_token, without_secret, world};
use crate::support::http::Answer;
use crate::support::world::{Plan, Source, World};

fn verdicts(world: &World) -> Vec<Verdict> {
    world.emulator.journal().into_iter().map(|entry| entry.verdict).collect()
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.text("error").as_str()), (503, "temporarily_unavailable"));
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_connection_that_broke_after_the_code_was_sent_is_not_tried_again() {
    let world = world().await;
    let web = Web::billing(&world);
    let refresh = web.redeem(&web.code(ADA).await).await.text("refresh_token");
    let code = web.code(ADA).await;
    for faults in [Fault::Reset, Fault::Html { status: 502 }, Fault::Status { status: 503, retry_after: None }] {
        let before = world.exchanges();
        world.emulator.set_fault(None, faults.clone());
        assert_unavailable(&web.redeem(&code).await);
        assert_unavailable(&web.refresh(&refresh).await);
        assert_eq!(verdicts(&world)[before..], [Verdict::Fault(faults.name()), Verdict::Fault(faults.name())]);
    }
    assert!((relays(&world, "authorization_code", "failed").await - 3.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn an_on_behalf_of_request_is_tried_again_as_an_exchange_is() {
    let world = world().await;
    world.emulator.set_fault_for(1, None, Fault::Reset);
    Web::billing(&world).behalf(&users_token(&world, ADA)).await.token();
    assert_eq!(verdicts(&world), [Verdict::Fault("reset"), Verdict::Token]);
}

#[tokio::test]
async fn a_code_that_never_left_is_sent_when_a_connection_is_there() {
    let world = world().await;
    let web = Web::billing(&world);
    let code = web.code(ADA).await;
    // One connection is closed before TLS has begun.
    world.emulator.set_fault_for(1, None, Fault::Outage);
    web.redeem(&code).await.token();
    assert_eq!(verdicts(&world), [Verdict::Token]);
}

#[tokio::test]
async fn a_code_is_sent_again_with_another_assertion_where_the_first_was_refused_as_expired() {
    let world = without_secret(Plan { source: Source::Certificate, ..plan("[\"*\"]") }).await;
    let web = Web::billing(&world);
    let code = web.code(ADA).await;
    let expired = Fault::Refuse { number: 700_024, error: "invalid_client".into(), status: 401 };
    world.emulator.set_fault_for(1, None, expired);
    web.redeem(&code).await.token();
    assert_eq!(verdicts(&world), [Verdict::Fault("refuse"), Verdict::Token]);
    assert_eq!(world.emulator.journal()[1].assertion, Some("certificate"));
}
