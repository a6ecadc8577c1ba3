//! The end: first no longer ready, then gone, and nobody's review is lost between.

use http::Method;
use rustix::process::Signal;

use super::stage::Stage;
use super::verdicts::pod;
use super::{PATH, reviewed};

#[tokio::test]
async fn a_stopping_webhook_is_not_ready_answers_on_for_a_while_and_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let (stage, injector) = Stage::ready().await;
        injector.signal(signal);
        injector.until("no longer ready", async |it| (it.page("/readyz").await.status == 503).then_some(())).await;
        // The endpoint's removal takes a while to reach the API servers: they ask on.
        injector.review(&pod()).await.patch();
        assert_eq!(injector.end().await.code(), Some(0), "{signal:?}");
        stage.api.assert_nothing_was_refused();
    }
}

#[tokio::test]
async fn it_ends_with_0_before_it_was_ready_as_well() {
    let stage = Stage::new().await;
    stage.api.fault(super::api::request::Verb::List, super::api::store::Kind::Accounts, super::api::Fault::Hang);
    let injector = stage.start().await;
    injector.signal(Signal::TERM);
    assert_eq!(injector.end().await.code(), Some(0));
}

#[tokio::test]
async fn a_stopping_webhook_keeps_no_connection_that_would_be_cut_later() {
    let (_stage, injector) = Stage::ready().await;
    let mut kept = injector.connect().await;
    let review = reviewed(&pod()).to_string();
    kept.ask(Method::POST, PATH, review.clone()).await.unwrap().patch();
    injector.signal(Signal::TERM);
    injector.until("no longer ready", async |it| (it.page("/readyz").await.status == 503).then_some(())).await;
    // Answered, and closed: the next one goes to a pod that stays.
    kept.ask(Method::POST, PATH, review.clone()).await.unwrap().patch();
    assert!(kept.ask(Method::POST, PATH, review).await.is_err());
}
