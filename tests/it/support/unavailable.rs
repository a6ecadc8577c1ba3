//! What a caller and an operator are told while no token can be had.

use serde_json::Value;
use unsecret::clock::Clock as _;

use super::http::Answer;
use super::world::{GRAPH, World, expires_in};

/// The stable code that an answer names.
pub fn code(answer: &Answer) -> &str {
    let (_, rest) = answer.body.split_once("(unsecret: ").unwrap_or_else(|| panic!("no code in {}", answer.body));
    rest.split_once(')').unwrap().0
}

/// A no for now: 503 in the door's own shape, and soon worth asking again (contract B17).
pub fn assert_passing(door: &str, answer: &Answer) {
    assert_eq!(answer.status, 503, "{door}: {}", answer.body);
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait), "{door}: {wait}");
    assert_eq!(answer.headers["cache-control"], "no-store", "{door}");
    let Value::Object(body) = answer.json() else { panic!("{door}: {}", answer.body) };
    let mut fields: Vec<_> = body.keys().map(String::as_str).collect();
    fields.sort_unstable();
    if door.starts_with("cloud-shell") {
        assert_eq!((fields, &body["error"]["code"]), (vec!["error"], &"temporarily_unavailable".into()));
    } else if door.starts_with("app-service") {
        assert_eq!(fields, ["correlationId", "message", "statusCode"]);
        assert_eq!(body["statusCode"], 503);
    } else {
        let entra = ["correlation_id", "error", "error_codes", "error_description", "timestamp", "trace_id"];
        assert_eq!(fields, entra, "{door}");
        assert_eq!(body["error"], "temporarily_unavailable", "{door}");
    }
}

/// Asks every door, each of which has to say no for now with this code.
pub async fn assert_unavailable(world: &World, wanted: &str) {
    for (door, call) in world.every_door(GRAPH).into_iter().chain(world.more_doors(GRAPH)) {
        let answer = call.send().await;
        assert_passing(door, &answer);
        assert_eq!(code(&answer), wanted, "{door}");
    }
}

/// Asks every door, each of which has to give this token, and at its real age.
pub async fn assert_served(world: &World, token: &str) {
    for (door, call) in world.every_door(GRAPH).into_iter().chain(world.more_doors(GRAPH)) {
        let answer = call.send().await;
        assert_eq!(answer.token(), token, "{door}");
        let left = world.claims(token)["exp"].as_u64().unwrap() - world.clock.now().epoch();
        // Both are rounded down.
        assert!((left - 1..=left).contains(&expires_in(&answer)), "{door}: {} of {left}", expires_in(&answer));
    }
}

/// The line of the identity on `/readyz?verbose`.
pub async fn line(world: &World) -> String {
    let page = world.admin_page("/readyz?verbose").await;
    page.lines().find(|line| line.starts_with("billing: ")).unwrap_or_else(|| panic!("{page}")).to_owned()
}

/// The line once it names a failure, and the code that it names.
pub async fn failure(world: &World) -> (String, String) {
    world
        .until("a failure on /readyz?verbose", async |world| {
            let line = line(world).await;
            let code = line.rsplit_once('[')?.1.split_once(']')?.0.to_owned();
            Some((line, code))
        })
        .await
}

/// How many refreshes have failed in a row.
pub async fn failures(world: &World) -> f64 {
    let series = format!("unsecret_token_consecutive_failures{{identity=\"billing\",resource=\"{GRAPH}\"}}");
    world.metric(&series).await
}
