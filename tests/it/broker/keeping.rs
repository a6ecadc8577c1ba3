//! The keeper: prefetch, refresh at the right time, letting go, readiness.

use std::sync::Arc;

use unsecret::clock::ManualClock;
use unsecret::fault::Class;

use super::{Desk, GRAPH, HOUR, ROUND_TRIP, Step, TICK, VAULT, pass, seconds};

#[tokio::test(start_paused = true)]
async fn a_prefetch_is_held_without_anybody_asking() {
    let desk = Desk::with([], &[GRAPH, VAULT]);
    assert!(!desk.broker.is_ready());
    let keeper = desk.keep();
    pass(seconds(1)).await;
    assert!(desk.broker.is_ready());
    assert_eq!(desk.exchanges(), 2);
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_token_is_refreshed_between_60_and_70_percent_of_its_life_and_no_caller_waits() {
    let desk = Desk::with([], &[GRAPH]);
    let keeper = desk.keep();
    pass(HOUR).await;
    let starts = desk.starts();
    assert_eq!(starts.len(), 2);
    assert!((2_160..=2_521).contains(&starts[1].as_secs()), "{starts:?}");
    let before = desk.mono();
    assert_eq!(desk.told(GRAPH).await, "token 2");
    assert_eq!(desk.mono(), before);
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn entras_refresh_in_brings_the_refresh_forward() {
    let desk = Desk::with([Step::RefreshIn(seconds(1_200))], &[GRAPH]);
    let keeper = desk.keep();
    pass(seconds(1_210)).await;
    let starts = desk.starts();
    assert_eq!(starts.len(), 2);
    assert!((840..=1_201).contains(&starts[1].as_secs()), "{starts:?}");
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_slow_refresh_does_not_hold_up_callers_of_a_token_above_its_margin() {
    let desk = Desk::with([Step::Good, Step::Slow(seconds(60))], &[GRAPH]);
    let keeper = desk.keep();
    while desk.exchanges() < 2 {
        pass(seconds(1)).await;
    }
    let before = desk.mono();
    assert_eq!(desk.told(GRAPH).await, "token 1");
    assert_eq!(desk.mono(), before);
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_nobody_used_for_a_whole_life_is_let_go() {
    let desk = Desk::new([]);
    let keeper = desk.keep();
    desk.told(GRAPH).await;
    pass(seconds(3_540)).await;
    assert!(desk.slot(GRAPH).is_some());
    let counted: u64 = desk.answered().iter().sum();
    pass(seconds(120)).await;
    assert!(desk.slot(GRAPH).is_none());
    assert_eq!(desk.heard().last().unwrap(), &format!("dropped {GRAPH}"));
    assert_eq!(desk.answered().iter().sum::<u64>(), counted);
    let exchanges = desk.exchanges();
    pass(HOUR * 5).await;
    assert_eq!(desk.exchanges(), exchanges, "nothing is refreshed any more");
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_slot_in_use_is_not_let_go() {
    let desk = Desk::new([]);
    let keeper = desk.keep();
    for _ in 0..10 {
        desk.told(GRAPH).await;
        pass(HOUR / 2).await;
    }
    assert!(desk.slot(GRAPH).is_some());
    assert!(!desk.heard().contains(&format!("dropped {GRAPH}")));
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_prefetch_slot_is_never_let_go() {
    let desk = Desk::with([], &[GRAPH]);
    let keeper = desk.keep();
    pass(HOUR * 24).await;
    assert!(desk.slot(GRAPH).unwrap().held.is_some());
    assert!(desk.exchanges() >= 34, "{}", desk.exchanges());
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn an_empty_slot_is_let_go_after_ten_minutes() {
    let desk = Desk::new([Step::Fail(Class::Client, None, 0)]);
    let keeper = desk.keep();
    desk.told(GRAPH).await;
    pass(seconds(540)).await;
    assert!(desk.slot(GRAPH).is_some());
    pass(seconds(120)).await;
    assert!(desk.slot(GRAPH).is_none());
    assert_eq!(desk.exchanges(), 1, "nobody asked again, so neither did we");
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn without_prefetch_readiness_follows_the_assertion() {
    let desk = Desk::new([]);
    let fails = Step::Fail(Class::Configuration, None, 0);
    desk.mint.probes.lock().unwrap().extend([fails.clone(), fails]);
    let keeper = desk.keep();
    pass(seconds(1)).await;
    let status = desk.broker.status();
    assert!(!status.ready);
    assert_eq!(status.identities[0].probe_failure.as_ref().unwrap().code, "scripted");
    pass(seconds(125)).await;
    assert!(desk.broker.is_ready());
    assert!(desk.broker.status().identities[0].probe_failure.is_none());
    assert_eq!(desk.exchanges(), 0, "a probe is no exchange");
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn an_assertion_source_that_hangs_or_crashes_is_asked_again() {
    let desk = Desk::new([]);
    desk.mint.probes.lock().unwrap().extend([Step::Slow(HOUR), Step::Panic]);
    let keeper = desk.keep();
    pass(seconds(60) + ROUND_TRIP).await;
    let failure = |desk: &Desk| desk.broker.status().identities[0].probe_failure.as_ref().map(|trouble| trouble.code);
    assert_eq!(failure(&desk), Some("probe-unanswered"));
    // The next one starts after half a second to a second, and the one after it after a second or two.
    pass(seconds(1) + ROUND_TRIP / 2).await;
    assert_eq!(failure(&desk), Some("mint-crashed"));
    pass(seconds(5)).await;
    assert!(desk.broker.is_ready());
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn a_poke_wakes_the_keeper_after_a_clock_was_moved_by_hand() {
    let clock = Arc::new(ManualClock::standing(1_800_000_000));
    let desk = Desk::at(Arc::clone(&clock) as _, [], &[GRAPH]);
    let keeper = tokio::spawn(Arc::clone(&desk.broker).keep(HOUR * 1_000));
    pass(seconds(1)).await;
    clock.advance(seconds(2_600));
    pass(seconds(1)).await;
    assert_eq!(desk.exchanges(), 1, "the keeper sleeps");
    desk.broker.poke();
    pass(seconds(1)).await;
    assert_eq!(desk.exchanges(), 2);
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn after_the_machine_slept_the_next_tick_replaces_the_token() {
    let clock = Arc::new(ManualClock::standing(1_800_000_000));
    let desk = Desk::at(Arc::clone(&clock) as _, [], &[GRAPH]);
    let keeper = desk.keep();
    pass(seconds(1)).await;
    clock.sleep_machine(HOUR * 8);
    assert!(!desk.broker.is_ready(), "the wall clock says that the token is dead");
    pass(TICK + seconds(1)).await;
    assert_eq!(desk.told(GRAPH).await, "token 2");
    assert!(desk.broker.is_ready());
    keeper.abort();
}

#[tokio::test(start_paused = true)]
async fn setting_the_wall_clock_back_does_not_put_the_refresh_off() {
    let clock = Arc::new(ManualClock::standing(1_800_000_000));
    let desk = Desk::at(Arc::clone(&clock) as _, [], &[GRAPH]);
    let keeper = desk.keep();
    pass(seconds(1)).await;
    clock.set_wall_back(HOUR * 8);
    clock.advance(seconds(2_600));
    pass(TICK + seconds(1)).await;
    assert_eq!(desk.exchanges(), 2);
    keeper.abort();
}
