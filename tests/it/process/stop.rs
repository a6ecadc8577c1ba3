//! SIGTERM and SIGINT: nobody who is being served is cut off.

use rustix::process::Signal;
use unsecret::emulator::Fault;

use super::Running;
use crate::support::http::Call;
use crate::support::world::{GRAPH, Plan, World, until};

#[tokio::test]
async fn answers_under_way_are_finished_and_the_status_is_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let world = World::of(Plan { fault: Some(Fault::Hold), ..Plan::default() }).await;
        let broker = Running::of(&world).await;
        let (http, caller) = (broker.http, tokio::spawn(broker.imds(GRAPH).send()));
        until("the exchange is under way", async || (world.exchanges() == 1).then_some(())).await;
        broker.signal(signal);
        until("no new connections", async || Call::get(http, "/").try_send().await.err()).await;
        world.emulator.clear_faults();
        world.claims(&caller.await.unwrap().token());
        assert_eq!(broker.end().await.code(), Some(0));
    }
}

#[tokio::test]
async fn during_the_drain_time_it_is_not_ready_and_still_answers() {
    let world = World::of(Plan { listen: "drain = \"5s\"".to_owned(), ..Plan::default() }).await;
    let broker = Running::of(&world).await;
    broker.until_ready().await;
    broker.signal(Signal::TERM);
    let told = until("not ready", async || Some(broker.page("/readyz").await).filter(|page| page.status == 503)).await;
    assert_eq!(told.body, "not ready: the process is going down\n");
    broker.imds(GRAPH).send().await.token();
    assert_eq!(broker.end().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_drain_time() {
    let world = World::of(Plan { listen: "drain = \"1h\"".to_owned(), unix: true, ..Plan::default() }).await;
    let socket = world.path("second.sock");
    let text = world.config_text().replacen("broker.sock", "second.sock", 1);
    let config = super::put(&world, "config.toml", &text);
    let broker = Running::start(super::unsecret(&["run", "--config", &config])).await;
    broker.signal(Signal::TERM);
    broker.until_says("stopping after the drain time").await;
    // A reload is no reason to hurry.
    broker.signal(Signal::HUP);
    assert!(socket.exists());
    broker.signal(Signal::INT);
    assert_eq!(broker.end().await.code(), Some(0));
    assert!(!socket.exists(), "the socket's file goes with it");
}
