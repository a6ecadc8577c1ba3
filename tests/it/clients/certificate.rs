//! msal with a certificate: the emulator takes what it sends, and what we send differs from it only in a list (contract A6).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use unsecret::assertion::{AssertionSource as _, CertificateSource, Credential, Wanted};
use unsecret::clock::SystemClock;
use unsecret::signer::Algorithm;

use crate::support::python;
use crate::support::world::{CLIENT, GRAPH, Plan, Source, TENANT, World, client};

#[tokio::test]
async fn msal_with_a_certificate_is_accepted_by_the_emulator() {
    let Some(python) = python::interpreter() else { return };
    let world = World::of(Plan { source: Source::Certificate, ..Plan::default() }).await;
    let input = json!({
        "client_id": CLIENT,
        "authority": format!("{}/{TENANT}", world.emulator.authority_host()),
        "key": read(&world, "billing.key"),
        "certificate": read(&world, "billing.pem"),
        "scope": format!("{GRAPH}/.default"),
        "ca": world.path("ca.pem"),
    });
    let answer = python::run(&python, "msal_certificate.py", &[], &input).await;
    let token = answer["token"].as_str().unwrap_or_else(|| panic!("refused: {}", answer["error"]));
    assert_eq!(world.claims(token)["appid"], CLIENT);
    let journal = world.emulator.journal();
    assert_eq!(journal.last().unwrap().assertion, Some("certificate"));
}

/// Where our assertion may differ from msal's, and why. Everything else must be equal.
const ALLOWED: [(&str, &str); 6] = [
    ("header.x5t#S256", "msal pads the base64url; compared below without the padding (contract A6)"),
    ("header.x5c", "msal sends the certificate along only when asked to; Entra does not need it"),
    ("claims.jti", "fresh each time, by definition"),
    ("claims.iat", "the moment of signing"),
    ("claims.nbf", "msal sends none; ours allows for skew (contract A6)"),
    ("claims.exp", "the moment of signing, plus the same ten minutes, less our skew"),
];

#[tokio::test]
async fn our_assertion_equals_the_one_of_msal_but_for_a_list() {
    let Some(python) = python::interpreter() else { return };
    let world = World::of(Plan { source: Source::Certificate, ..Plan::default() }).await;
    let authority = format!("https://login.microsoftonline.com/{TENANT}");
    let input = json!({
        "client_id": CLIENT,
        "authority": authority,
        "key": read(&world, "billing.key"),
        "certificate": read(&world, "billing.pem"),
        "scope": format!("{GRAPH}/.default"),
    });
    let answer = python::run(&python, "msal_certificate.py", &[], &input).await;
    let theirs = fields(answer["assertion"].as_str().unwrap());
    let ours = fields(&our_assertion(&world, &format!("{authority}/oauth2/v2.0/token")).await);

    let names: std::collections::BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
    for name in names {
        if !ALLOWED.iter().any(|(allowed, _)| allowed == name) {
            assert_eq!(ours.get(name), theirs.get(name), "{name}");
        }
    }
    let thumbprint =
        |fields: &Map<String, Value>| fields["header.x5t#S256"].as_str().unwrap().trim_end_matches('=').to_owned();
    assert_eq!(thumbprint(&ours), thumbprint(&theirs));
    let life = |fields: &Map<String, Value>, from: &str| {
        fields["claims.exp"].as_f64().unwrap() - fields[from].as_f64().unwrap()
    };
    assert!((life(&theirs, "claims.iat") - life(&ours, "claims.nbf")).abs() < 1.5, "both live ten minutes");
}

async fn our_assertion(world: &World, token_url: &str) -> String {
    let credential = Credential::from_files(&world.path("billing.pem"), &world.path("billing.key"), None).unwrap();
    let clock = Arc::new(SystemClock::new());
    let source = CertificateSource::open(client(), Algorithm::Ps256, vec![credential], clock).await.unwrap();
    let assertion = source.assertion(Wanted { token_url, refused: &[] }).await.unwrap();
    assertion.jwt.expose().to_owned()
}

/// Header and claims, by dotted names.
pub fn fields(jwt: &str) -> Map<String, Value> {
    let mut fields = Map::new();
    for (part, name) in jwt.split('.').zip(["header", "claims"]) {
        let Value::Object(part) = serde_json::from_slice(&decoded(part)).unwrap() else { panic!("no object") };
        fields.extend(part.into_iter().map(|(field, value)| (format!("{name}.{field}"), value)));
    }
    fields
}

fn decoded(part: &str) -> Vec<u8> {
    let engines = [&URL_SAFE_NO_PAD, &URL_SAFE, &STANDARD];
    engines.iter().find_map(|engine| engine.decode(part).ok()).unwrap()
}

fn read(world: &World, name: &str) -> String {
    std::fs::read_to_string(world.path(name)).unwrap()
}
