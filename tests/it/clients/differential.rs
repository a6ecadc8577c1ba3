//! The same msal asks Entra with a secret and the broker with a local key: what it hears differs only where [`MAY_DIFFER`] says.
//!
//! The program is `differential.py`: it prints for each question what came over the wire (`status`, `content-type`,
//! `body`) and what msal made of it (`msal`).

use serde_json::{Map, Value, json};

use super::program::Runtime;
use super::web_app::roots_of_both;
use crate::relay::{ADA, BOB, REDIRECT, SECRET, plan, users_token};
use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, World};

/// A resource that the configuration has and Entra has not.
const UNKNOWN: &str = "https://nowhere.example";

/// Fields whose values may differ, and why.
const MAY_DIFFER: [(&str, &str); 11] = [
    ("access_token", "each is signed anew, and says which kind of proof was shown"),
    ("id_token", "each is signed anew"),
    ("id_token_claims", "msal's reading of it"),
    ("refresh_token", "each is another"),
    ("expires_in", "a second may pass, and a held token is older"),
    ("ext_expires_in", "the same"),
    ("correlation_id", "each request has its own"),
    ("trace_id", "the same"),
    ("timestamp", "a second may pass"),
    ("error_description", "the ids and the time stand in it; of the application's own tokens it is the broker's"),
    ("error_uri", "Entra's page about its own number: a refusal of the broker's has none"),
];

async fn heard(world: &World, host: &str, secret: &str) -> Option<Value> {
    let program = Runtime::Python.program()?;
    let asked = json!({
        "client": "msal",
        "authority": format!("{host}/{TENANT}"),
        "client_id": CLIENT,
        "client_secret": secret,
        "scope": format!("{GRAPH}/.default"),
        "unknown_scope": format!("{UNKNOWN}/.default"),
        "next_scope": format!("{GRAPH}/User.Read"),
        "withheld_scope": format!("{GRAPH}/Mail.Send"),
        "redirect_uri": REDIRECT,
        "user": ADA,
        "users_token": users_token(world, BOB),
    });
    let Value::Object(asked) = asked else { unreachable!() };
    Some(program.beside("differential.py").say(&Runtime::Python.trust(&roots_of_both(world)), &asked).await)
}

/// Names of the fields in which two objects differ.
fn differences<'a>(one: &'a Map<String, Value>, other: &'a Map<String, Value>) -> Vec<&'a str> {
    let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
    names.filter(|name| one.get(*name) != other.get(*name)).map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn msal_hears_the_same_from_the_broker_as_from_entra() {
    let mut plan = Plan { https: true, standing: false, ..plan("[\"*\"]") };
    plan.scopes.push(UNKNOWN);
    let world = World::of(plan).await;
    let broker = format!("https://localhost:{}", world.https().port());
    let Some(direct) = heard(&world, &world.emulator.authority_host(), SECRET).await else { return };
    let through = heard(&world, &broker, world.key.secret().expose()).await.unwrap();
    let proofs: Vec<_> = world.emulator.journal().iter().map(|entry| entry.credential).collect();
    assert_eq!(
        proofs,
        [["client_secret"; 7], ["client_assertion"; 7]].concat(),
        "asked as often in the one way as the other"
    );
    let questions = direct.as_object().unwrap();
    assert_eq!(questions.len(), 7);
    for (question, entra) in questions {
        let ours = &through[question];
        for part in ["status", "content-type"] {
            assert_eq!(entra[part], ours[part], "{question}: {part}");
        }
        for part in ["body", "msal"] {
            let [entra, ours] = [entra, ours].map(|heard| heard[part].as_object().unwrap());
            for field in differences(entra, ours) {
                let listed = MAY_DIFFER.iter().any(|(name, _)| *name == field);
                let there = field == "error_uri" || entra.contains_key(field) && ours.contains_key(field);
                assert!(listed && there, "{question}: `{field}` of the {part} differs");
            }
        }
    }
}

#[test]
fn a_difference_is_seen_in_either_direction() {
    let [one, other] = [json!({"a": 1, "b": 2, "c": 3}), json!({"a": 1, "b": 3, "d": 4})];
    assert_eq!(differences(one.as_object().unwrap(), other.as_object().unwrap()), ["b", "c", "d"]);
}
