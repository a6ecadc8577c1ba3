//! `/readyz`: what it waits for, and what its verbose form tells.

use crate::support::http::Call;
use crate::support::world::{CLIENT, GRAPH, OTHER_CLIENT, Plan, TENANT, World};

/// A second identity whose platform token never comes.
fn with_a_broken_neighbour(required: &str) -> Plan {
    let more = format!(
        r#"
        [[identity]]
        name = "reports"
        tenant = "{TENANT}"
        client_id = "{OTHER_CLIENT}"
        authority_host = "{{authority}}"
        scopes = ["*"]
        assertion = {{ file = "{{folder}}/no-such-token" }}
        any_local_caller = true
        {required}
        "#
    );
    Plan { more, ..Plan::default() }
}

async fn verbose(world: &World) -> (u16, String) {
    let answer = Call::get(world.admin(), "/readyz?verbose").send().await;
    (answer.status.as_u16(), answer.body)
}

/// Waits until the neighbour's trouble is known: before that nobody is ready.
async fn once_the_trouble_is_known(world: &World) -> (u16, String) {
    let known = async |world: &World| {
        let (status, page) = verbose(world).await;
        let other = page.lines().any(|line| line.starts_with("billing: ready"));
        (other && page.contains("[token-file-missing]")).then_some((status, page))
    };
    world.until("the trouble is known", known).await
}

#[tokio::test]
async fn an_identity_that_is_not_required_holds_up_nothing_and_is_told_all_the_same() {
    let world = World::of(with_a_broken_neighbour("required = false")).await;
    let (status, page) = once_the_trouble_is_known(&world).await;
    assert_eq!(status, 200, "{page}");
    let line = page.lines().find(|line| line.starts_with("reports: ")).unwrap();
    assert!(line.starts_with("reports: not ready (not required); no assertion"), "{line}");
    assert!(line.contains(", remedy: mount the projected token there"), "{line}");
    let target = "/metadata/identity/oauth2/token?api-version=2018-02-01";
    let ask = |client: &str| {
        Call::get(world.http(), format!("{target}&resource={GRAPH}&client_id={client}")).header("metadata", "true")
    };
    ask(CLIENT).send().await.token();
    assert_eq!(ask(OTHER_CLIENT).send().await.status, 503, "and asked for it says so itself");
}

#[tokio::test]
async fn an_identity_is_required_unless_it_says_otherwise() {
    let world = World::of(with_a_broken_neighbour("")).await;
    let (status, page) = once_the_trouble_is_known(&world).await;
    assert_eq!(status, 503, "{page}");
    assert!(page.starts_with("not ready: 1 of 2 identities cannot serve yet"), "{page}");
}
