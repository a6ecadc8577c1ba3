//! `addKey` of the emulator's Graph: for every rule one call that it takes and one that differs in a single thing.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use unsecret::emulator::{GRAPH_RULES, Settings};
use unsecret::ids::Guid;

use super::ask::{Assertion, Key};
use super::world::{CLIENT, GRAPH, LATER, NOW, OTHER_CLIENT, VAULT, World, map, right_secret};

/// A call as data.
#[derive(Clone)]
struct Call {
    token: String,
    object_id: String,
    body: Map<String, Value>,
    /// Signed when it is sent, unless the body has a proof already.
    proof: Assertion,
}

impl Call {
    async fn right(world: &World) -> Self {
        let object_id = world.emulator.application_object_id(&Guid::parse(CLIENT).unwrap()).unwrap();
        let credential = json!({ "type": "AsymmetricX509Cert", "usage": "Verify", "key": STANDARD.encode(&LATER.der) });
        Self {
            token: token(world, CLIENT, GRAPH).await,
            proof: Assertion {
                header: map(json!({ "alg": "RS256", "typ": "JWT", "x5t#S256": world.certified.sha256() })),
                claims: map(json!({
                    "aud": "00000002-0000-0000-c000-000000000000", "iss": object_id.as_str(), "nbf": NOW, "exp": NOW + 600,
                })),
                key: Key::Certified,
            },
            object_id: object_id.to_string(),
            body: map(json!({ "keyCredential": credential, "passwordCredential": null })),
        }
    }

    fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.proof.claims.insert(name.to_owned(), value.into());
        self
    }

    fn body(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    fn credential(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body["keyCredential"][name] = value.into();
        self
    }

    async fn send(&self, world: &World) -> (u16, Value) {
        let mut body = self.body.clone();
        body.entry("proof").or_insert_with(|| self.proof.sign(world).into());
        let url = format!("{}/v1.0/applications/{}/addKey", world.emulator.authority_host(), self.object_id);
        let request = world.client.post(url).bearer_auth(&self.token).header("content-type", "application/json");
        let response = request.body(Value::Object(body).to_string()).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }
}

async fn token(world: &World, client: &str, resource: &str) -> String {
    let scope = format!("{resource}/.default");
    let answer = right_secret().form("client_id", client).form("scope", scope).send(world).await;
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_graph_rule_takes_one_call_and_refuses_another_that_differs_in_one_thing() {
    let lenient = World::new().await;
    let strict = |change: fn(&mut Settings)| World::with(change);
    let company_only = strict(|settings| settings.applications[0].refuse_self_signed = true).await;
    let short = strict(|settings| settings.applications[0].longest_certificate_days = Some(29)).await;
    let good = Call::right(&lenient).await;
    let padded = format!("{}=", good.proof.sign(&lenient));
    let cases = [
        ("graph-bearer", &lenient, Call { token: token(&lenient, CLIENT, VAULT).await, ..good.clone() }),
        ("graph-object", &lenient, Call { object_id: CLIENT.to_owned(), ..good.clone() }),
        ("graph-own", &lenient, Call { token: token(&lenient, OTHER_CLIENT, GRAPH).await, ..good.clone() }),
        ("graph-body", &lenient, good.clone().body("keyCredential", Value::Null)),
        ("proof-encoding", &lenient, good.clone().body("proof", padded)),
        ("proof-audience", &lenient, good.clone().claim("aud", GRAPH)),
        ("proof-issuer", &lenient, good.clone().claim("iss", CLIENT)),
        ("proof-time", &lenient, good.clone().claim("exp", NOW + 601)),
        ("proof-signature", &lenient, {
            let mut call = good.clone();
            call.proof.key = Key::Later;
            call
        }),
        ("key-credential", &lenient, good.clone().credential("usage", "Sign")),
        ("key-end", &lenient, good.clone().credential("key", STANDARD.encode(&lenient.over.der))),
        ("policy-type", &company_only, good.clone()),
        ("policy-life", &short, good.clone()),
    ];
    let named: BTreeSet<_> = cases.iter().map(|(rule, ..)| *rule).collect();
    assert_eq!(named, GRAPH_RULES.iter().map(|rule| rule.name).collect(), "each rule has a case");
    for (name, world, call) in cases {
        let rule = GRAPH_RULES.iter().find(|rule| rule.name == name).unwrap();
        let (status, body) = call.send(world).await;
        assert_eq!((status, body["error"]["code"].as_str()), (rule.status, Some(rule.code)), "{name}: {body}");
    }
    assert_eq!(good.send(&lenient).await.0, 200);
}

#[tokio::test]
async fn a_key_that_was_added_proves_the_application_from_then_on() {
    let world = World::new().await;
    let later = || world.certificate().header("x5t#S256", LATER.sha256()).signed_by(Key::Later);
    assert_eq!(later().send(&world).await.status(), 401);
    let (status, added) = Call::right(&world).await.send(&world).await;
    assert_eq!((status, &added["key"]), (200, &Value::Null), "{added}");
    assert_eq!(later().send(&world).await.status(), 200);
}
