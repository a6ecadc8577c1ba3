//! `unsecret_asked`: an application that still uses its secret never comes to a door, and that is seen.

use super::support::http::Call;
use super::support::world::{GRAPH, Plan, TokenFile, World};

#[tokio::test]
async fn what_the_broker_does_by_itself_is_no_ask_and_an_answer_from_a_held_token_is_one() {
    let identity = "any_local_caller = true\nprefetch = [\"https://graph.microsoft.com/.default\"]\n".to_owned();
    let world = World::of(Plan { identity, ..Plan::default() }).await;
    world.until_ready().await;
    assert!(world.admin_page("/metrics").await.contains("\nunsecret_asked 0\n"));
    // Refused: without the header that IMDS clients send.
    let probe = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={GRAPH}");
    assert_eq!(Call::get(world.http(), probe).send().await.status, 400);
    assert!(world.admin_page("/metrics").await.contains("\nunsecret_asked 0\n"));
    assert_eq!(world.imds(GRAPH).send().await.status, 200);
    assert!(world.admin_page("/metrics").await.contains("\nunsecret_asked 1\n"));
}

#[tokio::test]
async fn a_caller_who_asks_in_vain_has_asked() {
    let world = World::of(Plan { token_file: TokenFile::Missing, ..Plan::default() }).await;
    assert_eq!(world.imds(GRAPH).send().await.status, 503);
    assert!(world.admin_page("/metrics").await.contains("\nunsecret_asked 1\n"));
}
