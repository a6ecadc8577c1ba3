//! After a failure Entra is left alone for a while, and callers are answered at once.

use unsecret::fault::Class;

use super::{Desk, GRAPH, HOUR, Step, pass, seconds};

#[tokio::test(start_paused = true)]
async fn a_cooling_slot_answers_at_once_and_says_when_to_ask_again() {
    let desk = Desk::new([Step::Fail(Class::Configuration, None, 700_016)]);
    let first = desk.ask(GRAPH).await.unwrap_err();
    assert_eq!(first.retry_in.unwrap().as_secs(), 60);
    pass(seconds(20)).await;
    let before = desk.mono();
    let again = desk.ask(GRAPH).await.unwrap_err();
    assert_eq!(desk.mono(), before);
    assert_eq!(again.retry_in.unwrap().as_secs(), 40);
    assert_eq!((again.class, again.numbers[0]), (Class::Configuration, 700_016));
    assert_eq!(desk.exchanges(), 1);
    pass(seconds(41)).await;
    assert_eq!(desk.told(GRAPH).await, "token 2");
}

#[tokio::test(start_paused = true)]
async fn after_retry_after_7_entra_is_not_asked_again_before_7_seconds() {
    let desk = Desk::with([Step::Fail(Class::Transient, Some(seconds(7)), 0)], &[GRAPH]);
    let keeper = desk.keep();
    for _ in 0..90 {
        let _ = desk.ask(GRAPH).await;
        pass(seconds(1) / 10).await;
    }
    let starts = desk.starts();
    assert_eq!(starts.len(), 2);
    assert!(starts[1] >= seconds(7), "{starts:?}");
    assert!(starts[1] < seconds(8), "{starts:?}");
    assert_eq!(desk.told(GRAPH).await, "token 2");
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn an_unused_slot_is_not_let_go_before_retry_after_has_passed() {
    let desk = Desk::new([Step::Fail(Class::Transient, Some(HOUR), 0)]);
    let keeper = desk.keep();
    desk.told(GRAPH).await;
    pass(seconds(3_540)).await;
    assert_eq!(desk.told(GRAPH).await, "scripted");
    assert_eq!(desk.exchanges(), 1);
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_client_loop_is_left_alone_for_minutes() {
    let desk = Desk::with([Step::Fail(Class::Transient, None, 50_196)], &[GRAPH]);
    let keeper = desk.keep();
    pass(seconds(299)).await;
    assert_eq!(desk.exchanges(), 1);
    pass(seconds(5)).await;
    assert_eq!(desk.exchanges(), 2);
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn propagation_is_retried_for_ten_minutes_and_is_configuration_then() {
    let desk = Desk::with([], &[GRAPH]);
    desk.always(Step::Fail(Class::Propagation, None, 70_021));
    let keeper = desk.keep();
    pass(seconds(590)).await;
    assert_eq!(desk.ask(GRAPH).await.unwrap_err().class, Class::Propagation);
    pass(seconds(120)).await;
    assert_eq!(desk.ask(GRAPH).await.unwrap_err().class, Class::Configuration);
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn an_outage_before_it_does_not_use_up_the_ten_minutes_of_propagation() {
    let desk = Desk::with([], &[GRAPH]);
    desk.always(Step::Fail(Class::Transient, None, 90_033));
    let keeper = desk.keep();
    pass(seconds(900)).await;
    desk.always(Step::Fail(Class::Fresh, None, 700_024));
    pass(seconds(500)).await;
    assert_eq!(desk.ask(GRAPH).await.unwrap_err().class, Class::Fresh);
    pass(seconds(240)).await;
    assert_eq!(desk.ask(GRAPH).await.unwrap_err().class, Class::Configuration);
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_the_count_of_failures() {
    let down = Step::Fail(Class::Transient, None, 0);
    let desk = Desk::with([down.clone(), down.clone(), Step::Good, down], &[GRAPH]);
    let keeper = desk.keep();
    pass(seconds(3_000)).await;
    let failed: Vec<_> = desk.heard().into_iter().filter(|line| line.starts_with("failed")).collect();
    assert_eq!(
        failed,
        [
            format!("failed {GRAPH} scripted 1 held=false"),
            format!("failed {GRAPH} scripted 2 held=false"),
            format!("failed {GRAPH} scripted 1 held=true"),
        ]
    );
    assert!(desk.slot(GRAPH).unwrap().trouble.is_none());
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_token_without_life_is_a_failure_and_causes_no_loop() {
    let desk = Desk::new([]);
    desk.always(Step::Lifeless);
    for _ in 0..100 {
        assert_eq!(desk.told(GRAPH).await, "token-lifeless");
    }
    assert_eq!(desk.exchanges(), 1);
}
