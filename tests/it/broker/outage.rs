//! A failure never touches the held token, which is served to its end.

use unsecret::fault::Class;

use super::{Desk, GRAPH, HOUR, Step, pass, seconds};

const DOWN: Step = Step::Fail(Class::Transient, None, 0);

/// A desk whose token came a moment ago and whose next exchanges all fail.
fn outage_after_the_first() -> Desk {
    let desk = Desk::with([Step::Good], &[GRAPH]);
    desk.always(DOWN);
    desk
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_leaves_the_good_token_in_place() {
    let desk = outage_after_the_first();
    let keeper = desk.keep();
    pass(seconds(2_600)).await;
    assert!(desk.exchanges() > 1);
    assert_eq!(desk.told(GRAPH).await, "token 1");
    assert!(desk.heard().contains(&format!("failed {GRAPH} scripted 1 held=true")));
    let slot = desk.slot(GRAPH).unwrap();
    assert_eq!(slot.held.unwrap().expires, slot.held.unwrap().received + 3_600);
    assert_eq!(slot.trouble.unwrap().code, "scripted");
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_the_held_token_is_served_to_its_end() {
    let desk = outage_after_the_first();
    let keeper = desk.keep();
    pass(seconds(3_590)).await;
    assert_eq!(desk.told(GRAPH).await, "token 1");
    assert!(desk.broker.is_ready());
    pass(seconds(11)).await;
    assert_eq!(desk.told(GRAPH).await, "scripted");
    assert!(!desk.broker.is_ready());
    desk.always(Step::Good);
    pass(seconds(61)).await;
    assert!(desk.told(GRAPH).await.starts_with("token"));
    assert!(desk.broker.is_ready());
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_a_request_a_minute_and_not_more() {
    let desk = outage_after_the_first();
    let keeper = desk.keep();
    pass(HOUR * 3).await;
    let before = desk.exchanges();
    pass(HOUR).await;
    let within = desk.exchanges() - before;
    assert!((55..=121).contains(&within), "{within} exchanges in an hour");
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn below_the_margin_a_caller_waits_two_seconds_and_gets_the_held_token() {
    // No keeper: nothing is refreshed until a caller asks below the margin of five minutes.
    let desk = Desk::new([Step::Good, Step::Slow(seconds(30))]);
    desk.told(GRAPH).await;
    pass(seconds(3_400)).await;
    let before = desk.mono();
    assert_eq!(desk.told(GRAPH).await, "token 1");
    assert_eq!(desk.since(before).as_secs(), 2);
    assert_eq!(desk.exchanges(), 2);
    pass(seconds(30)).await;
    assert_eq!(desk.told(GRAPH).await, "token 2");
}

#[tokio::test(start_paused = true)]
async fn below_the_margin_a_quick_exchange_gives_the_new_token() {
    let desk = Desk::new([]);
    desk.told(GRAPH).await;
    pass(seconds(3_400)).await;
    assert_eq!(desk.told(GRAPH).await, "token 2");
}

#[tokio::test(start_paused = true)]
async fn below_the_margin_a_failed_exchange_gives_the_held_token_and_then_at_once() {
    let desk = Desk::new([Step::Good]);
    desk.always(Step::Fail(Class::Transient, Some(seconds(60)), 0));
    desk.told(GRAPH).await;
    pass(seconds(3_400)).await;
    assert_eq!(desk.told(GRAPH).await, "token 1");
    let before = desk.mono();
    assert_eq!(desk.told(GRAPH).await, "token 1");
    assert_eq!(desk.mono(), before, "while cooling nobody waits");
    assert_eq!(desk.exchanges(), 2);
}
