//! Issuers: which URLs Entra would dial, keys that rotate, and GitHub's endpoint.

use serde_json::{Value, json};
use unsecret::emulator::PlatformToken;

use super::ask::{Ask, Key, json_of};
use super::world::{AUDIENCE, GITHUB_BEARER, ISSUER, OTHER_ISSUER, SUBJECT, World};

async fn number(world: &World, ask: Ask) -> Value {
    let body: Value = json_of(ask.send(world).await).await;
    body["error_codes"][0].clone()
}

#[tokio::test]
async fn issuers_that_entra_would_not_dial_are_refused_by_their_url() {
    let world = World::new().await;
    for wrong in [
        "http://issuer.example",
        "https://localhost",
        "https://127.0.0.2",
        "https://[::1]/",
        "https://issuer.example?x=1",
        "https://issuer.example#x",
    ] {
        assert_eq!(number(&world, world.federated().claim("iss", wrong)).await, 70022, "{wrong}");
    }
}

#[tokio::test]
async fn an_issuer_with_a_path_and_a_trailing_slash_is_found() {
    let world = World::new().await;
    let token = world.emulator.platform_token(OTHER_ISSUER, &PlatformToken::new(SUBJECT, AUDIENCE)).unwrap();
    let ask = world.federated().form("client_assertion", token.expose());
    assert_eq!(ask.send(&world).await.status(), 200);
}

#[tokio::test]
async fn header_types_that_platforms_write_are_taken_and_an_audience_may_be_a_list_of_one() {
    let world = World::new().await;
    let kubernetes = world.federated().claim("aud", json!([AUDIENCE]));
    for ask in [
        world.federated().header("typ", "JWT"),
        world.federated().header("typ", "http://openid.net/specs/jwt/1.0"),
        kubernetes,
    ] {
        assert_eq!(ask.send(&world).await.status(), 200);
    }
    assert_eq!(number(&world, world.federated().claim("aud", json!([AUDIENCE, "other"]))).await, 700_212);
}

#[tokio::test]
async fn after_a_rotation_the_old_key_is_unknown_and_the_new_one_good() {
    let world = World::new().await;
    let mint = || world.emulator.platform_token(ISSUER, &PlatformToken::new(SUBJECT, AUDIENCE)).unwrap();
    let old = mint();
    world.emulator.rotate_issuer_key(ISSUER).unwrap();
    assert_eq!(number(&world, world.federated().form("client_assertion", old.expose())).await, 7_000_272);
    assert_eq!(world.federated().form("client_assertion", mint().expose()).send(&world).await.status(), 200);
}

#[tokio::test]
async fn a_newline_in_the_token_is_a_wrong_signature() {
    let world = World::new().await;
    let token = world.emulator.platform_token(ISSUER, &PlatformToken::new(SUBJECT, AUDIENCE)).unwrap();
    let broken = format!("{}\n", token.expose());
    assert_eq!(number(&world, world.federated().form("client_assertion", broken)).await, 7_000_274);
}

#[tokio::test]
async fn metadata_without_an_authorization_endpoint_is_fine_and_with_an_empty_one_is_not() {
    let world = World::new().await;
    assert_eq!(world.federated().send(&world).await.status(), 200);
    world.emulator.alter_issuer(ISSUER, "authorization_endpoint", Some(json!(""))).unwrap();
    assert_eq!(number(&world, world.federated()).await, 501_661);
}

#[tokio::test]
async fn a_key_that_is_not_for_signatures_does_not_sign() {
    let world = World::new().await;
    let wrong = world.federated().signed_by(Key::Issuer(OTHER_ISSUER)).header("kid", Value::Null);
    assert_eq!(number(&world, wrong).await, 7_000_272);
}

#[tokio::test]
async fn githubs_endpoint_wants_its_bearer_and_gives_the_owners_audience_when_none_is_asked() {
    let world = World::new().await;
    let url = world.emulator.github_request_url(ISSUER).unwrap();
    assert!(url.contains('?'), "as on a runner: {url}");
    let refused = world.client.get(&url).bearer_auth("another").send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(world.client.get(&url).send().await.unwrap().status(), 401);
    let token = async |url: String| {
        let answer = world.client.get(url).bearer_auth(GITHUB_BEARER).send().await.unwrap();
        json_of(answer).await["value"].as_str().unwrap().to_owned()
    };
    let default = token(url.clone()).await;
    assert_eq!(number(&world, world.federated().form("client_assertion", default)).await, 700_212);
    let asked = token(format!("{url}&audience=api%3A%2F%2FAzureADTokenExchange")).await;
    assert_eq!(world.federated().form("client_assertion", asked).send(&world).await.status(), 200);
}

#[tokio::test]
async fn the_admin_path_mints_what_it_is_told() {
    let world = World::new().await;
    let wish = json!({ "issuer": ISSUER, "subject": SUBJECT, "audience": AUDIENCE, "claims": { "extra": 1 } });
    let url = format!("{}/_platform-token", world.emulator.authority_host());
    let token = world.client.post(&url).body(wish.to_string()).send().await.unwrap().text().await.unwrap();
    assert_eq!(world.federated().form("client_assertion", token).send(&world).await.status(), 200);
    let unknown = json!({ "issuer": "https://nobody.example", "subject": "s", "audience": "a" });
    assert_eq!(world.client.post(&url).body(unknown.to_string()).send().await.unwrap().status(), 400);
}
