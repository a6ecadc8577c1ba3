//! Access tokens in files.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use unsecret::emulator::Fault;

use super::*;
use crate::support::http::Call;
use crate::support::world::{CLIENT, GRAPH, VAULT};

const GRAPH_SINK: &str = "file = \"{folder}/graph.token\"\nscope = \"https://graph.microsoft.com/.default\"";

/// The password of the first line that fits, as libpq finds it: fields end at a colon that no backslash protects.
fn password(file: &str, wanted: [&str; 4]) -> Option<String> {
    file.lines().find_map(|line| {
        let (mut fields, mut letters) = (vec![String::new()], line.chars());
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => fields.last_mut().unwrap().extend(letters.next()),
                ':' if fields.len() < 5 => fields.push(String::new()),
                letter => fields.last_mut().unwrap().push(letter),
            }
        }
        let fits = fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        (fits && fields.len() == 5).then(|| fields.pop().unwrap())
    })
}

#[tokio::test]
async fn every_format_holds_the_token_that_the_doors_hand_out() {
    let scope = "scope = \"https://graph.microsoft.com/.default\"\nfile = \"{folder}";
    let world = World::of(with_sinks(&[
        &format!("{scope}/raw\""),
        &format!("{scope}/json\"\nformat = \"json\""),
        &format!("{scope}/header\"\nformat = \"header\"\nmode = \"0640\""),
        &format!("{scope}/pgpass\"\nformat = \"pgpass\"\npgpass = 'db.example:5432:*:billing\\:app'"),
    ]))
    .await;
    world.until_ready().await;
    let token = world.imds(GRAPH).send().await.token();
    assert_eq!(world.exchanges(), 1, "one token for all of them");
    assert_eq!(read(&world.path("raw")), token, "and no newline");
    assert_eq!(read(&world.path("header")), format!("Authorization: Bearer {token}\n"));
    let json: Value = serde_json::from_str(&read(&world.path("json"))).unwrap();
    assert_eq!((&json["access_token"], &json["client_id"]), (&token.as_str().into(), &CLIENT.into()));
    assert_eq!(json["expires_on"].as_u64().unwrap() / 60, world.claims(&token)["exp"].as_u64().unwrap() / 60);
    let pgpass = read(&world.path("pgpass"));
    assert_eq!(password(&pgpass, ["db.example", "5432", "any", "billing:app"]), Some(token));
    assert_eq!(password(&pgpass, ["db.example", "5432", "any", "billing"]), None);
    let mode = |name: &str| world.path(name).metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("raw"), mode("pgpass"), mode("header")), (0o600, 0o600, 0o640));
}

#[tokio::test]
async fn a_psql_style_reader_is_served_for_ten_token_lives_without_a_gap() {
    let world = World::of(with_sinks(&[
        "file = \"{folder}/pgpass\"\nscope = \"https://vault.azure.net/.default\"\nformat = \"pgpass\"\npgpass = \"db:5432:*:app\"",
    ]))
    .await;
    world.until_ready().await;
    let path = world.path("pgpass");
    let token = || password(&read(&path), ["db", "5432", "shop", "app"]).expect("a whole line at any time");
    let (mut tokens, mut passed) = (1, 0);
    for life in 0..10 {
        world.write_token();
        let before = read(&path);
        // Just before the refresh, then at it; in the fifth life Entra is down from there to the token's last minute.
        world.pass(Duration::from_secs(2_100)).await;
        assert_eq!(world.claims(&token())["aud"], VAULT);
        if life == 4 {
            world.emulator.set_fault(None, Fault::Outage);
            for step in [500, 400, 500] {
                world.pass(Duration::from_secs(step)).await;
                assert_eq!(read(&path), before, "the last good one stays");
                assert!(left(&world, &token()) > 60);
            }
            world.emulator.clear_faults();
            world.pass(PAUSE).await;
            passed += 1_461;
        } else {
            world.pass(Duration::from_secs(500)).await;
            passed += 500;
        }
        passed += 2_100;
        until_replaced(&path, &before).await;
        assert!(left(&world, &token()) >= 3_598);
        tokens += 1;
    }
    assert!(passed >= 10 * 2_600);
    assert_eq!(tokens, 11);
    let labels = format!("{{file=\"{}\",identity=\"billing\"", path.display());
    let counted = async || world.metric(&format!("unsecret_sink_writes_total{labels},outcome=\"success\"}}")).await;
    // The file is there a moment before it is counted.
    until("eleven writes", async || (counted().await >= 11.0).then_some(())).await;
    let expiry = world.metric(&format!("unsecret_sink_expiry_timestamp_seconds{labels}}}")).await;
    assert!((expiry - claims(&token())["exp"].as_f64().unwrap()).abs() < 5.0);
}

#[tokio::test]
async fn readiness_waits_for_the_file_and_a_write_that_failed_is_tried_again() {
    let lines = GRAPH_SINK.replace("{folder}/", "{folder}/later/");
    let world = World::of(with_sinks(&[&lines])).await;
    let verbose = async || world.admin_page("/readyz?verbose").await;
    let page = until("the write fails", async || {
        let page = verbose().await;
        page.contains("[sink-directory-missing]").then_some(page)
    })
    .await;
    assert!(page.starts_with("not ready: a sink's file is not written yet"), "{page}");
    assert!(page.contains("/later/graph.token of billing: not written, last failure (1 in a row): "), "{page}");
    assert!(page.contains(", remedy: make the directory"), "{page}");
    assert_eq!(Call::get(world.admin(), "/readyz").send().await.status, 503);
    assert!(world.metric("unsecret_ready").await < 0.5);
    assert_eq!(world.imds(GRAPH).send().await.status, 200, "the doors serve all the same");
    std::fs::create_dir(world.path("later")).unwrap();
    world.pass(PAUSE).await;
    world.until_ready().await;
    let page = verbose().await;
    assert!(page.contains("/later/graph.token of billing: good for ") && !page.contains("last failure"), "{page}");
    assert_eq!(world.exchanges(), 1, "the token was there; only the file was not");
}

#[tokio::test]
async fn a_write_failure_leaves_the_old_file_until_the_next_one_succeeds() {
    let world = World::of(with_sinks(&[&GRAPH_SINK.replace("{folder}/", "{folder}/out/")])).await;
    let folder = world.path("out");
    std::fs::create_dir(&folder).unwrap();
    world.pass(PAUSE).await;
    world.until_ready().await;
    let path = folder.join("graph.token");
    let before = read(&path);
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    world.write_token();
    world.pass(REFRESH).await;
    until("the write fails", async || {
        world.admin_page("/readyz?verbose").await.contains("[sink-directory-open]").then_some(())
    })
    .await;
    assert_eq!(read(&path), before);
    world.until_ready().await;
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "no draft is left");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    world.pass(PAUSE).await;
    let after = until_replaced(&path, &before).await;
    assert_eq!(after, world.imds(GRAPH).send().await.token());
    let failed = format!(
        "unsecret_sink_writes_total{{file=\"{}\",identity=\"billing\",outcome=\"sink-directory-open\"}}",
        path.display()
    );
    assert!(world.metric(&failed).await >= 1.0);
}

#[tokio::test]
async fn an_expired_file_stays_and_ends_readiness() {
    let world = World::of(with_sinks(&[GRAPH_SINK])).await;
    world.until_ready().await;
    let before = read(&world.path("graph.token"));
    world.emulator.set_fault(None, Fault::Outage);
    world.pass(Duration::from_secs(4_000)).await;
    until("not ready", async || (Call::get(world.admin(), "/readyz").send().await.status == 503).then_some(())).await;
    assert_eq!(read(&world.path("graph.token")), before);
    let page = world.admin_page("/readyz?verbose").await;
    assert!(page.contains("/graph.token of billing: past since "), "{page}");
    world.emulator.clear_faults();
    world.write_token();
    world.pass(PAUSE).await;
    world.until_ready().await;
    assert_ne!(read(&world.path("graph.token")), before);
}

#[tokio::test]
async fn an_identity_that_is_not_required_does_not_hold_readiness_up() {
    let plan = with_sinks(&[&GRAPH_SINK.replace("{folder}/", "{folder}/none/")]);
    let identity = format!("{}required = false\n", plan.identity);
    let world = World::of(Plan { identity, ..plan }).await;
    world.until_ready().await;
    until("it is told", async || {
        let page = world.admin_page("/readyz?verbose").await;
        page.contains("of billing: not written (not required), last failure").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_identity_that_serves_only_sinks_serves_nobody_at_a_door() {
    let plan = with_sinks(&[GRAPH_SINK]);
    let world = World::of(Plan { identity: String::new(), callers: Some(String::new()), ..plan }).await;
    world.until_ready().await;
    assert!(left(&world, &read(&world.path("graph.token"))) > 3_000);
    for (door, call) in world.every_door(GRAPH) {
        let answer = call.send().await;
        assert!(answer.status.is_client_error() && !answer.body.contains("access_token"), "{door}: {}", answer.status);
    }
}
