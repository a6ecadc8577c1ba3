//! The doors that are closed unless somebody opens them: what they answer, what they are called, what a reload changes.

use super::*;
use crate::front::tests::stage::{app_service_2017, cloud_shell, keyed_cloud_shell, plain};

/// Each with a door and a request that it serves where anybody may ask.
fn requests() -> [(Door, String); 7] {
    [
        (Door::Imds, imds()),
        (Door::AppService, app_service("k")),
        (Door::AppService2017, app_service_2017("k")),
        (Door::Oauth, oauth(&client_id('3'), "k")),
        (Door::CloudShell, cloud_shell()),
        (Door::CloudShell, keyed_cloud_shell("k")),
        (Door::Plain, plain("k")),
    ]
}

/// The wiring of [`open`] with these doors.
fn with(doors: &[Door], stage: &stage::Stage) -> Wiring {
    let next = wiring(vec![(entry("open", '3', vec![], true), GOOD)], &stage.clock, &stage.heard);
    Wiring { doors: doors.iter().copied().collect(), ..next }
}

#[tokio::test]
async fn every_answer_counts_for_the_door_it_was_asked_at() {
    for (door, text) in requests() {
        let stage = open();
        let (status, _, body) = stage.ask(tcp(), &text).await;
        assert_eq!((status, &body["access_token"]), (200, &format!("one.{GRAPH}.sig").into()), "{door}");
        assert_eq!(stage.ask(tcp(), &text.replacen(GRAPH, "https://else.example", 1)).await.0, 403, "{door}");
        assert_eq!(
            stage.ask(tcp(), &text.replacen("resource=", "more=", 1).replacen("scope=", "more=", 1)).await.0,
            400
        );
        let told = stage.heard().join("\n");
        assert!(told.contains(&format!("first open {door} ")), "{told}");
        assert!(told.contains(&format!("refused {door} resource_denied")), "{told}");
        assert!(told.contains(&format!("refused {door} bad_request")), "{told}");
        let page = stage.metrics.scrape(&stage.front.wiring().broker.status(), true);
        for status in [200, 400, 403] {
            let line = format!(r#"unsecret_http_requests_total{{code="{status}",dialect="{door}"}} 1"#);
            assert!(page.contains(&line), "{page}");
        }
    }
}

#[tokio::test]
async fn only_the_doors_that_are_open_are_open_and_the_refusal_says_what_to_do() {
    for open_door in Door::ALL {
        let stage = open();
        stage.front.rewire(with(&[open_door], &stage));
        for (door, text) in requests() {
            let (status, _, body) = stage.ask(tcp(), &text).await;
            assert_eq!(status, if door == open_door { 200 } else { 404 }, "{door} with {open_door} open: {body}");
            if status == 404 {
                let text = body.to_string();
                assert!(text.contains("door-closed") && text.contains(&format!(r#"Add \"{door}\""#)), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_closed_door_is_closed_to_probes_and_to_nonsense_too() {
    let stage = open();
    stage.front.rewire(with(&[Door::Oauth], &stage));
    for text in ["GET /metadata/identity/oauth2/token", "GET /oauth2/token", "DELETE /token", "GET /msi/token?x=1&x=2"]
    {
        let (status, _, body) = stage.ask(tcp(), text).await;
        assert_eq!(status, 404, "{text}: {body}");
        assert!(body.to_string().contains("door-closed"), "{text}: {body}");
    }
    let (status, _, body) = stage.ask(tcp(), &imds().replace("metadata: true", "via: 1.1 x")).await;
    assert_eq!(status, 403, "the guard comes first: {body}");
}

#[tokio::test]
async fn a_reload_opens_and_closes_doors_from_the_next_request_on() {
    let stage = open();
    for doors in [&[Door::Plain][..], &[Door::CloudShell], &[Door::Plain, Door::CloudShell]] {
        let next = with(doors, &stage);
        next.broker.adopt(&stage.front.wiring().broker);
        stage.front.rewire(next);
        for (door, text) in [(Door::Plain, plain("k")), (Door::CloudShell, cloud_shell())] {
            let wanted = if doors.contains(&door) { 200 } else { 404 };
            assert_eq!(stage.ask(tcp(), &text).await.0, wanted, "{door} {doors:?}");
        }
    }
}

#[tokio::test]
async fn the_key_of_the_path_opens_its_identity_and_no_other() {
    let stage = two_keys();
    for (key, name) in [(KEY_ONE, "one"), (KEY_TWO, "two")] {
        let (status, _, body) = stage.ask(tcp(), &keyed_cloud_shell(key)).await;
        assert_eq!((status, &body["access_token"]), (200, &format!("{name}.{GRAPH}.sig").into()));
        assert_eq!(body["resource"], GRAPH, "Python demands it");
    }
    let wrong = keyed_cloud_shell("another-key-another-key-another-k");
    for text in [wrong, cloud_shell()] {
        let named = format!("{text}&client_id={}", client_id('1'));
        let (status, _, body) = stage.ask(tcp(), &named).await;
        assert_eq!((status, &body["error"]["code"]), (401, &"invalid_client".into()));
        assert!(!body.to_string().contains("another-key"), "{body}");
    }
}

#[tokio::test]
async fn a_script_gets_its_token_by_metadata_by_either_header_or_not_at_all() {
    let stage = two_keys();
    let bare = plain("").replace("x-identity-header: ", "");
    let by_bearer = format!("{}\nauthorization: Bearer {KEY_ONE}\nmetadata: true", bare.trim());
    for text in [plain(KEY_ONE), by_bearer] {
        let (status, _, body) = stage.ask(tcp(), &text).await;
        assert_eq!((status, &body["scope"]), (200, &format!("{GRAPH}/.default").into()), "{text}");
        let (status, _, body) = stage.ask(tcp(), &text.replacen("/token", "/header", 1)).await;
        assert_eq!((status, &body["authorization"]), (200, &format!("Bearer one.{GRAPH}.sig").into()));
    }
    let (status, headers, body) = stage.ask(tcp(), &plain("wrong")).await;
    assert_eq!((status, headers["www-authenticate"].to_str().unwrap()), (401, "Bearer realm=\"unsecret\""));
    assert_eq!(body["error_codes"], serde_json::json!([7_000_215]));
    let (status, _, body) = stage.ask(tcp(), bare.trim()).await;
    assert!(status == 400 && body.to_string().contains("barrier-header-missing"), "{body}");
}
