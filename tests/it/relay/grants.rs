//! The three grants, as they go well.

use serde_json::json;
use unsecret::ids::Guid;

use super::{ADA, OBO, SCOPE, Web, own_api, relays, users_token, world};
use crate::support::far_end::{FarEnd, Reply, ca};
use crate::support::world::{CLIENT, GRAPH, TENANT, World};

/// What Entra saw of the proof, for each request.
fn proofs(world: &World) -> Vec<(&'static str, Option<&'static str>)> {
    world.emulator.journal().iter().map(|entry| (entry.credential, entry.assertion)).collect()
}

#[tokio::test]
async fn a_code_becomes_all_three_tokens_though_the_secret_is_deleted() {
    let world = world().await;
    let web = Web::billing(&world);
    let answer = web.redeem(&web.code(ADA).await).await;
    let access = world.claims(&answer.token());
    let shown = ["aud", "scp", "upn", "appid", "appidacr"].map(|name| access[name].as_str().unwrap());
    assert_eq!(shown, [GRAPH, "User.Read", ADA, CLIENT, "2"], "an assertion proved the application");
    let id = world.claims(&answer.text("id_token"));
    assert_eq!((&id["aud"], &id["nonce"], &id["preferred_username"]), (&json!(CLIENT), &json!("a nonce"), &json!(ADA)));
    assert_eq!(id["iss"], json!(format!("{}/{TENANT}/v2.0", world.emulator.authority_host())), "Entra's, not ours");
    assert!(!answer.text("refresh_token").is_empty());
    assert_eq!(answer.json()["expires_in"], json!(3_600));
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(proofs(&world), [("client_assertion", Some("federated"))]);
    assert_eq!(world.emulator.journal()[0].scope.as_deref(), Some(SCOPE));
    assert!((relays(&world, "authorization_code", "success").await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_refresh_brings_another_refresh_token_each_time_and_is_never_held() {
    let world = world().await;
    let web = Web::billing(&world);
    let mut tokens = vec![web.redeem(&web.code(ADA).await).await.text("refresh_token")];
    for _ in 0..3 {
        let answer = web.refresh(tokens.last().unwrap()).await;
        assert_eq!(world.claims(&answer.token())["upn"], ADA);
        tokens.push(answer.text("refresh_token"));
    }
    let again = web.refresh(&tokens[0]).await;
    assert_ne!(again.text("refresh_token"), tokens[1], "Entra's own answer, not one that was held");
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 4, "rotated");
    assert_eq!(proofs(&world), [("client_assertion", Some("federated")); 5]);
    world.emulator.revoke_sign_ins(ADA).unwrap();
    let refused = web.refresh(&tokens[0]).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error_codes"]), (400, &json!([50_173])));
}

#[tokio::test]
async fn a_users_token_becomes_one_for_the_next_api() {
    let world = world().await;
    let web = Web::billing(&world);
    let answer = web.behalf(&users_token(&world, ADA)).await;
    let claims = world.claims(&answer.token());
    assert_eq!((&claims["upn"], &claims["appid"], &claims["aud"]), (&json!(ADA), &json!(CLIENT), &json!(GRAPH)));
    assert!(answer.json().get("refresh_token").is_none());
    let entry = &world.emulator.journal()[0];
    assert_eq!((entry.grant.as_deref(), entry.credential), (Some(OBO), "client_assertion"));
    assert!((relays(&world, "on_behalf_of", "success").await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn the_secret_that_went_would_have_been_refused() {
    // Or the tests above would prove nothing.
    let world = world().await;
    let caller = Guid::parse(CLIENT).unwrap();
    let token = world.emulator.user_token(ADA, &caller, &own_api()).unwrap();
    let mut fields = super::behalf(token.expose()).to_vec();
    fields.extend([("client_id", CLIENT), ("client_secret", super::SECRET)]);
    let ca = reqwest::Certificate::from_pem(world.emulator.ca_pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
    let url = format!("{}/{TENANT}/oauth2/v2.0/token", world.emulator.authority_host());
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let sent = client.post(url).header("content-type", "application/x-www-form-urlencoded").body(body).send();
    assert_eq!(sent.await.unwrap().status(), 401);
}

#[tokio::test]
async fn entras_answer_comes_back_byte_for_byte_and_the_callers_fields_go_on_in_their_order() {
    let roots = ca("Entra");
    // Spaces, an order, an escape and a field that no program of ours would write.
    let good = r#"{ "id_token" : "x.y.z",  "unheard_of": [1.50, null], "access_token":"t\u00e9","expires_in":3599 }"#;
    let bad = r#"{"suberror":"bad_token","error":"invalid_grant", "error_codes":[70008],"claims":"{\"a\":1}"}"#;
    let replies = [Reply::entra(200, &[("x-ms-ests-server", "1")], good), Reply::entra(400, &[], bad)];
    let entra = FarEnd::start(&roots, replies).await;
    let mut plan = super::plan("[\"*\"]");
    plan.authority_host = Some(entra.host());
    plan.ca_pem = Some(roots.certificate_pem().to_owned());
    let world = World::of(plan).await;
    let web = Web::billing(&world);
    let fields = [("x-first", "1"), ("grant_type", "authorization_code"), ("code", "a+b&c"), ("redirect_uri", "r")];
    let answer = web.ask(&fields).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, good));
    let answer = web.ask(&fields).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (400, bad));
    let seen = entra.seen();
    let sent: Vec<_> = url::form_urlencoded::parse(seen[0].body.as_bytes()).collect();
    let names: Vec<_> = sent.iter().map(|(name, _)| name.as_ref()).collect();
    let ours = ["client_assertion_type", "client_assertion"];
    assert_eq!(names, [&["client_id", "x-first", "grant_type", "code", "redirect_uri"][..], &ours].concat());
    assert_eq!(sent[3].1, "a+b&c");
}
