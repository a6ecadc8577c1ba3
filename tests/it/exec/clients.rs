//! Children that ask as applications do: Python, Node, a shell.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::{Ended, Open, PATIENCE, ended, exec, own, put_config, tell_and_wait};
use crate::support::parts::{Level, missing};
use crate::support::python;
use crate::support::world::{CLIENT, GRAPH, Plan, Source, TokenFile, VAULT, World, until};

const NODE: &str = r"
const url = new URL(process.env.IDENTITY_ENDPOINT);
url.searchParams.set('api-version', '2019-08-01');
url.searchParams.set('resource', process.argv[1]);
fetch(url, { headers: { 'X-IDENTITY-HEADER': process.env.IDENTITY_HEADER } })
  .then(async (answer) => { if (!answer.ok) throw new Error(String(answer.status)); console.log(await answer.text()); });
";

const CURL: &str = r#"curl -sS -f -H "X-IDENTITY-HEADER: $IDENTITY_HEADER" \
  "$IDENTITY_ENDPOINT?api-version=2019-08-01&resource=https://graph.microsoft.com""#;

fn check(world: &World, ended: &Ended, field: &str) {
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    let claims = world.claims(json[field].as_str().unwrap());
    assert_eq!((&claims["aud"], &claims["appid"]), (&GRAPH.into(), &CLIENT.into()));
}

#[tokio::test]
async fn a_python_child_gets_its_token_by_azure_identity() {
    let Some(python) = python::interpreter() else { return };
    let world = World::new().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/python/managed_identity.py");
    let mut command = own(&world, &[python.to_str().unwrap(), script]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let input = serde_json::json!({ "credential": {}, "scope": format!("{GRAPH}/.default") });
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).await.unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ended = Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    check(&world, &ended, "token");
}

#[tokio::test]
async fn a_node_child_gets_its_token_by_fetch() {
    if !std::process::Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return missing(Level::Full, "node");
    }
    let world = World::new().await;
    check(&world, &ended(own(&world, &["node", "-e", NODE, GRAPH])).await, "access_token");
}

#[tokio::test]
async fn a_shell_child_gets_its_token_from_every_source() {
    for source in Source::ALL {
        let world = World::with_source(source).await;
        let mut command = own(&world, &["sh", "-c", CURL]);
        command.env("ACTIONS_ID_TOKEN_REQUEST_URL", world.github_url());
        command.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &world.plan.github_bearer);
        check(&world, &ended(command).await, "access_token");
    }
}

#[tokio::test]
async fn a_child_of_the_child_is_served_as_well() {
    let world = World::new().await;
    check(&world, &ended(own(&world, &["sh", "-c", &format!("sh -c '{CURL}'")])).await, "access_token");
}

#[tokio::test]
async fn a_program_with_a_client_secret_of_old_is_served_at_the_oauth_door() {
    let world = World::new().await;
    let script = r#"curl -sS -f "$AZURE_AUTHORITY_HOST$AZURE_TENANT_ID/oauth2/v2.0/token" -d grant_type=client_credentials \
        -d "client_id=$AZURE_CLIENT_ID" -d "client_secret=$AZURE_CLIENT_SECRET" \
        -d scope=https://graph.microsoft.com/.default"#;
    let config = put_config(&world);
    let command = exec(["--config", &config, "--door", "oauth", "--", "sh", "-c", script]);
    check(&world, &ended(command).await, "access_token");
}

#[tokio::test]
async fn only_what_the_identity_may_ask_for_is_handed_out() {
    let plan = Plan { scopes: vec![GRAPH], ..Plan::default() };
    let world = World::of(plan).await;
    let script = CURL.replace(GRAPH, VAULT).replace(" -f ", " ");
    let ended = ended(own(&world, &["sh", "-c", &script])).await;
    assert!(ended.stdout.contains("resource-not-allowed"), "{}", ended.stdout);
    assert_eq!(world.exchanges(), 0);
}

#[tokio::test]
async fn nothing_is_fetched_before_it_is_asked_for_and_then_once() {
    let world = World::new().await;
    let prefetch = "prefetch = [\"https://graph.microsoft.com/.default\"]\nany_local_caller = true\n".to_owned();
    let text = world.text_of(&Plan { identity: prefetch, ..world.plan.clone() });
    let config = world.path("prefetch.toml");
    std::fs::write(&config, text).unwrap();
    let mut door = Open::start(exec(["--config", config.to_str().unwrap(), "--", "sh", "-c", &tell_and_wait()])).await;
    door.ask("wrong").send().await;
    assert_eq!(world.exchanges(), 0, "a child that asks for nothing costs nothing");
    let first = door.ask(&door.key).send().await.token();
    assert_eq!(door.ask(&door.key).send().await.token(), first);
    assert_eq!(world.exchanges(), 1);
    assert_eq!(door.child.end().await, Some(0));
}

#[tokio::test]
async fn a_source_that_is_not_there_yet_keeps_nobody_from_starting() {
    let world = World::of(Plan { token_file: TokenFile::Missing, ..Plan::default() }).await;
    let mut door = Open::start(own(&world, &["sh", "-c", &tell_and_wait()])).await;
    let answer = door.ask(&door.key).send().await;
    assert_eq!((answer.status.as_u16(), answer.headers.contains_key("retry-after")), (503, true));
    world.write_token();
    until("the door serves", async || (door.ask(&door.key).send().await.status == 200).then_some(())).await;
    assert_eq!(door.child.end().await, Some(0));
    let said = door.child.said().await;
    assert!(said.contains("warning: the token file") && said.contains("the door answers 503"), "{said}");
}
