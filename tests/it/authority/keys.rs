//! The keys of a tenant (JWKS): Entra's own, had through the identity's way out and held.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::task::JoinSet;

use super::{Authority, assert_unknown_tenant, text};
use crate::support::far_end::{self, FarEnd, Reply};
use crate::support::http::{Answer, Call};
use crate::support::world::{GRAPH, Plan, TENANT, World};

const HOUR: Duration = Duration::from_secs(3_600);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(30);

fn keys(kid: &str) -> Reply {
    Reply::entra(200, &[], &format!(r#"{{"keys":[{{"kid":"{kid}","kty":"RSA"}}]}}"#))
}

/// A world whose Entra says what it is told, and the clock stands.
async fn scripted(replies: impl IntoIterator<Item = Reply>) -> (World, FarEnd) {
    let ca = far_end::ca("keys");
    let entra = FarEnd::start(&ca, replies).await;
    let plan = Plan {
        authority_host: Some(entra.host()),
        ca_pem: Some(ca.certificate_pem().to_owned()),
        standing: true,
        ..Plan::default()
    };
    (World::of(plan).await, entra)
}

async fn ask(world: &World) -> Answer {
    let [authority] = &Authority::of(world)[..] else { panic!("one authority") };
    authority.get(&format!("{}/{TENANT}/discovery/v2.0/keys", authority.origin)).await
}

/// The first key's name.
fn kid(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    text(&answer.json()["keys"][0], "kid").to_owned()
}

/// On a loaded machine the new ones may come after the two seconds that are waited for them.
async fn until_replaced(world: &World) {
    world.until("new keys", async |world| (kid(&ask(world).await) == "two").then_some(())).await;
}

#[tokio::test]
async fn the_keys_are_entras_and_check_what_entra_signs() {
    let world = World::new().await;
    let direct = world.emulator.authority_host();
    for authority in Authority::of(&world) {
        let base = format!("{}/{TENANT}", authority.origin);
        let document = authority.document(&format!("{base}/v2.0/.well-known/openid-configuration")).await;
        assert!(!text(&document, "jwks_uri").starts_with(&direct));
        let keys = authority.document(text(&document, "jwks_uri")).await;
        let token = world.oauth(GRAPH).send().await.token();
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        let kids: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| text(key, "kid")).collect();
        assert!(kids.contains(&text(&header, "kid")), "{kids:?}");
        assert_eq!(authority.document(&format!("{base}/discovery/keys")).await, keys, "v1 has the same");
        assert_unknown_tenant(&authority.get(&format!("{}/common/discovery/v2.0/keys", authority.origin)).await);
    }
}

#[tokio::test]
async fn keys_are_asked_for_once_an_hour_and_replaced_when_entra_has_others() {
    let (world, entra) = scripted([keys("one"), keys("two")]).await;
    for _ in 0..3 {
        assert_eq!(kid(&ask(&world).await), "one");
    }
    assert_eq!(entra.seen().len(), 1);
    assert!(entra.seen()[0].head.starts_with(&format!("GET /{TENANT}/discovery/v2.0/keys ")), "{:?}", entra.seen());
    world.clock.advance(HOUR);
    until_replaced(&world).await;
    assert_eq!(entra.seen().len(), 2);
}

#[tokio::test]
async fn a_failure_takes_no_good_keys_away_and_is_not_repeated_at_once() {
    let (world, entra) = scripted([keys("one"), Reply::Reset]).await;
    assert_eq!(kid(&ask(&world).await), "one");
    for bad in [
        Reply::Reset,
        Reply::http(200, &[("content-type", "text/html")], "<html>sign in to the wifi</html>"),
        Reply::entra(200, &[], r#"{"keys":"none"}"#),
        Reply::entra(500, &[], "{}"),
    ] {
        entra.then([bad]);
        world.clock.advance(HOUR);
        let before = entra.seen().len();
        for _ in 0..3 {
            assert_eq!(kid(&ask(&world).await), "one");
        }
        assert_eq!(entra.seen().len(), before + 1);
    }
    entra.then([keys("two")]);
    world.clock.advance(PAUSE);
    until_replaced(&world).await;
}

#[tokio::test]
async fn who_asks_before_there_are_any_keys_is_told_when_to_come_back() {
    let (world, entra) = scripted([Reply::Reset]).await;
    for _ in 0..2 {
        let answer = ask(&world).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.headers["retry-after"], "5");
        assert_eq!(answer.text("error"), "temporarily_unavailable");
        assert!(answer.text("error_description").contains("tenant-keys-missing"), "{}", answer.body);
    }
    assert_eq!(entra.seen().len(), 1, "one try in thirty seconds");
    entra.then([keys("one")]);
    world.clock.advance(PAUSE);
    assert_eq!(kid(&ask(&world).await), "one");
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_request() {
    let (world, entra) = scripted([keys("one"), Reply::Reset]).await;
    let url = format!("/{TENANT}/discovery/v2.0/keys");
    let mut asking: JoinSet<_> = (0..20).map(|_| Call::get(world.http(), url.clone()).send()).collect();
    while let Some(answer) = asking.join_next().await {
        assert_eq!(kid(&answer.unwrap()), "one");
    }
    assert_eq!(entra.seen().len(), 1);
}

#[tokio::test]
async fn a_reload_keeps_the_keys_that_are_held() {
    let (world, entra) = scripted([keys("one"), Reply::Reset]).await;
    assert_eq!(kid(&ask(&world).await), "one");
    world.reload().await.unwrap();
    assert_eq!(kid(&ask(&world).await), "one");
    assert_eq!(entra.seen().len(), 1);
}
