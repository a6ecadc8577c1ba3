//! Faults on demand, over the Rust API and over the admin path; and what the journal says about it all.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use unsecret::emulator::{Emulator, Fault, Settings, Verdict};
use unsecret::ids::Guid;

use super::ask::json_of;
use super::world::{CLIENT, GITHUB_BEARER, NOW, SECRET, World, right_secret, right_v1};

/// Sends a right request and gives status, `Retry-After` and body.
async fn answer(world: &World) -> (u16, Option<String>, String) {
    let response = right_secret().send(world).await;
    let wait = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), wait, response.text().await.unwrap())
}

#[tokio::test]
async fn faults_for_the_next_requests_are_played_in_order_and_then_all_is_well() {
    let world = World::new().await;
    let emulator = &world.emulator;
    emulator.set_fault_for(1, None, Fault::Throttle { retry_after: Some(7) });
    emulator.set_fault_for(1, None, Fault::Status { status: 503, retry_after: None });
    emulator.set_fault_for(1, None, Fault::Propagation);
    emulator.set_fault_for(1, None, Fault::Refuse { number: 50196, error: "invalid_request".into(), status: 400 });
    emulator.set_fault_for(1, None, Fault::Html { status: 200 });
    emulator.set_fault_for(1, None, Fault::Garbage);
    let (status, wait, body) = answer(&world).await;
    assert_eq!((status, wait.as_deref()), (429, Some("7")));
    assert!(body.contains("\"error_codes\":[90055]"), "{body}");
    assert_eq!(answer(&world).await.0, 503);
    let (status, _, body) = answer(&world).await;
    assert!(status == 401 && body.contains("AADSTS700213: "), "{body}");
    assert!(answer(&world).await.2.contains("\"error_codes\":[50196]"));
    assert!(answer(&world).await.2.starts_with("<!DOCTYPE html>"));
    assert!(serde_json::from_str::<Value>(&answer(&world).await.2).is_err());
    assert_eq!(answer(&world).await.0, 200);
    let verdicts: Vec<_> = emulator.journal().into_iter().map(|entry| entry.verdict).collect();
    let played = ["throttle", "status", "propagation", "refuse", "html", "garbage"].map(Verdict::Fault);
    assert_eq!(verdicts[..6], played);
    assert_eq!(verdicts[6], Verdict::Token);
}

#[tokio::test]
async fn a_slow_body_is_right_in_the_end_and_a_huge_one_is_huge() {
    let world = World::new().await;
    world.emulator.set_fault_for(1, None, Fault::SlowBody { pause_ms: 0 });
    let (status, _, body) = answer(&world).await;
    assert_eq!(status, 200);
    assert!(serde_json::from_str::<Value>(&body).unwrap()["access_token"].is_string());
    world.emulator.set_fault_for(1, None, Fault::HugeBody { bytes: 3_000_000 });
    assert_eq!(answer(&world).await.2.len(), 3_000_000);
}

#[tokio::test]
async fn a_reset_and_an_outage_give_no_answer_and_end_when_cleared() {
    let world = World::new().await;
    world.emulator.set_fault_for(1, None, Fault::Reset);
    assert!(try_send(&world).await.is_err());
    world.emulator.set_fault(None, Fault::Outage);
    assert!(try_send(&world).await.is_err());
    world.emulator.clear_faults();
    assert_eq!(try_send(&world).await.unwrap(), StatusCode::OK);
}

async fn try_send(world: &World) -> Result<StatusCode, reqwest::Error> {
    let request = world.client.post(world.token_url()).body(right_secret().body(world));
    let sent = request.header("content-type", "application/x-www-form-urlencoded").send().await;
    sent.map(|response| response.status())
}

#[tokio::test]
async fn an_outage_of_one_application_leaves_the_others_served() {
    let world = World::new().await;
    world.emulator.set_fault(Some(&Guid::parse(super::world::OTHER_CLIENT).unwrap()), Fault::Outage);
    assert_eq!(try_send(&world).await.unwrap(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_on_hold_is_in_the_journal_and_is_answered_when_the_fault_is_cleared() {
    let world = World::new().await;
    world.emulator.set_fault(None, Fault::Hold);
    let held = right_secret();
    let (status, ()) = tokio::join!(async { held.send(&world).await.status() }, async {
        while world.emulator.journal().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.emulator.journal()[0].verdict, Verdict::Open);
        world.emulator.clear_faults();
    });
    assert_eq!(status, 200);
    assert_eq!(world.emulator.journal().len(), 1);
    assert!(world.emulator.journal()[0].is_token());
}

#[tokio::test]
async fn a_client_that_gives_up_on_a_hanging_request_does_not_hold_up_the_next() {
    let world = World::new().await;
    world.emulator.set_fault_for(1, None, Fault::Hang);
    let hanging = right_secret();
    tokio::select! {
        response = hanging.send(&world) => panic!("answered with {}", response.status()),
        () = async {
            while world.emulator.journal().is_empty() {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    assert_eq!(answer(&world).await.0, 200);
}

#[tokio::test]
async fn a_clock_offset_makes_a_fresh_assertion_expired_and_moves_the_answers_clock() {
    let world = World::new().await;
    world.emulator.set_fault(None, Fault::ClockOffset { seconds: 3_600 });
    let response = world.federated().send(&world).await;
    assert_eq!(response.headers()["date"], "Fri, 15 Jan 2027 09:00:00 GMT");
    let body: Value = json_of(response).await;
    assert_eq!(body["error_codes"], json!([700_024]));
    assert_eq!(body["timestamp"], "2027-01-15 09:00:00Z");
}

#[tokio::test]
async fn the_injected_clock_decides_what_has_expired() {
    let world = World::new().await;
    let (ask, body) = (world.federated(), right_secret());
    let token: Value = json_of(body.send(&world).await).await;
    world.clock.advance(Duration::from_secs(3_600));
    assert_eq!(ask.send(&world).await.status(), 401);
    assert!(world.emulator.verify(token["access_token"].as_str().unwrap()).is_err());
}

#[tokio::test]
async fn the_admin_path_ends_an_outage_that_it_began() {
    let world = World::with(|settings| settings.admin = Some(([127, 0, 0, 1], 0).into())).await;
    let admin = format!("http://{}", world.emulator.admin_address().unwrap());
    let fault = json!({ "fault": { "kind": "outage" } }).to_string();
    let set = world.client.post(format!("{admin}/_faults")).body(fault).send().await.unwrap();
    assert_eq!(set.status(), 204);
    assert!(try_send(&world).await.is_err());
    let listed = world.client.get(format!("{admin}/_faults")).send().await.unwrap().text().await.unwrap();
    assert_eq!(listed, r#"[{"application":null,"fault":{"kind":"outage"},"requests":null}]"#);
    assert_eq!(world.client.delete(format!("{admin}/_faults")).send().await.unwrap().status(), 204);
    assert_eq!(try_send(&world).await.unwrap(), StatusCode::OK);
    let wrong = world.client.post(format!("{admin}/_faults")).body("{}").send().await.unwrap();
    assert_eq!(wrong.status(), 400);
}

#[tokio::test]
async fn the_journal_tells_what_entra_saw_and_no_credential() {
    let world = World::new().await;
    for ask in [right_secret(), world.certificate(), world.federated(), right_v1()] {
        assert_eq!(ask.send(&world).await.status(), 200);
    }
    let url = format!("{}/_journal", world.emulator.authority_host());
    let text = world.client.get(url).send().await.unwrap().text().await.unwrap();
    let entries: Value = serde_json::from_str(&text).unwrap();
    let seen = |index: usize| {
        let entry = &entries[index];
        [&entry["credential"], &entry["assertion"], &entry["algorithm"], &entry["endpoint"], &entry["scope"]]
            .map(Value::clone)
    };
    let scope = "https://vault.azure.net/.default";
    assert_eq!(seen(0), [json!("client_secret"), Value::Null, Value::Null, json!("v2"), json!(scope)]);
    assert_eq!(seen(1), [json!("client_assertion"), json!("certificate"), json!("PS256"), json!("v2"), json!(scope)]);
    assert_eq!(seen(2), [json!("client_assertion"), json!("federated"), json!("RS256"), json!("v2"), json!(scope)]);
    assert_eq!(seen(3)[3..], [json!("v1"), json!("https://vault.azure.net")]);
    assert_eq!((&entries[0]["time"], &entries[0]["client_id"]), (&json!(NOW), &json!(CLIENT)));
    assert!(entries[0]["headers"].as_array().unwrap().contains(&json!("content-type")));
    for secret in [SECRET, GITHUB_BEARER, "eyJ", "x-www-form-urlencoded"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_dropped_or_stopped_emulator_gives_its_port_back() {
    let clock = || std::sync::Arc::new(unsecret::clock::SystemClock::new());
    let first = Emulator::start(Settings::default(), clock()).await.unwrap();
    let again = Settings { listen: first.address(), ..Settings::default() };
    assert!(Emulator::start(again.clone(), clock()).await.is_err());
    first.stop().await;
    let second = Emulator::start(again.clone(), clock()).await.unwrap();
    drop(second);
    // The runtime drops the aborted listener when it next runs.
    while Emulator::start(again.clone(), clock()).await.is_err() {
        tokio::task::yield_now().await;
    }
}
