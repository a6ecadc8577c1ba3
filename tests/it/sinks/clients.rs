//! Azure's own client over a file (contract B10): its cache of ten minutes, its clock moved along with the broker's.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::support::python::{self, Conversation};
use crate::support::world::{CLIENT, GRAPH, Source, TENANT};

const TEN_LIVES: u64 = 10 * 3_600;

/// The clock goes on for some minutes, and what the platform does in them is done; how many seconds that were.
async fn some_minutes(world: &World, source: Source, step: u64) -> u64 {
    let path = world.path("assertion");
    let before = read(&path);
    let passed = match source {
        // When it is due to be signed anew.
        Source::Certificate => 600,
        // Renewed when 750 s are left, at 79 % of its life, as the kubelet does; seen within half of what is above ten
        // minutes, which is 75 s.
        _ if step % 6 == 5 => {
            world.write_token();
            100
        }
        _ => 550,
    };
    world.pass(Duration::from_secs(passed)).await;
    // As read just before it is replaced.
    assert!(left(world, &before) >= 600, "{source:?}, step {step}: {} s", left(world, &before));
    if passed == 550 {
        return passed;
    }
    let mut more = 0;
    while read(&path) == before {
        // The clock stands while nobody moves it: a writer that was a moment late would wait for ever.
        world.pass(Duration::from_secs(1)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        more += 1;
        assert!(more < 600, "{source:?}, step {step}: not replaced in time");
    }
    passed + more
}

async fn served_for_ten_token_lives(source: Source) {
    let Some(python) = python::interpreter() else { return };
    let plan = Plan { source, ..with_sinks(&["file = \"{folder}/assertion\"\nassertion = true"]) };
    let world = World::of(plan).await;
    world.until_ready().await;
    let roots = world.path("ca.pem");
    let mut client =
        Conversation::start(&python, "workload_identity.py", &[("REQUESTS_CA_BUNDLE", roots.to_str().unwrap())]);
    let credential = json!({
        "tenant_id": TENANT,
        "client_id": CLIENT,
        "token_file_path": world.path("assertion"),
        "authority": world.emulator.authority_host(),
    });
    // The first token is as old as the others are when they have been seen.
    world.pass(Duration::from_secs(100)).await;
    let (mut passed, mut total, mut tokens) = (100, 0, BTreeSet::new());
    for step in 0.. {
        let question = json!({ "passed": passed, "credential": credential, "scope": format!("{GRAPH}/.default") });
        let answer = client.ask(&question).await;
        let token = answer["token"].as_str().unwrap_or_else(|| panic!("{source:?}, step {step}: {}", answer["error"]));
        assert_eq!(world.claims(token)["appid"], CLIENT);
        assert!(left(&world, token) > 0);
        tokens.insert(token.to_owned());
        if total >= TEN_LIVES {
            break;
        }
        passed = some_minutes(&world, source, step).await;
        total += passed;
    }
    assert!(tokens.len() >= 10, "only {} tokens", tokens.len());
}

#[tokio::test]
async fn workload_identity_credential_is_served_by_a_certificate_for_ten_token_lives() {
    served_for_ten_token_lives(Source::Certificate).await;
}

#[tokio::test]
async fn workload_identity_credential_is_served_by_a_platforms_token_for_ten_token_lives() {
    served_for_ten_token_lives(Source::File).await;
}
