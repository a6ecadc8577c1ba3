//! Entra is down, slow or talks nonsense: at the start, at a refresh, for a while.
//!
//! The clock stands, so that "not before 7 s" is not a matter of how busy the machine is.

use std::time::Duration;

use unsecret::emulator::Fault;

use crate::support::http::Call;
use crate::support::unavailable::{assert_passing, assert_served, assert_unavailable, code, failure, failures};
use crate::support::world::{GRAPH, Plan, World, expires_in};

const PREFETCH: &str = "any_local_caller = true\nprefetch = [\"https://graph.microsoft.com/.default\"]\n";
/// Past any refresh time and far above the margin, for a token that lives an hour.
const REFRESH: Duration = Duration::from_secs(2_600);
/// Longer than any pause after a failure that Entra did not ask for.
const PAUSE: Duration = Duration::from_secs(61);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn prefetching() -> Plan {
    Plan { standing: true, identity: PREFETCH.to_owned(), ..Plan::default() }
}

fn down_from_the_start(fault: Fault) -> Plan {
    Plan { fault: Some(fault), ..prefetching() }
}

/// What Entra may do in place of a good answer, and what that is called.
fn faults() -> Vec<(Fault, &'static str)> {
    vec![
        (Fault::Throttle { retry_after: None }, "entra-transient"),
        (Fault::Throttle { retry_after: Some(30) }, "entra-transient"),
        (Fault::Status { status: 500, retry_after: None }, "entra-transient"),
        (Fault::Status { status: 503, retry_after: Some(30) }, "entra-transient"),
        (Fault::Propagation, "entra-propagation"),
        (Fault::Html { status: 200 }, "not-from-entra"),
        (Fault::Html { status: 503 }, "not-from-entra"),
        (Fault::Garbage, "not-from-entra"),
        (Fault::HugeBody { bytes: 1_000_000 }, "answer-too-large"),
        (Fault::Reset, "connection-broken"),
    ]
}

#[tokio::test]
async fn with_entra_down_at_the_start_every_door_says_503_until_it_returns() {
    let world = World::of(down_from_the_start(Fault::Outage)).await;
    let (line, named) = failure(&world).await;
    assert!(line.starts_with(&format!("billing: not ready; {GRAPH} not held, last failure (")), "{line}");
    assert!(line.contains(", remedy: "), "{line}");
    assert_unavailable(&world, &named).await;
    let page = async |path: &str| Call::get(world.admin(), path).send().await;
    assert_eq!(page("/livez").await.status, 200);
    assert_eq!(page("/startupz").await.status, 200);
    let readyz = page("/readyz").await;
    assert_eq!(readyz.status, 503);
    assert!(readyz.body.starts_with("not ready: 1 of 1 identities cannot serve yet"), "{}", readyz.body);
    assert_eq!(world.exchanges(), 0);
    world.emulator.clear_faults();
    world.pass(PAUSE).await;
    world.until_ready().await;
    assert_eq!(world.exchanges(), 1, "nobody had to ask");
    assert_served(&world, &world.imds(GRAPH).send().await.token()).await;
}

#[tokio::test]
async fn whatever_entra_answers_a_first_exchange_with_every_door_says_503() {
    let world = World::of(Plan { standing: true, ..Plan::default() }).await;
    for (fault, wanted) in faults() {
        world.emulator.set_fault(None, fault.clone());
        println!("{fault:?}");
        assert_unavailable(&world, wanted).await;
        world.pass(PAUSE).await;
    }
    world.emulator.clear_faults();
    world.imds(GRAPH).send().await.token();
}

#[tokio::test]
async fn a_first_exchange_that_hangs_is_503_when_the_caller_has_waited_long_enough() {
    let listen = "wait = \"50ms\"".to_owned();
    let world = World::of(Plan { standing: true, listen, fault: Some(Fault::Hang), ..Plan::default() }).await;
    assert_unavailable(&world, "mint-still-running").await;
    world.until("the exchange hangs", async |world| (world.exchanges() == 1).then_some(())).await;
    assert_unavailable(&world, "mint-still-running").await;
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn with_entra_down_at_a_refresh_the_held_token_is_served_to_its_very_end() {
    let world = World::of(prefetching()).await;
    world.until_ready().await;
    let first = world.imds(GRAPH).send().await;
    let (token, life) = (first.token(), expires_in(&first));
    world.emulator.set_fault(None, Fault::Outage);
    let mut passed = 0;
    for until in [1_000, 2_000, 3_000, life - 299, life - 60, life - 1] {
        world.pass(seconds(until - passed)).await;
        passed = until;
        assert_served(&world, &token).await;
    }
    assert!(failures(&world).await >= 1.0);
    assert_eq!(Call::get(world.admin(), "/readyz").send().await.status, 200);
    world.pass(seconds(1)).await;
    for (door, call) in world.every_door(GRAPH) {
        assert_passing(door, &call.send().await);
    }
    assert_eq!(Call::get(world.admin(), "/readyz").send().await.status, 503);
    world.write_token();
    world.emulator.clear_faults();
    world.pass(PAUSE).await;
    world.until_ready().await;
    assert_ne!(world.imds(GRAPH).send().await.token(), token);
}

#[tokio::test]
async fn whatever_entra_answers_a_refresh_with_the_held_token_stays() {
    let world = World::of(prefetching()).await;
    world.until_ready().await;
    for (fault, wanted) in faults() {
        println!("{fault:?}");
        let token = world.imds(GRAPH).send().await.token();
        world.write_token();
        world.emulator.set_fault(None, fault);
        world.pass(REFRESH).await;
        let (line, named) = failure(&world).await;
        assert_eq!(named, wanted);
        assert!(line.starts_with(&format!("billing: ready; {GRAPH} held for ")), "{line}");
        assert_served(&world, &token).await;
        world.emulator.clear_faults();
        world.pass(PAUSE).await;
        let renewed = async |world: &World| (world.imds(GRAPH).send().await.token() != token).then_some(());
        world.until("the next try brings a new token", renewed).await;
        assert!(failures(&world).await == 0.0);
    }
}

#[tokio::test]
async fn a_refresh_that_hangs_keeps_nobody_waiting() {
    let world = World::of(prefetching()).await;
    world.until_ready().await;
    let token = world.imds(GRAPH).send().await.token();
    world.emulator.set_fault(None, Fault::Hang);
    world.pass(REFRESH).await;
    world.until("the refresh hangs", async |world| (world.exchanges() == 2).then_some(())).await;
    assert_served(&world, &token).await;
}

#[tokio::test]
async fn after_retry_after_7_entra_is_not_asked_again_before_7_seconds() {
    for identity in ["any_local_caller = true\n", PREFETCH] {
        let fault = Some(Fault::Throttle { retry_after: Some(7) });
        let world = World::of(Plan { identity: identity.to_owned(), fault, ..prefetching() }).await;
        assert_unavailable(&world, "entra-transient").await;
        world.emulator.clear_faults();
        world.pass(Duration::from_millis(6_999)).await;
        assert_unavailable(&world, "entra-transient").await;
        assert_eq!(world.exchanges(), 1);
        world.pass(Duration::from_millis(1)).await;
        world.imds(GRAPH).send().await.token();
        assert_eq!(world.exchanges(), 2);
    }
}

#[tokio::test]
async fn retry_after_counts_while_a_token_is_held_too() {
    let world = World::of(Plan { standing: true, ..Plan::default() }).await;
    let token = world.imds(GRAPH).send().await.token();
    world.emulator.set_fault(None, Fault::Throttle { retry_after: Some(7) });
    // Below the margin, where a caller starts an exchange by itself if the keeper has not.
    world.pass(seconds(3_400)).await;
    assert_served(&world, &token).await;
    world.emulator.clear_faults();
    world.pass(Duration::from_millis(6_999)).await;
    assert_served(&world, &token).await;
    assert_eq!(world.exchanges(), 2);
    world.pass(Duration::from_millis(1)).await;
    assert_ne!(world.imds(GRAPH).send().await.token(), token);
    assert_eq!(world.exchanges(), 3);
}

#[tokio::test]
async fn a_day_of_retry_after_is_obeyed_for_an_hour() {
    for identity in ["any_local_caller = true\n", PREFETCH] {
        let fault = Some(Fault::Throttle { retry_after: Some(86_400) });
        let world = World::of(Plan { identity: identity.to_owned(), fault, ..prefetching() }).await;
        assert_unavailable(&world, "entra-transient").await;
        world.emulator.clear_faults();
        world.pass(seconds(3_599)).await;
        let answer = world.imds(GRAPH).send().await;
        assert_eq!((code(&answer), world.exchanges()), ("entra-transient", 1), "{identity}");
        assert_eq!(answer.headers["retry-after"], "1");
        world.write_token();
        world.pass(seconds(1)).await;
        world.imds(GRAPH).send().await.token();
    }
}
