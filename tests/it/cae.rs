//! Continuous access evaluation through the doors: who gets a token that its resource can revoke, and what a challenge or a
//! refused token does (contract A10, B8). The rules of forced refreshes are tried one by one in `broker/forced.rs`.

use serde_json::json;
use unsecret::emulator::Fault;
use unsecret::secret::Fingerprint;

use crate::support::http::{Answer, Call};
use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, VAULT, World, encoded};

const CAPABILITY: &str = r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#;
/// As clients send it: what Graph answered, merged with the capability.
const CHALLENGE: &str =
    r#"{"access_token":{"nbf":{"essential":true,"value":"1604106651"},"xms_cc":{"values":["CP1"]}}}"#;

/// A request on the OAuth door with `claims`.
fn asked(world: &World, resource: &str, claims: &str) -> Call {
    let scope = format!("{resource}/.default");
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("client_secret", world.key.secret().expose()),
        ("scope", &scope),
        ("claims", claims),
    ];
    Call::form(world.http(), format!("/{TENANT}/oauth2/v2.0/token"), &fields)
}

fn print(token: &str) -> String {
    Fingerprint::of(token.as_bytes()).hex()
}

async fn assert_refused(call: Call, status: u16, code: &str) {
    let Answer { status: told, body, .. } = call.send().await;
    assert_eq!(told, status, "{body}");
    assert!(body.contains(code), "{body}");
}

#[tokio::test]
async fn who_declares_cp1_gets_a_token_that_graph_can_revoke_and_nobody_else_does() {
    let world = World::new().await;
    let revocable = |token: &str| world.claims(token).get("xms_cc") == Some(&json!(["CP1"]));
    let capable = asked(&world, GRAPH, CAPABILITY).send().await.token();
    assert!(revocable(&capable));
    assert_eq!(asked(&world, GRAPH, CAPABILITY).send().await.token(), capable, "held as any other");
    for (door, call) in world.every_door(GRAPH) {
        assert!(!revocable(&call.send().await.token()), "{door}");
    }
    for call in [world.imds(GRAPH), world.app_service(GRAPH)] {
        let declared = call.query("xms_cc=cp1").query(&format!("claims={}", encoded(CAPABILITY)));
        assert!(!revocable(&declared.send().await.token()), "managed-identity clients answer no challenge");
    }
    assert_eq!(world.exchanges(), 2, "one for each kind");
    let vault = asked(&world, VAULT, CAPABILITY).send().await.token();
    assert!(!revocable(&vault), "the ordinary one, as Entra gives it");
    assert_eq!(world.imds(VAULT).send().await.token(), vault);
}

#[tokio::test]
async fn a_challenge_brings_a_new_token_to_all_who_can_take_one() {
    let world = World::new().await;
    let ordinary = world.imds(GRAPH).send().await.token();
    let revoked = asked(&world, GRAPH, CAPABILITY).send().await.token();
    let fresh = asked(&world, GRAPH, CHALLENGE).send().await.token();
    assert_ne!(fresh, revoked);
    assert_eq!(world.claims(&fresh)["xms_cc"], json!(["CP1"]), "the capability went upstream beside the challenge");
    assert_eq!(asked(&world, GRAPH, CAPABILITY).send().await.token(), fresh);
    assert_eq!(world.imds(GRAPH).send().await.token(), ordinary, "its own slot, and its own token");
    let counted = world.metric(r#"unsecret_forced_refreshes_total{identity="billing",reason="claims"}"#).await;
    assert!((counted - 1.0).abs() < f64::EPSILON, "{counted}");
}

#[tokio::test]
async fn a_hundred_challenges_at_once_are_one_exchange() {
    let world = World::new().await;
    asked(&world, GRAPH, CAPABILITY).send().await.token();
    world.emulator.set_fault(None, Fault::Hold);
    let calls: Vec<_> = (0..100).map(|_| tokio::spawn(asked(&world, GRAPH, CHALLENGE).send())).collect();
    world.until("one exchange", async |world| (world.exchanges() == 2).then_some(())).await;
    world.emulator.clear_faults();
    let mut tokens = Vec::new();
    for call in calls {
        tokens.push(call.await.unwrap().token());
    }
    tokens.dedup();
    assert_eq!((tokens.len(), world.exchanges()), (1, 2));
}

#[tokio::test]
async fn a_forced_refresh_that_fails_leaves_the_token_to_the_others() {
    let world = World::of(Plan { standing: true, ..Plan::default() }).await;
    let held = asked(&world, GRAPH, CAPABILITY).send().await.token();
    world.emulator.set_fault(None, Fault::Status { status: 503, retry_after: Some(5) });
    let answer = asked(&world, GRAPH, CHALLENGE).send().await;
    assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()), (503, "5"));
    assert_eq!(asked(&world, GRAPH, CAPABILITY).send().await.token(), held);
    let asked_before = world.exchanges();
    assert_eq!(asked(&world, GRAPH, CHALLENGE).send().await.status.as_u16(), 503);
    assert_eq!(world.exchanges(), asked_before, "told at once, and Entra left alone");
}

#[tokio::test]
async fn a_challenge_for_anything_but_graph_or_at_another_door_is_refused_with_the_reason() {
    let world = World::new().await;
    assert_refused(asked(&world, VAULT, CHALLENGE), 400, "claims-challenge-unsupported").await;
    for call in [world.imds(GRAPH), world.app_service(GRAPH)] {
        let call = call.query(&format!("claims={}", encoded(CHALLENGE)));
        assert_refused(call, 400, "claims-challenge-unsupported").await;
    }
    assert_refused(asked(&world, GRAPH, "cp1"), 400, "claims-malformed").await;
    assert_eq!(world.exchanges(), 0);
}

#[tokio::test]
async fn managed_identity_clients_name_the_token_that_was_refused_and_get_a_newer_one() {
    let world = World::new().await;
    let doors = [world.imds(GRAPH), world.app_service(GRAPH)];
    let first = world.imds(GRAPH).send().await.token();
    let refused = |call: &Call, token: &str| call.clone().query(&format!("token_sha256_to_refresh={}", print(token)));
    let second = refused(&doors[0], &first).send().await.token();
    assert_ne!(second, first);
    for call in &doors {
        assert_eq!(refused(call, &first).send().await.token(), second, "the caller had an older one");
        assert_eq!(refused(call, "never ours").query("xms_cc=cp1").send().await.token(), second);
        assert_refused(refused(call, &second), 503, "token-just-replaced").await;
        let malformed = call.clone().query("token_sha256_to_refresh=12ab");
        assert_refused(malformed, 400, "token-hash-malformed").await;
    }
    assert_eq!(world.exchanges(), 2, "one forced refresh, whatever was asked since");
    let wrong = world.imds(VAULT).query("bypass_cache=true");
    let (one, two) = (wrong.clone().send().await.token(), wrong.send().await.token());
    assert_eq!(one, two, "at most one in half a minute");
}

#[tokio::test]
async fn two_slots_of_one_resource_are_one_series_and_two_entries_of_the_readiness_page() {
    let world = World::new().await;
    world.imds(GRAPH).send().await.token();
    asked(&world, GRAPH, CAPABILITY).send().await.token();
    let page = world.admin_page("/metrics").await;
    let series = format!(r#"unsecret_token_expiry_timestamp_seconds{{identity="billing",resource="{GRAPH}"}}"#);
    assert_eq!(page.lines().filter(|line| line.starts_with(&series)).count(), 1, "{page}");
    let ready = world.admin_page("/readyz?verbose").await;
    assert!(ready.contains(&format!("; {GRAPH} held for")), "{ready}");
    assert!(ready.contains(&format!("; {GRAPH} (cp1) held for")), "{ready}");
}
