//! What of on-behalf-of is held, for whom and how long (contract A14). Each rule is tried by itself in `broker/relay/tests.rs`.

use std::time::Duration;

use serde_json::{Value, json};
use unsecret::emulator::Fault;

use super::{ADA, BOB, Web, behalf, relays, users_token, world};
use crate::support::http::Answer;

const CHALLENGE: &str = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;

fn times(answer: &Answer) -> [u64; 2] {
    let json = answer.json();
    ["expires_in", "ext_expires_in"].map(|name| json[name].as_u64().unwrap_or_else(|| panic!("no {name}")))
}

/// The answer but for its times.
fn rest(answer: &Answer) -> Value {
    let mut json = answer.json();
    for name in ["expires_in", "ext_expires_in"] {
        json.as_object_mut().unwrap().remove(name);
    }
    json
}

#[tokio::test]
async fn a_second_ask_is_answered_without_entra_and_only_the_times_have_gone_on() {
    let world = world().await;
    let (web, token) = (Web::billing(&world), users_token(&world, ADA));
    let first = web.behalf(&token).await;
    world.pass(Duration::from_secs(100)).await;
    let second = web.behalf(&token).await;
    assert_eq!(rest(&second), rest(&first));
    assert_eq!(times(&second), times(&first).map(|seconds| seconds - 100));
    assert_eq!(world.exchanges(), 1);
    assert!((relays(&world, "on_behalf_of", "held").await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn another_users_token_is_another_entry() {
    let world = world().await;
    let web = Web::billing(&world);
    for _ in 0..2 {
        for user in [ADA, BOB] {
            let answer = web.behalf(&users_token(&world, user)).await;
            assert_eq!(world.claims(&answer.token())["upn"], user);
        }
    }
    // A token of the same user with another text is another entry too: each of the four was exchanged.
    assert_eq!(world.exchanges(), 4);
    let tokens = [ADA, BOB].map(|user| users_token(&world, user));
    for token in tokens.iter().chain(&tokens) {
        web.behalf(token).await.token();
    }
    assert_eq!(world.exchanges(), 6);
}

#[tokio::test]
async fn a_challenge_passes_by_what_is_held_and_a_refused_one_leaves_it() {
    let world = world().await;
    let (web, token) = (Web::billing(&world), users_token(&world, ADA));
    let held = web.behalf(&token).await.token();
    let mut challenged = behalf(&token).to_vec();
    challenged.push(("claims", CHALLENGE));
    world.emulator.set_fault_for(1, None, Fault::Interact { number: 50_079 });
    assert_eq!(web.ask(&challenged).await.json()["error_codes"], json!([50_079]));
    assert_eq!(web.behalf(&token).await.token(), held, "not discarded before the new one is there");
    let fresh = web.ask(&challenged).await.token();
    assert_ne!(fresh, held);
    assert_eq!(web.behalf(&token).await.token(), fresh);
    assert_eq!(world.exchanges(), 3);
}

#[tokio::test]
async fn an_answer_with_a_refresh_token_is_asked_for_each_time() {
    let world = world().await;
    let (web, token) = (Web::billing(&world), users_token(&world, ADA));
    let mut offline = behalf(&token);
    offline[3].1 = "https://graph.microsoft.com/User.Read offline_access";
    let one = web.ask(&offline).await.text("refresh_token");
    assert_ne!(web.ask(&offline).await.text("refresh_token"), one);
    assert_eq!(world.exchanges(), 2);
}

#[tokio::test]
async fn near_its_end_an_answer_is_asked_for_anew() {
    let world = world().await;
    let web = Web::billing(&world);
    let token = users_token(&world, ADA);
    let first = web.behalf(&token).await.token();
    world.pass(Duration::from_secs(3_299)).await;
    assert_eq!(web.behalf(&token).await.token(), first);
    world.pass(Duration::from_secs(2)).await;
    world.write_token();
    assert_ne!(web.behalf(&token).await.token(), first);
}
