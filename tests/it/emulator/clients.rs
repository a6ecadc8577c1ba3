//! What shipping clients send differently, and Entra takes (contract A3, A6); what comes back (contract A4, A5).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};
use unsecret::ids::Guid;

use super::ask::{Ask, Key, json_of};
use super::world::{CLIENT, DOMAIN, LATER, NOW, SECRET, TENANT, World, right_secret, right_v1};

async fn accepted(world: &World, ask: Ask, what: &str) -> Value {
    let response = ask.send(world).await;
    let status = response.status();
    let body: Value = json_of(response).await;
    assert_eq!(status, 200, "{what}: {body}");
    body
}

#[tokio::test]
async fn the_ways_in_which_libraries_write_certificate_assertions_are_taken() {
    let world = World::new().await;
    let (good, der) = (|| world.certificate(), &world.certified.der);
    let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let sha1 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    let unprinted = || good().header("x5t#S256", Value::Null);
    let python = good().claim("iat", 1_800_000_000.25).claim("exp", 1_800_000_600.25).claim("nbf", Value::Null);
    accepted(&world, python, "Python writes floats and no nbf").await;
    let asynchronous = good().header("x5t#S256", URL_SAFE.encode(sha256.as_ref())).claim("exp", NOW + 1_800);
    accepted(&world, asynchronous, "Python async pads base64url and lives 30 minutes").await;
    accepted(&world, good().header("x5t#S256", STANDARD.encode(sha256.as_ref())), "Go writes standard base64").await;
    let net = good().claim("nbf", NOW.to_string()).claim("exp", (NOW + 600).to_string());
    accepted(&world, net.header("x5c", STANDARD.encode(der)), ".NET writes texts and a single x5c").await;
    accepted(&world, good().header("x5c", json!([STANDARD.encode(der)])), "JS writes a list").await;
    accepted(&world, good().header("alg", "RS256"), "Java signs RS256 with x5t#S256").await;
    let old = unprinted().header("alg", "RS256").header("x5t", URL_SAFE.encode(sha1.as_ref()));
    accepted(&world, old, "Rust signs RS256 with x5t").await;
    for alg in ["RS384", "RS512"] {
        accepted(&world, good().header("alg", alg), alg).await;
    }
    let hex = sha1.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02X}"));
    accepted(&world, unprinted().header("kid", hex), "kid alone").await;
}

#[tokio::test]
async fn both_spellings_of_the_tenant_and_of_the_host_are_taken_in_path_and_audience() {
    let world = World::new().await;
    let mut ask = world.certificate();
    ask.tenant = DOMAIN.to_uppercase();
    accepted(&world, ask, "a domain in capitals").await;
    let port = world.emulator.address().port();
    let audience = format!("https://127.0.0.1:{port}/{DOMAIN}/oauth2/v2.0/token");
    accepted(&world, world.certificate().claim("aud", audience), "another host of ours").await;
    for wrong in [
        format!("https://localhost:{port}/{TENANT}/oauth2/token"),
        format!("https://localhost/{TENANT}/oauth2/v2.0/token"),
        format!("http://localhost:{port}/{TENANT}/oauth2/v2.0/token"),
        format!("https://localhost:{port}/{TENANT}/oauth2/v2.0/token?x"),
        format!("https://localhost:{port}/{TENANT}/v2.0"),
    ] {
        let body: Value = json_of(world.certificate().claim("aud", wrong.clone()).send(&world).await).await;
        assert_eq!(body["error_codes"], json!([700_023]), "{wrong}");
    }
}

#[tokio::test]
async fn unknown_headers_and_fields_are_ignored_and_a_charset_is_no_obstacle() {
    let world = World::new().await;
    let correlation = Guid::random();
    let body = right_secret()
        .form("scope", "https://graph.microsoft.com/.default")
        .form("x-client-SKU", "msal.js.node")
        .form("client_info", "2")
        .form("client-request-id", correlation.as_str());
    let body = body.form("claims", r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#).body(&world);
    let request = world.client.post(world.token_url()).header("x-anms-nothing", "1");
    let request = request.header("content-type", "Application/x-www-form-urlencoded;Charset=UTF-8");
    let response = request.header("return-client-request-id", "true").body(body).send().await.unwrap();
    assert_eq!(response.headers()["client-request-id"], correlation.as_str());
    let body: Value = json_of(response).await;
    let claims = world.emulator.verify(body["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(claims["xms_cc"], json!(["CP1"]));
    let basic = right_secret().without("client_id").without("client_secret").body(&world);
    let request = world.client.post(world.token_url()).basic_auth(CLIENT, Some(SECRET)).body(basic);
    let response = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_v2_answer_has_numbers_a_v1_answer_has_texts_and_both_tokens_verify() {
    let world = World::new().await;
    let mut v2 = accepted(&world, world.federated(), "v2").await;
    let token = v2["access_token"].take();
    assert_eq!(v2, json!({ "token_type": "Bearer", "expires_in": 3600, "ext_expires_in": 3600, "access_token": null }));
    let claims = world.emulator.verify(token.as_str().unwrap()).unwrap();
    let shown = ["aud", "tid", "appid", "appidacr", "idtyp", "ver"].map(|name| claims[name].as_str().unwrap());
    assert_eq!(shown, ["https://vault.azure.net", TENANT, CLIENT, "2", "app", "1.0"]);
    assert_eq!((&claims["exp"], &claims["roles"]), (&json!(NOW + 3_600), &json!(["Data.Read"])));
    assert_eq!(claims["oid"], claims["sub"]);
    let mut v1 = accepted(&world, right_v1(), "v1").await;
    let token = v1["access_token"].take();
    let (on, before) = ((NOW + 3_600).to_string(), (NOW - 300).to_string());
    assert_eq!(
        v1,
        json!({ "token_type": "Bearer", "expires_in": "3600", "ext_expires_in": "3600", "expires_on": on,
            "not_before": before, "resource": "https://vault.azure.net", "access_token": null })
    );
    assert_eq!(world.emulator.verify(token.as_str().unwrap()).unwrap()["appidacr"], "1");
    let altered = token.as_str().unwrap().replacen('.', ".e", 1);
    assert!(world.emulator.verify(&altered).is_err());
}

#[tokio::test]
async fn a_doubled_slash_asks_for_the_resource_with_its_slash() {
    let world = World::new().await;
    let ask = right_secret().form("scope", "https://database.windows.net//.default");
    let body = accepted(&world, ask, "doubled slash").await;
    let claims = world.emulator.verify(body["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(claims["aud"], "https://database.windows.net/");
}

#[tokio::test]
async fn the_published_key_verifies_the_published_documents_tokens() {
    let world = World::new().await;
    let url = format!("{}/{DOMAIN}/v2.0/.well-known/openid-configuration", world.emulator.authority_host());
    let document: Value = json_of(world.client.get(url).send().await.unwrap()).await;
    assert_eq!(document["token_endpoint"], world.token_url());
    let keys: Value = json_of(world.client.get(document["jwks_uri"].as_str().unwrap()).send().await.unwrap()).await;
    let body = accepted(&world, right_secret(), "secret").await;
    let header = jsonwebtoken::decode_header(body["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(keys["keys"][0]["kid"], header.kid.unwrap());
}

#[tokio::test]
async fn a_deleted_secret_is_refused_and_an_uploaded_certificate_accepted() {
    let world = World::new().await;
    let client = Guid::parse(CLIENT).unwrap();
    world.emulator.remove_secret(&client).unwrap();
    let body: Value = json_of(right_secret().send(&world).await).await;
    assert_eq!(body["error_codes"], json!([7_000_215]));
    let later = || world.certificate().header("x5t#S256", LATER.sha256()).signed_by(Key::Later);
    assert_eq!(json_of(later().send(&world).await).await["error_codes"], json!([700_027]));
    world.emulator.add_certificate(&client, &LATER.pem).unwrap();
    accepted(&world, later(), "uploaded").await;
    assert!(world.emulator.add_certificate(&client, "no certificate").is_err());
    assert!(world.emulator.remove_secret(&Guid::random()).is_err());
}

#[tokio::test]
async fn replayed_assertions_are_accepted_when_the_settings_say_so() {
    let world = World::with(|settings| settings.accept_replayed_assertions = true).await;
    let ask = world.certificate();
    for _ in 0..2 {
        accepted(&world, ask.clone(), "Python and JS send one assertion for several scopes").await;
    }
}
