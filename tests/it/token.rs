//! `unsecret token`: what it prints, what it asks for, and how it fails.

use std::process::{Command, Stdio};

use serde_json::Value;
use unsecret::emulator::Fault;

use crate::support::http::Place;
use crate::support::settled;
use crate::support::world::{CLIENT, GRAPH, OTHER_CLIENT, Plan, Source, TokenFile, VAULT, World, until};

/// A process that has ended.
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn token(arguments: &[&str]) -> Ended {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.arg("token").args(arguments).env_clear().kill_on_drop(true);
    let output = command.stdin(Stdio::null()).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: settled(&text(output.stderr)) }
}

fn config(world: &World) -> String {
    let path = world.path("config.toml");
    std::fs::write(&path, world.config_text()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn socket(world: &World) -> String {
    let Place::Unix(socket) = world.unix() else { unreachable!() };
    socket.to_str().unwrap().to_owned()
}

/// Known to the broker by our uid alone.
fn known_by_uid() -> Plan {
    let uid = rustix::process::geteuid().as_raw();
    Plan {
        unix: true,
        identity: String::new(),
        callers: Some(format!("[[identity.caller]]\nuid = {uid}\n")),
        ..Plan::default()
    }
}

/// The one line of a success.
fn line(ended: &Ended) -> &str {
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    let line = ended.stdout.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'));
    line
}

#[tokio::test]
async fn a_raw_token_is_one_line() {
    for source in [Source::File, Source::Certificate] {
        let world = World::with_source(source).await;
        let config = config(&world);
        for what in [["--scope", "https://graph.microsoft.com/.default"], ["--resource", GRAPH]] {
            let ended = token(&[&["--config", &config], &what[..]].concat()).await;
            assert_eq!(world.claims(line(&ended))["aud"], GRAPH);
        }
        assert_eq!(world.exchanges(), 2, "one exchange each");
    }
}

#[tokio::test]
async fn json_has_times_as_numbers_that_agree() {
    let world = World::new().await;
    let ended = token(&["--config", &config(&world), "--resource", VAULT, "--json"]).await;
    let json: Value = serde_json::from_str(line(&ended)).unwrap();
    let fields: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["access_token", "client_id", "expires_in", "expires_on", "resource", "token_type"]);
    assert_eq!((json["resource"].as_str(), json["client_id"].as_str()), (Some(VAULT), Some(CLIENT)));
    let claims = world.claims(json["access_token"].as_str().unwrap());
    assert!(json["expires_on"].as_u64().unwrap().abs_diff(claims["exp"].as_u64().unwrap()) < 60);
    assert!((3_000..=3_600).contains(&json["expires_in"].as_u64().unwrap()));
}

#[tokio::test]
async fn a_header_line_is_what_curl_reads() {
    let world = World::new().await;
    let ended = token(&["--config", &config(&world), "--resource", GRAPH, "--header"]).await;
    let value = line(&ended).strip_prefix("Authorization: Bearer ").unwrap();
    assert_eq!(world.claims(value)["appid"], CLIENT);
}

#[tokio::test]
async fn neither_callers_nor_doors_of_the_configuration_matter() {
    // The broker has the address, and a caller's key file is gone: both are none of this verb's business.
    let world = World::new().await;
    let text = world.config_text().replace("127.0.0.1:0", &world.http().to_string()).replace("caller.key", "gone.key");
    let path = world.path("other.toml");
    std::fs::write(&path, text).unwrap();
    line(&token(&["--config", path.to_str().unwrap(), "--resource", GRAPH]).await);
}

#[tokio::test]
async fn a_broker_gives_what_it_holds() {
    let world = World::of(known_by_uid()).await;
    let socket = socket(&world);
    let first = token(&["--via", &socket, "--resource", GRAPH]).await;
    let json = token(&["--via", &socket, "--scope", "https://graph.microsoft.com/.default", "--json"]).await;
    let json: Value = serde_json::from_str(line(&json)).unwrap();
    assert_eq!(json["access_token"], line(&first));
    assert_eq!(world.exchanges(), 1);
    let named = token(&["--via", &socket, "--client-id", CLIENT, "--resource", GRAPH]).await;
    assert_eq!(line(&named), line(&first));
}

#[tokio::test]
async fn each_failure_says_what_to_do() {
    let world = World::of(Plan { scopes: vec![GRAPH], ..known_by_uid() }).await;
    let (config, socket) = (config(&world), socket(&world));
    let wrong = world.path("wrong.toml");
    std::fs::write(&wrong, "[[identity]]\n").unwrap();
    let wrong = wrong.to_str().unwrap();
    let cases: [(&[&str], i32, &str, &str); 7] = [
        (&["--config", &config, "--resource", VAULT], 1, "resource-not-allowed", "may not ask for"),
        (&["--config", &config, "--identity", "x", "--resource", GRAPH], 2, "identity-not-configured", "`billing`"),
        (&["--config", wrong, "--resource", GRAPH], 2, "config-missing", "wrong.toml"),
        (&["--via", &socket, "--resource", VAULT], 1, "broker-refused", "resource-not-allowed"),
        (
            &["--via", &socket, "--client-id", OTHER_CLIENT, "--resource", GRAPH],
            1,
            "broker-refused",
            "unknown-identity",
        ),
        (&["--via", "/nowhere.sock", "--resource", GRAPH], 1, "broker-not-connected", "`/nowhere.sock`"),
        (&["--via", wrong, "--resource", GRAPH], 1, "broker-not-connected", "wrong.toml"),
    ];
    for (arguments, status, code, word) in cases {
        let ended = token(arguments).await;
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(status), ""), "{}", ended.stderr);
        for expected in ["error: ", "remedy: ", &format!("code: {code}\n"), word] {
            assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
        }
    }
    assert_eq!(world.exchanges(), 0);
}

#[tokio::test]
async fn a_refusal_of_entra_comes_with_its_number_and_the_id_to_search_for() {
    let world = World::new().await;
    let refusal = Fault::Refuse { number: 700_016, error: "unauthorized_client".to_owned(), status: 400 };
    world.emulator.set_fault(None, refusal);
    let ended = token(&["--config", &config(&world), "--resource", GRAPH]).await;
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""));
    for expected in ["AADSTS700016", "\nremedy: ", "\ncode: entra-", "\ncorrelation id: "] {
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_token_file_that_is_missing_is_named() {
    let world = World::of(Plan { token_file: TokenFile::Missing, ..Plan::default() }).await;
    let ended = token(&["--config", &config(&world), "--resource", GRAPH]).await;
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains(world.path("token").to_str().unwrap()), "{}", ended.stderr);
}

#[tokio::test]
async fn no_secret_stands_in_a_failure() {
    let world = World::new().await;
    let canary = "eyJhbGciOiJub25lIn0.eyJjYW5hcnkiOiJ0b2tlbiJ9.c2lnbmF0dXJlLWNhbmFyeQ";
    world.put_token(canary);
    let ended = token(&["--config", &config(&world), "--resource", GRAPH]).await;
    assert_eq!(ended.status, Some(1));
    let said = ended.stdout + &ended.stderr;
    assert!(canary.split('.').all(|part| !said.contains(part)), "a failure repeats the token file");
}

#[tokio::test]
async fn who_waits_is_told_what_for() {
    let world = World::new().await;
    world.emulator.set_fault(None, Fault::Hold);
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.args(["token", "--config", &config(&world), "--resource", GRAPH]).env_clear();
    let stderr = world.path("stderr");
    command.stdout(Stdio::piped()).stderr(std::fs::File::create(&stderr).unwrap());
    let child = command.spawn().unwrap();
    until("it says so", async || {
        std::fs::read_to_string(&stderr).unwrap().contains("waiting for a token").then_some(())
    })
    .await;
    world.emulator.clear_faults();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success());
}
