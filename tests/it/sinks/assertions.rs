//! Assertions in files: what Entra's twin takes from a program that never saw the key.

use unsecret::emulator::Fault;

use super::*;
use crate::support::world::{CLIENT, GRAPH, Source, TENANT};

const SINK: &str = "file = \"{folder}/assertion\"\nassertion = true";

fn plan(source: Source) -> Plan {
    Plan { source, ..with_sinks(&[SINK]) }
}

/// Posts the file's content to the emulator, as a client that knows nothing else does.
async fn exchanged(world: &World, assertion: &str) -> (u16, serde_json::Value) {
    let ca = reqwest::Certificate::from_pem(world.emulator.ca_pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
        ("scope", "https://graph.microsoft.com/.default"),
    ];
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let url = format!("{}/{TENANT}/oauth2/v2.0/token", world.emulator.authority_host());
    let request = client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

#[tokio::test]
async fn the_emulator_takes_every_sources_assertion_from_a_program_that_never_saw_a_key() {
    for source in Source::ALL {
        let world = World::of(plan(source)).await;
        world.until_ready().await;
        let assertion = read(&world.path("assertion"));
        assert_eq!(assertion.trim(), assertion, "Python and Go would send the newline along");
        let exchanges = world.exchanges();
        let (status, answer) = exchanged(&world, &assertion).await;
        assert_eq!(status, 200, "{source:?}: {answer}");
        let claims = world.claims(answer["access_token"].as_str().unwrap());
        assert_eq!((&claims["appid"], &claims["aud"]), (&CLIENT.into(), &GRAPH.into()));
        assert_eq!(world.exchanges(), exchanges + 1, "{source:?}: the broker itself asked for nothing");
    }
}

#[tokio::test]
async fn what_we_sign_lives_half_an_hour_and_is_good_for_ten_minutes_after_each_of_ten_rewrites() {
    let world = World::of(plan(Source::Certificate)).await;
    world.until_ready().await;
    let path = world.path("assertion");
    let mut held = read(&path);
    assert_eq!(left(&world, &held), 1_800);
    for rewrite in 0..10 {
        world.pass(Duration::from_secs(600)).await;
        let next = until_replaced(&path, &held).await;
        // What a client read a moment ago, and keeps for ten minutes.
        assert!(left(&world, &held) >= 600, "{rewrite}: {}", left(&world, &held));
        let (status, answer) = exchanged(&world, &held).await;
        assert_eq!(status, 200, "{rewrite}: {answer}");
        held = next;
    }
}

#[tokio::test]
async fn a_platform_that_fails_leaves_the_last_good_assertion() {
    let world = World::of(plan(Source::File)).await;
    world.until_ready().await;
    let path = world.path("assertion");
    let before = read(&path);
    world.put_token("half a tok");
    world.pass(Duration::from_secs(1_600)).await;
    until("the failure is told", async || {
        let page = world.admin_page("/readyz?verbose").await;
        page.contains("/assertion of billing: good for 2000 s").then_some(())?;
        page.contains("[assertion-incomplete]").then_some(())
    })
    .await;
    assert_eq!(read(&path), before);
    world.write_token();
    world.pass(PAUSE).await;
    assert!(left(&world, &until_replaced(&path, &before).await) > 3_000);
}

#[tokio::test]
async fn an_assertion_needs_no_entra() {
    let world = World::of(Plan { fault: Some(Fault::Outage), ..plan(Source::Certificate) }).await;
    world.until_ready().await;
    assert_eq!(left(&world, &read(&world.path("assertion"))), 1_800);
    assert_eq!(world.exchanges(), 0);
}
