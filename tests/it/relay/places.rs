//! The other places where a web application may ask: the v1 endpoint, over TLS, behind the token proxy, with HTTP Basic.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::{ADA, REDIRECT, VERIFIER, Web, behalf, plan, redemption, users_token, without_secret, world};
use crate::support::http::Call;
use crate::support::world::{CLIENT, Plan, TENANT, VAULT};

#[tokio::test]
async fn the_v1_endpoint_asks_by_resource_and_answers_in_texts() {
    let world = without_secret(plan(&format!("[\"{VAULT}/.default\"]"))).await;
    let web = Web { path: format!("/{TENANT}/oauth2/token"), ..Web::billing(&world) };
    let code = web.code(ADA).await;
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    let refused = web.ask(&fields).await;
    assert!(refused.text("error_description").contains("(unsecret: relay-scope-missing)"), "{}", refused.body);
    fields.push(("resource", VAULT));
    let answer = web.ask(&fields).await;
    assert_eq!(world.claims(&answer.token())["aud"], VAULT);
    assert_eq!(answer.json()["expires_in"], json!("3600"), "v1's own spelling");
    let entry = &world.emulator.journal()[0];
    assert_eq!((entry.endpoint, entry.credential), ("v1", "client_assertion"));
    let refresh = answer.text("refresh_token");
    let again = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("resource", VAULT)];
    assert_eq!(web.ask(&again).await.status, 200);
}

#[tokio::test]
async fn over_tls_a_user_signs_in_as_well() {
    let world = without_secret(Plan { https: true, ..plan("[\"*\"]") }).await;
    let web = Web { place: world.tls().into(), ..Web::billing(&world) };
    let answer = web.redeem(&web.code(ADA).await).await;
    assert_eq!(world.claims(&answer.token())["upn"], ADA);
    assert_eq!(web.refresh(&answer.text("refresh_token")).await.status, 200);
    assert_eq!(web.behalf(&users_token(&world, ADA)).await.status, 200);
}

#[tokio::test]
async fn behind_the_token_proxy_the_key_stands_where_the_assertion_was() {
    let listen = "doors = [\"oauth\", \"token-proxy\"]".to_owned();
    let world = without_secret(Plan { listen, ..plan("[\"*\"]") }).await;
    let key = world.key.secret().expose();
    let token = users_token(&world, ADA);
    let own = [
        ("client_id", CLIENT),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", key),
    ];
    let fields: Vec<_> = own.into_iter().chain(behalf(&token)).collect();
    let call = Call::form(world.http(), format!("/token-proxy/{TENANT}/oauth2/v2.0/token"), &fields);
    let first = call.clone().send().await.token();
    assert_eq!(world.claims(&first)["upn"], ADA);
    assert_eq!(call.send().await.token(), first);
    let assertion = world.emulator.journal()[0].assertion;
    assert_eq!((world.exchanges(), assertion), (1, Some("federated")), "Entra sees our own assertion");
}

#[tokio::test]
async fn the_key_may_come_in_http_basic() {
    let world = world().await;
    let web = Web::billing(&world);
    let code = web.code(ADA).await;
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{}", web.key)));
    let call = Call::form(world.http(), web.path.clone(), &redemption(&code)).header("authorization", &basic);
    assert_eq!(world.claims(&call.send().await.token())["upn"], ADA);
    let entry = &world.emulator.journal()[0];
    assert_eq!(
        (entry.credential, entry.headers.iter().any(|name| name == "authorization")),
        ("client_assertion", false)
    );
}
