//! The grants that carry a user, from the browser to the next API (contract A14).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use unsecret::emulator::Fault;
use unsecret::ids::Guid;
use unsecret::secret::Fingerprint;

use super::ask::{Ask, json_of};
use super::world::{ADA, CLIENT, GRAPH, NOW, OTHER_CLIENT, REDIRECT, SECRET, TENANT, VAULT, VERIFIER, World};
use crate::support::browser::Browser;

pub(super) const OBO: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const SCOPE: &str = "openid profile offline_access User.Read";

/// What a right authorize request says.
pub(super) fn right_visit(client: &str, redirect: &str, user: &str) -> BTreeMap<&'static str, String> {
    [
        ("client_id", client),
        ("redirect_uri", redirect),
        ("response_type", "code"),
        ("scope", SCOPE),
        ("state", "a state"),
        ("nonce", "a nonce"),
        ("login_hint", user),
        ("code_challenge", &Fingerprint::of(VERIFIER.as_bytes()).base64url()),
        ("code_challenge_method", "S256"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

pub(super) fn authorize_url(world: &World) -> String {
    format!("{}/{TENANT}/oauth2/v2.0/authorize", world.emulator.authority_host())
}

async fn code_of(world: &World, client: &str, redirect: &str, user: &str) -> String {
    let visit = right_visit(client, redirect, user);
    Browser::of(&world.emulator).visit(&authorize_url(world), &visit).await.code()
}

pub(super) async fn code(world: &World, client: &str, redirect: &str) -> String {
    code_of(world, client, redirect, ADA).await
}

/// The redemption of a code.
pub(super) fn redeem(code: &str) -> Ask {
    form(&[("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT)])
        .form("code_verifier", VERIFIER)
}

pub(super) async fn right_code(world: &World) -> Ask {
    redeem(&code_of(world, CLIENT, REDIRECT, ADA).await)
}

pub(super) async fn refresh_token(world: &World, client: &str, user: &str) -> String {
    let ask = redeem(&code_of(world, client, REDIRECT, user).await).form("client_id", client);
    text(&accepted(world, ask).await, "refresh_token")
}

pub(super) fn right_refresh(token: &str) -> Ask {
    form(&[("grant_type", "refresh_token"), ("refresh_token", token)])
}

pub(super) fn right_behalf(world: &World) -> Ask {
    let scope = format!("api://{CLIENT}/access_as_user");
    let token = world.emulator.user_token(ADA, &Guid::parse(OTHER_CLIENT).unwrap(), &scope).unwrap();
    form(&[("grant_type", OBO), ("assertion", token.expose()), ("requested_token_use", "on_behalf_of")])
        .form("scope", format!("{GRAPH}/User.Read"))
}

fn form(fields: &[(&'static str, &str)]) -> Ask {
    let ask = Ask::new(TENANT, "oauth2/v2.0/token").form("client_secret", SECRET);
    fields.iter().fold(ask, |ask, (name, value)| ask.form(name, *value))
}

async fn accepted(world: &World, ask: Ask) -> Value {
    let body = json_of(ask.send(world).await).await;
    assert!(body.get("error").is_none(), "{body}");
    body
}

fn text(body: &Value, name: &str) -> String {
    body[name].as_str().unwrap_or_else(|| panic!("no {name}")).to_owned()
}

#[tokio::test]
async fn a_user_signs_in_and_the_client_gets_all_three_tokens() {
    let world = World::new().await;
    let visit = right_visit(CLIENT, REDIRECT, ADA);
    let visit = Browser::of(&world.emulator).visit(&authorize_url(&world), &visit).await;
    assert_eq!((visit.status, visit.parameter("state").as_deref()), (302, Some("a state")));
    let body = accepted(&world, redeem(&visit.code())).await;
    assert_eq!(body["scope"], json!("openid profile https://graph.microsoft.com/User.Read"));
    assert_eq!(body["expires_in"], json!(3_600));
    let access = world.emulator.verify(&text(&body, "access_token")).unwrap();
    let shown = ["aud", "scp", "upn", "appid", "appidacr", "tid", "ver"].map(|name| access[name].as_str().unwrap());
    assert_eq!(shown, [GRAPH, "User.Read", ADA, CLIENT, "1", TENANT, "1.0"]);
    let id = world.emulator.verify(&text(&body, "id_token")).unwrap();
    let issuer = format!("{}/{TENANT}/v2.0", world.emulator.authority_host());
    let shown = ["aud", "iss", "nonce", "preferred_username", "tid"].map(|name| id[name].as_str().unwrap());
    assert_eq!(shown, [CLIENT, &issuer, "a nonce", ADA, TENANT]);
    assert_eq!((&id["oid"], &id["exp"]), (&access["oid"], &json!(NOW + 3_600)));
}

#[tokio::test]
async fn an_assertion_in_place_of_the_secret_shows_in_the_users_token() {
    let world = World::new().await;
    let mut ask = right_code(&world).await.without("client_secret");
    ask.assertion = world.certificate().assertion;
    let ask = ask.form("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let body = accepted(&world, ask).await;
    assert_eq!(world.emulator.verify(&text(&body, "access_token")).unwrap()["appidacr"], "2");
}

#[tokio::test]
async fn a_refresh_gives_a_new_refresh_token_and_the_old_one_lives_on_as_at_entra() {
    let world = World::new().await;
    let first = refresh_token(&world, CLIENT, ADA).await;
    let body = accepted(&world, right_refresh(&first)).await;
    let second = text(&body, "refresh_token");
    assert_ne!(first, second);
    assert!(world.emulator.verify(&text(&body, "id_token")).unwrap().get("nonce").is_none());
    for token in [&first, &second] {
        accepted(&world, right_refresh(token)).await;
    }
    world.emulator.revoke_sign_ins(ADA).unwrap();
    let refused = json_of(right_refresh(&second).send(&world).await).await;
    assert_eq!(refused["error_codes"], json!([50_173]));
}

#[tokio::test]
async fn a_users_token_becomes_one_for_the_next_api_and_a_refresh_token_only_when_asked_for() {
    let world = World::new().await;
    let body = accepted(&world, right_behalf(&world)).await;
    assert!(body.get("refresh_token").is_none() && body.get("id_token").is_none());
    let claims = world.emulator.verify(&text(&body, "access_token")).unwrap();
    assert_eq!((claims["appid"].as_str(), claims["upn"].as_str()), (Some(CLIENT), Some(ADA)));
    let offline = right_behalf(&world).form("scope", format!("{GRAPH}/.default offline_access"));
    accepted(&world, right_refresh(&text(&accepted(&world, offline).await, "refresh_token"))).await;
}

#[tokio::test]
async fn a_refusal_carries_the_suberror_and_the_claims_that_a_client_has_to_see() {
    let world = World::new().await;
    let ask = right_behalf(&world).form("scope", format!("{GRAPH}/Mail.Send"));
    assert_eq!(json_of(ask.send(&world).await).await["suberror"], "consent_required");
    world.emulator.set_fault(None, Fault::Interact { number: 50_076 });
    let body = json_of(right_behalf(&world).send(&world).await).await;
    assert_eq!((&body["error"], &body["error_codes"]), (&json!("interaction_required"), &json!([50_076])));
    assert!(text(&body, "claims").contains("polids"));
}

#[tokio::test]
async fn the_v1_endpoint_asks_by_resource_and_answers_in_texts() {
    let world = World::new().await;
    let mut ask = right_code(&world).await.form("resource", VAULT);
    ask.path = "oauth2/token";
    let body = accepted(&world, ask).await;
    assert_eq!((&body["resource"], &body["expires_in"]), (&json!(VAULT), &json!("3600")));
    assert!(text(&body, "scope").ends_with("user_impersonation") && !text(&body, "id_token").is_empty());
    accepted(&world, right_refresh(&text(&body, "refresh_token")).form("scope", SCOPE)).await;
}

#[tokio::test]
async fn the_journal_knows_the_grant_and_no_code_token_or_verifier() {
    let world = World::new().await;
    let ask = right_code(&world).await;
    let mut hidden = vec![ask.form["code"].clone(), VERIFIER.to_owned()];
    let body = accepted(&world, ask).await;
    hidden.extend(["access_token", "id_token", "refresh_token"].map(|name| text(&body, name)));
    accepted(&world, right_refresh(&text(&body, "refresh_token"))).await;
    let behalf = right_behalf(&world);
    hidden.push(behalf.form["assertion"].clone());
    accepted(&world, behalf).await;
    let journal = world.emulator.journal();
    let grants: Vec<_> = journal.iter().filter_map(|entry| entry.grant.as_deref()).collect();
    assert_eq!(grants, ["authorization_code", "refresh_token", OBO]);
    let shown = serde_json::to_string(&journal).unwrap() + &format!("{journal:?} {:?}", world.emulator);
    for secret in hidden {
        assert!(!shown.contains(&secret), "the journal shows a secret");
    }
}
