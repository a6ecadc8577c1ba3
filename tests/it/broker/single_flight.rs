//! Many askers, one exchange, whatever becomes of the askers or of the exchange.

use std::sync::Arc;

use tokio::sync::Semaphore;
use unsecret::broker::Tally;
use unsecret::fault::Class;

use super::{Desk, GRAPH, ROUND_TRIP, Step, VAULT, WAIT, pass, seconds};

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_of_a_cold_slot_cause_exactly_one_exchange() {
    let desk = Desk::new([]);
    let callers: Vec<_> = (0..1_000).map(|_| desk.send(GRAPH)).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "token 1");
    }
    assert_eq!(desk.exchanges(), 1);
    let answered = desk.answered();
    assert_eq!((answered[Tally::Miss as usize], answered[Tally::Coalesced as usize]), (1, 999));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_callers_on_several_threads_cause_exactly_one_exchange_too() {
    let gate = Arc::new(Semaphore::new(0));
    let desk = Desk::new([Step::Gated(Arc::clone(&gate))]);
    let callers: Vec<_> = (0..1_000).map(|_| desk.send(GRAPH)).collect();
    while desk.answered().iter().sum::<u64>() < 1_000 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "token 1");
    }
    assert_eq!(desk.exchanges(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_resource_has_its_own_flight() {
    let desk = Desk::new([]);
    let (graph, vault) = (desk.send(GRAPH), desk.send(VAULT));
    graph.await.unwrap();
    vault.await.unwrap();
    assert_eq!(desk.exchanges(), 2);
}

#[tokio::test(start_paused = true)]
async fn callers_who_hang_up_neither_stop_nor_restart_the_exchange() {
    let desk = Desk::new([]);
    let callers: Vec<_> = (0..10).map(|_| desk.send(GRAPH)).collect();
    pass(ROUND_TRIP / 2).await;
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    pass(ROUND_TRIP).await;
    assert_eq!(desk.told(GRAPH).await, "token 1");
    assert_eq!(desk.exchanges(), 1);
    assert_eq!(desk.answered()[Tally::Hit as usize], 1);
}

#[tokio::test(start_paused = true)]
async fn a_panicking_exchange_frees_its_waiters_and_the_next_one_may_succeed() {
    let desk = Desk::new([Step::Panic]);
    let callers: Vec<_> = (0..10).map(|_| desk.send(GRAPH)).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "mint-crashed");
    }
    assert_eq!(desk.exchanges(), 1);
    pass(seconds(2)).await;
    assert_eq!(desk.told(GRAPH).await, "token 2");
}

/// Cargo builds tests so that they unwind, whatever the profile says: `.ci/run release_panic` cannot see this.
#[test]
fn no_profile_aborts_on_panic() {
    let manifest: toml::Table = include_str!("../../../Cargo.toml").parse().unwrap();
    let profiles = manifest["profile"].as_table().unwrap();
    assert!(profiles.contains_key("release"));
    for (name, profile) in profiles {
        assert!(profile.get("panic").is_none_or(|panic| panic.as_str() == Some("unwind")), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_a_held_token_waits_no_longer_than_it_may() {
    let desk = Desk::new([Step::Slow(seconds(25))]);
    let before = desk.mono();
    let error = desk.ask(GRAPH).await.unwrap_err();
    assert_eq!(error.problem.code(), "mint-still-running");
    assert!(error.class.is_passing());
    assert_eq!(error.retry_in, Some(seconds(1)));
    assert_eq!(desk.since(before).as_secs(), WAIT.as_secs());
    assert_eq!(desk.told(GRAPH).await, "mint-still-running");
    assert_eq!(desk.told(GRAPH).await, "token 1");
    assert_eq!(desk.exchanges(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_never_ends_is_given_up_so_that_another_may_start() {
    let desk = Desk::new([Step::Slow(seconds(1_000_000))]);
    let first = desk.send(GRAPH);
    assert_eq!(first.await.unwrap(), "mint-still-running");
    pass(seconds(130)).await;
    assert_eq!(desk.heard(), [format!("failed {GRAPH} mint-hung 1 held=false")]);
    assert_eq!(desk.told(GRAPH).await, "token 2");
}

#[tokio::test(start_paused = true)]
async fn a_failure_reaches_every_waiter() {
    let desk = Desk::new([Step::Fail(Class::Transient, None, 0)]);
    let callers: Vec<_> = (0..10).map(|_| desk.send(GRAPH)).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "scripted");
    }
    assert_eq!(desk.exchanges(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_ask_for_many_resources_but_not_for_any_number() {
    let desk = Desk::new([]);
    for number in 0..1_024 {
        let (broker, policy) = (&desk.broker, &desk.policy);
        super::ask(broker, policy, &format!("https://{number}.example")).await.unwrap();
    }
    let error = desk.ask("https://one-too-many.example").await.unwrap_err();
    assert_eq!(error.problem.code(), "slots-full");
    assert_eq!(desk.exchanges(), 1_024);
    assert_eq!(desk.told("https://7.example").await, "token 8");
}

#[tokio::test(start_paused = true)]
async fn an_empty_slot_gives_way_when_there_are_too_many() {
    let desk = Desk::new([Step::Fail(Class::Client, None, 0)]);
    for number in 0..1_024 {
        let _ = super::ask(&desk.broker, &desk.policy, &format!("https://{number}.example")).await;
    }
    assert_eq!(desk.told("https://one-more.example").await, "token 1025");
    assert!(desk.slot("https://0.example").is_none());
    let total: u64 = desk.answered().iter().sum();
    assert_eq!(total, 1_025, "what a slot has counted stays when it is let go");
}

#[tokio::test(start_paused = true)]
async fn text_that_is_no_resource_opens_no_slot() {
    let desk = Desk::new([]);
    assert_eq!(desk.told("not a resource").await, "resource-malformed");
    assert_eq!(desk.exchanges(), 0);
}
