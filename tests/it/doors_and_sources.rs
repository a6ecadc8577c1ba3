//! Every door gives a token whose claims Entra signed, whatever proves who we are (contract B0, B2, B3, B11).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::http::{Answer, Call};
use crate::support::world::{CLIENT, GITHUB_SUBJECT, GRAPH, Plan, SUBJECT, Source, TENANT, VAULT, World, expires_in};

/// The older form of a door: OAuth with HTTP Basic, its key form-encoded or not.
fn older_forms(world: &World) -> Vec<(&'static str, Call)> {
    let key = world.key.secret().expose();
    let basic = |key: &str| {
        let fields = [("grant_type", "client_credentials"), ("scope", "https://graph.microsoft.com/.default")];
        let login = format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{key}")));
        Call::form(world.http(), format!("/{TENANT}/oauth2/v2.0/token"), &fields).header("authorization", &login)
    };
    vec![("oauth v2 basic", basic(key)), ("oauth v2 basic, encoded", basic(&key.replace('_', "%5F")))]
}

#[tokio::test]
async fn every_door_gives_a_signed_token_from_every_source() {
    for source in Source::ALL {
        let world = World::with_source(source).await;
        for (door, call) in
            world.every_door(GRAPH).into_iter().chain(world.more_doors(GRAPH)).chain(older_forms(&world))
        {
            let claims = world.claims(&call.send().await.token());
            assert_eq!(claims["aud"], GRAPH, "{door} {source:?}");
            assert_eq!(claims["tid"], TENANT, "{door} {source:?}");
            assert_eq!(claims["appid"], CLIENT, "{door} {source:?}");
            assert_eq!(claims["appidacr"], "2", "{door} {source:?}: not obtained with a secret");
            assert_eq!(claims["roles"], json!(["Data.Read"]), "{door} {source:?}");
        }
        let journal = world.emulator.journal();
        let (kind, subject) = match source {
            Source::File => ("federated", SUBJECT),
            Source::Github => ("federated", GITHUB_SUBJECT),
            Source::Certificate => ("certificate", CLIENT),
        };
        assert_eq!(journal.len(), 1, "one exchange serves every door");
        assert_eq!(journal[0].credential, "client_assertion");
        assert_eq!(journal[0].assertion, Some(kind));
        assert_eq!(journal[0].subject.as_deref(), Some(subject));
    }
}

#[tokio::test]
async fn a_token_carries_the_claims_that_real_ones_carry() {
    let world = World::new().await;
    let claims = world.claims(&world.imds(GRAPH).send().await.token());
    for name in ["iat", "idp", "nbf", "exp", "uti"] {
        assert!(claims.contains_key(name), "{name}");
    }
    assert_eq!(claims["iss"], format!("https://sts.windows.net/{TENANT}/"));
    assert_eq!(claims["oid"], claims["sub"], "the service principal speaks for itself");
    assert_eq!((&claims["idtyp"], &claims["ver"]), (&json!("app"), &json!("1.0")));
}

#[tokio::test]
async fn every_door_answers_on_the_unix_socket_too() {
    let world = World::of(Plan { unix: true, ..Plan::default() }).await;
    let call = crate::support::world::imds(world.unix(), GRAPH);
    assert_eq!(world.claims(&call.send().await.token())["aud"], GRAPH);
    let path = format!("/msi/token?api-version=2019-08-01&resource={GRAPH}");
    let call = Call::get(world.unix(), path).header("x-identity-header", world.key.secret().expose());
    assert_eq!(world.claims(&call.send().await.token())["aud"], GRAPH);
    let (scope, key) = (format!("{GRAPH}/.default"), world.key.secret().expose());
    let fields =
        [("grant_type", "client_credentials"), ("client_id", CLIENT), ("client_secret", key), ("scope", &scope)];
    let call = Call::form(world.unix(), format!("/{TENANT}/oauth2/v2.0/token"), &fields);
    assert_eq!(world.claims(&call.send().await.token())["aud"], GRAPH);
}

/// Each field of the body and its JSON type, in no order.
fn shape(answer: &Answer) -> Vec<(String, &'static str)> {
    let Value::Object(fields) = answer.json() else { panic!("not an object") };
    let kind = |value: &Value| match value {
        Value::String(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => "digits in text",
        Value::String(_) => "text",
        Value::Number(number) if number.is_u64() => "integer",
        _ => "something else",
    };
    let mut shape: Vec<_> = fields.iter().map(|(name, value)| (name.clone(), kind(value))).collect();
    shape.sort();
    shape
}

fn owned(shape: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    shape.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
}

#[tokio::test]
async fn the_managed_identity_body_is_the_universal_one_on_all_their_doors() {
    let world = World::new().await;
    let [older, shell, keyed, _] = world.more_doors(GRAPH).try_into().unwrap();
    for call in [world.imds(GRAPH), world.app_service(GRAPH), older.1, shell.1, keyed.1] {
        let answer = call.send().await;
        let expected = [
            ("access_token", "text"),
            ("client_id", "text"),
            ("expires_in", "digits in text"),
            ("expires_on", "digits in text"),
            ("ext_expires_in", "digits in text"),
            ("not_before", "digits in text"),
            ("refresh_token", "text"),
            ("resource", "text"),
            ("token_type", "text"),
        ];
        assert_eq!(shape(&answer), owned(&expected));
        assert_eq!(answer.text("client_id"), CLIENT);
        assert_eq!(answer.text("resource"), GRAPH);
        assert_eq!(answer.text("token_type"), "Bearer");
        assert_eq!(answer.text("refresh_token"), "");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn oauth_v2_answers_numbers_and_v1_answers_text() {
    let world = World::new().await;
    let v2 =
        [("access_token", "text"), ("expires_in", "integer"), ("ext_expires_in", "integer"), ("token_type", "text")];
    assert_eq!(shape(&world.oauth(GRAPH).send().await), owned(&v2));
    let v1 = [
        ("access_token", "text"),
        ("expires_in", "digits in text"),
        ("expires_on", "digits in text"),
        ("ext_expires_in", "digits in text"),
        ("not_before", "digits in text"),
        ("resource", "text"),
        ("token_type", "text"),
    ];
    assert_eq!(shape(&world.oauth_v1(GRAPH).send().await), owned(&v1));
}

#[tokio::test]
async fn refresh_in_reaches_the_oauth_door_as_a_number_that_falls() {
    let plan = Plan { application: "token_lifetime = \"8h\"\nrefresh_in = \"4h\"".to_owned(), ..Plan::default() };
    let world = World::of(plan).await;
    let first = world.oauth(GRAPH).send().await.json()["refresh_in"].as_u64().unwrap();
    world.pass(Duration::from_secs(1_000)).await;
    let second = world.oauth(GRAPH).send().await.json()["refresh_in"].as_u64().unwrap();
    assert!((1_000..=1_005).contains(&(first - second)), "{first} then {second}");
}

#[tokio::test]
async fn expires_in_falls_with_time_and_expires_on_stands_on_every_door() {
    let world = World::new().await;
    let mut before = Vec::new();
    for (_, call) in world.every_door(GRAPH) {
        before.push(call.send().await);
    }
    world.pass(Duration::from_secs(1_000)).await;
    for ((door, call), before) in world.every_door(GRAPH).into_iter().zip(before) {
        let after = call.send().await;
        assert_eq!(after.token(), before.token(), "{door}");
        // The clock runs along with the machine's, so a slow machine sees some seconds more.
        let fell = expires_in(&before) - expires_in(&after);
        assert!((1_000..=1_005).contains(&fell), "{door}: fell by {fell}");
        assert_eq!(before.json().get("expires_on"), after.json().get("expires_on"), "{door}");
    }
}

#[tokio::test]
async fn a_trailing_slash_is_echoed_and_sent_upstream_as_asked() {
    let world = World::new().await;
    let resource = format!("{VAULT}/");
    let answer = world.imds(&resource).send().await;
    assert_eq!(answer.text("resource"), resource);
    let journal = world.emulator.journal();
    assert_eq!(journal.last().unwrap().scope.as_deref(), Some("https://vault.azure.net//.default"));
}
