//! Tokens that a resource may challenge (contract A10).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use unsecret::ids::Guid;

use super::ask::{Ask, json_of};
use super::world::{CLIENT, GRAPH, VAULT, World, right_secret};

const CAPABLE: &str = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;

async fn token(world: &World, ask: Ask) -> (String, Value) {
    let body = json_of(ask.send(world).await).await;
    (body["access_token"].as_str().unwrap().to_owned(), body["expires_in"].clone())
}

fn ask(resource: &str, claims: &str) -> Ask {
    right_secret().form("scope", format!("{resource}/.default")).form("claims", claims)
}

#[tokio::test]
async fn a_revoked_token_is_challenged_and_the_one_that_answers_the_challenge_passes() {
    let world = World::new().await;
    let client = Guid::parse(CLIENT).unwrap();
    let (old, life) = token(&world, ask(GRAPH, CAPABLE)).await;
    assert_eq!((life, world.emulator.challenge(&old)), (json!(86_400), None));
    let (ordinary, _) = token(&world, ask(GRAPH, "{}")).await;
    world.emulator.revoke_tokens(&client).unwrap();
    let header = world.emulator.challenge(&old).unwrap();
    assert!(header.contains("error=\"insufficient_claims\""), "{header}");
    assert_eq!(world.emulator.challenge(&ordinary), None, "an ordinary token lives to its end");
    let encoded = header.split("claims=\"").nth(1).unwrap().trim_end_matches('"');
    let mut claims: Value = serde_json::from_slice(&STANDARD.decode(encoded).unwrap()).unwrap();
    claims["access_token"]["xms_cc"] = json!({ "values": ["CP1"] });
    let (new, _) = token(&world, ask(GRAPH, &claims.to_string())).await;
    let url = format!("{}/v1.0/organization", world.emulator.authority_host());
    for (token, status) in [(&old, 401), (&new, 200), (&"no token".to_owned(), 401)] {
        let answer = world.client.get(&url).bearer_auth(token).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers().contains_key("www-authenticate")),
            (status, status == 401)
        );
    }
}

#[tokio::test]
async fn another_resource_and_an_application_of_many_tenants_get_ordinary_tokens() {
    let many = World::with(|settings| settings.applications[0].multi_tenant = true).await;
    let one = World::new().await;
    for (world, resource) in [(&one, VAULT), (&many, GRAPH)] {
        let (token, life) = token(world, ask(resource, CAPABLE)).await;
        assert_eq!(life, json!(3_600));
        assert!(world.emulator.verify(&token).unwrap().get("xms_cc").is_none());
    }
}
