//! The machine sleeps, or somebody sets its clock: no dead token is ever handed out.

use std::time::Duration;

use unsecret::clock::Clock as _;
use unsecret::emulator::Fault;

use crate::support::unavailable::{assert_passing, assert_served};
use crate::support::world::{GRAPH, Plan, World, expires_in};

const TWO_HOURS: Duration = Duration::from_secs(7_200);

async fn standing() -> World {
    World::of(Plan { standing: true, ..Plan::default() }).await
}

#[tokio::test]
async fn after_the_machine_slept_through_a_tokens_end_every_door_gives_a_new_one() {
    let world = standing().await;
    let doors = world.every_door(GRAPH).len();
    for index in 0..doors {
        let dead = world.imds(GRAPH).send().await.token();
        world.clock.sleep_machine(TWO_HOURS);
        world.write_token();
        let (door, call) = world.every_door(GRAPH).swap_remove(index);
        let new = call.send().await.token();
        assert_ne!(new, dead, "{door}");
        assert_served(&world, &new).await;
    }
    assert_eq!(world.exchanges(), doors + 1);
}

#[tokio::test]
async fn after_the_machine_slept_with_entra_down_no_door_gives_the_dead_token() {
    let world = standing().await;
    world.imds(GRAPH).send().await.token();
    world.emulator.set_fault(None, Fault::Outage);
    world.clock.sleep_machine(TWO_HOURS);
    for (door, call) in world.every_door(GRAPH) {
        assert_passing(door, &call.send().await);
    }
}

#[tokio::test]
async fn after_a_shorter_sleep_the_keeper_refreshes_with_nobody_asking() {
    let world = standing().await;
    let held = world.imds(GRAPH).send().await.token();
    // No poke: a machine that wakes tells nobody.
    world.clock.sleep_machine(Duration::from_secs(2_600));
    world.until("a refresh", async |world| (world.exchanges() == 2).then_some(())).await;
    let renewed = async |world: &World| (world.imds(GRAPH).send().await.token() != held).then_some(());
    world.until("the new token", renewed).await;
}

#[tokio::test]
async fn a_wall_clock_set_back_does_not_lengthen_a_tokens_life() {
    let world = standing().await;
    let first = world.imds(GRAPH).send().await;
    world.clock.set_wall_back(TWO_HOURS);
    world.emulator.set_fault(None, Fault::Outage);
    world.clock.advance(Duration::from_secs(expires_in(&first) - 10));
    for (door, call) in world.every_door(GRAPH) {
        let answer = call.send().await;
        assert_eq!((answer.token(), expires_in(&answer)), (first.token(), 10), "{door}");
        if let Some(until) = answer.json().get("expires_on") {
            let until: u64 = until.as_str().unwrap().parse().unwrap();
            assert_eq!(until, world.clock.now().epoch() + 10, "{door}: clients go by it alone");
        }
    }
    world.clock.advance(Duration::from_secs(10));
    for (door, call) in world.every_door(GRAPH) {
        assert_passing(door, &call.send().await);
    }
    world.write_token();
    world.emulator.clear_faults();
    world.pass(Duration::from_secs(61)).await;
    let new = world.imds(GRAPH).send().await.token();
    assert_served(&world, &new).await;
}
