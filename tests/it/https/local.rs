//! Certificates under the local CA, from the configuration to the handshake.

use std::time::Duration;

use crate::support::tls::Tls;
use crate::support::world::{GRAPH, Plan, World};

const DAY: Duration = Duration::from_secs(86_400);

fn plan() -> Plan {
    Plan { https: true, ..Plan::default() }
}

/// How many roots the file of roots has.
fn roots(world: &World) -> usize {
    std::fs::read_to_string(world.roots()).unwrap().matches("BEGIN CERTIFICATE").count()
}

#[tokio::test]
async fn a_client_that_trusts_the_roots_gets_a_token_by_every_name() {
    let listen = "hosts = [\"sidecar.internal\"]\n".to_owned();
    let world = World::of(Plan { listen, ..plan() }).await;
    for name in ["localhost", "127.0.0.1", "::1", "sidecar.internal"] {
        let answer = world.imds(GRAPH).at(world.tls().named(name)).send().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
    let answer = world.oauth(GRAPH).at(world.tls()).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn another_name_is_refused_by_the_client_and_by_the_guard() {
    let world = World::of(plan()).await;
    let refused = world.tls().named("login.microsoftonline.com").connect().await.unwrap_err();
    assert!(refused.to_string().contains("not valid for name"), "{refused}");
    let answer = world.imds(GRAPH).at(world.tls()).header("host", "login.microsoftonline.com").send().await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(answer.body.contains("host-not-ours"), "{}", answer.body);
}

#[tokio::test]
async fn a_host_taken_over_is_a_name_over_tls_and_not_without() {
    let listen = "takeover = [\"login.example.com\"]\n".to_owned();
    let world = World::of(Plan { listen, ..plan() }).await;
    let tls = world.tls().named("login.example.com");
    assert_eq!(world.oauth(GRAPH).at(tls).send().await.status, 200);
    let plain = world.oauth(GRAPH).header("host", "login.example.com").send().await;
    assert_eq!(plain.status, 403, "{}", plain.body);
}

#[tokio::test]
async fn a_root_of_another_broker_is_worth_nothing_here() {
    let (one, other) = (World::of(plan()).await, World::of(plan()).await);
    let refused = Tls::new(one.https(), &other.roots(), one.clock.clone()).connect().await.unwrap_err();
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
}

#[tokio::test]
async fn clients_that_started_before_the_next_root_came_go_on_for_95_days() {
    let world = World::of(plan()).await;
    let (before, end) = (world.tls(), world.metric(END).await);
    world.clock.advance(DAY * 241);
    world.app.poke().await;
    world.until("the next root", async |world| (roots(world) == 2).then_some(())).await;
    before.connect().await.unwrap();
    world.pass(DAY * 90).await;
    before.connect().await.unwrap();
    let after = world.tls();
    world.pass(DAY * 5).await;
    world.until("the next certificate", async |world| (world.metric(END).await > end).then_some(())).await;
    let refused = before.connect().await.unwrap_err();
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    after.connect().await.unwrap();
}

const END: &str = "unsecret_https_certificate_not_after_timestamp_seconds";

#[tokio::test]
async fn a_reload_takes_new_names_over_and_refuses_another_address() {
    let mut world = World::of(plan()).await;
    let before = world.tls();
    assert!(before.named("sidecar.internal").connect().await.is_err());
    world.plan.listen = "hosts = [\"sidecar.internal\"]\n".to_owned();
    world.reload().await.unwrap();
    assert_eq!(world.imds(GRAPH).at(world.tls().named("sidecar.internal")).send().await.status, 200);
    // Who started before needs no restart for the names of before.
    assert_eq!(world.imds(GRAPH).at(before).send().await.status, 200);
    world.plan.https = false;
    world.plan.listen = format!("{}https = \"127.0.0.1:1\"\n", world.plan.listen);
    world.plan.more = String::new();
    let refused = world.reload().await.unwrap_err().to_string();
    assert!(refused.contains("listen.https") || refused.contains("state_dir"), "{refused}");
}

#[tokio::test]
async fn the_page_of_metrics_says_when_the_certificate_ends() {
    let world = World::of(plan()).await;
    let left = world.metric(END).await - std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((left / 86_400.0 - 365.0).abs() < 1.0, "{left}");
    let plain = World::new().await;
    assert!(!plain.admin_page("/metrics").await.contains(END));
}
