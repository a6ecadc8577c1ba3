//! `--via`: a private door in front of a running broker, for users who can read neither key nor configuration.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::{Open, ask, ended, exec, tell_and_wait};
use crate::support::http::{Call, Place};
use crate::support::parts::{Level, missing};
use crate::support::world::{CLIENT, GRAPH, OTHER_CLIENT, Plan, VAULT, World, encoded, imds, until};

fn socket(world: &World) -> PathBuf {
    let Place::Unix(socket) = world.unix() else { unreachable!() };
    socket
}

/// A broker that knows one uid over its socket, and a key for everybody else.
async fn broker(uid: u32) -> World {
    let key = "[[identity.caller]]\nkey_file = \"{folder}/caller.key\"\n";
    let plan = Plan {
        unix: true,
        listen: "unix_mode = \"0666\"".to_owned(),
        identity: String::new(),
        callers: Some(format!("{key}[[identity.caller]]\nuid = {uid}\n")),
        scopes: vec![GRAPH],
        ..Plan::default()
    };
    let world = World::of(plan).await;
    // The folder keeps its secrets, 0600 each, from whoever may pass through it now.
    std::fs::set_permissions(socket(&world).parent().unwrap(), std::fs::Permissions::from_mode(0o711)).unwrap();
    world
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

async fn bridge(world: &World) -> Open {
    Open::start(exec(["--via", socket(world).to_str().unwrap(), "--", "sh", "-c", &tell_and_wait()])).await
}

#[tokio::test]
async fn a_child_is_served_by_the_broker_behind() {
    let world = broker(own_uid()).await;
    let mut door = bridge(&world).await;
    let answer = door.ask(&door.key).send().await;
    assert_eq!(world.claims(&answer.token())["appid"], CLIENT);
    let held = imds(world.unix(), GRAPH).send().await;
    assert_eq!(answer.token(), held.token(), "the broker's own, unchanged");
    let fields = |json: serde_json::Value| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(answer.json()), fields(held.json()));
    assert_eq!(world.exchanges(), 1);
    assert_eq!(door.child.end().await, Some(0));
    assert_eq!(door.child.said().await, "");
}

#[tokio::test]
async fn another_user_needs_no_configuration_and_no_key() {
    if !rustix::process::geteuid().is_root() {
        return missing(Level::Full, "root, to run as another user");
    }
    let world = broker(54_321).await;
    // The program itself may lie where that user cannot go.
    let program = socket(&world).parent().unwrap().join("unsecret");
    std::fs::copy(env!("CARGO_BIN_EXE_unsecret"), &program).unwrap();
    let script = r#"cat "$1" "$2" 2>/dev/null && exit 9
curl -sS -H "X-IDENTITY-HEADER: $IDENTITY_HEADER" \
  "$IDENTITY_ENDPOINT?api-version=2019-08-01&resource=https://graph.microsoft.com""#;
    for (uid, served) in [(54_321, true), (54_322, false)] {
        let mut command = tokio::process::Command::new("setsid");
        command.arg(&program).args(["exec", "--via", socket(&world).to_str().unwrap(), "--", "sh", "-c", script, "sh"]);
        command.arg(world.path("caller.key")).arg(world.path("token"));
        command.uid(uid).gid(54_999).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).current_dir("/");
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let ended = ended(command).await;
        assert_eq!(ended.status, Some(0), "{}", ended.stderr);
        let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        if served {
            assert_eq!(world.claims(json["access_token"].as_str().unwrap())["appid"], CLIENT);
        } else {
            assert_eq!(json["statusCode"], 403);
            assert!(json["message"].as_str().unwrap().contains("caller-not-allowed"));
        }
    }
}

#[tokio::test]
async fn a_refusal_of_the_broker_arrives_in_the_doors_own_shape() {
    let world = broker(own_uid()).await;
    let mut door = bridge(&world).await;
    let call = Call::get(door.address, format!("/msi/token?api-version=2019-08-01&resource={}", encoded(VAULT)));
    let answer = call.header("x-identity-header", &door.key).send().await;
    let json = answer.json();
    assert_eq!((answer.status.as_u16(), &json["statusCode"]), (403, &403.into()));
    assert!(json["message"].as_str().unwrap().contains("resource-not-allowed"));
    assert!(json["message"].as_str().unwrap().contains(json["correlationId"].as_str().unwrap()));
    let other = door.ask(&door.key).query(&format!("client_id={OTHER_CLIENT}")).send().await;
    assert_eq!(other.status, 400);
    world.emulator.set_fault(None, unsecret::emulator::Fault::Status { status: 503, retry_after: Some(2) });
    let passing = door.ask(&door.key).send().await;
    assert_eq!((passing.status.as_u16(), passing.headers.contains_key("retry-after")), (503, true));
    assert_eq!(door.child.end().await, Some(0));
}

#[tokio::test]
async fn strangers_are_refused_before_the_broker_hears_of_them() {
    let world = broker(own_uid()).await;
    let mut door = bridge(&world).await;
    let right = door.key.clone();
    for (what, call, status) in [
        ("no key", Call::get(door.address, "/msi/token?api-version=2019-08-01&resource=x"), 401),
        ("a wrong key", door.ask(&right.to_uppercase()), 401),
        ("the broker's key", door.ask(world.key.secret().expose()), 401),
        ("another door", imds(door.address, GRAPH), 404),
        ("another Host", door.ask(&right).header("host", "evil.example"), 403),
        ("a proxy", door.ask(&right).header("x-forwarded-for", "1.2.3.4"), 403),
        ("another method", door.ask(&right).method(http::Method::POST), 405),
        ("no version", Call::get(door.address, "/msi/token?resource=x").header("x-identity-header", &right), 400),
    ] {
        let answer = call.send().await;
        assert_eq!(answer.status.as_u16(), status, "{what}");
        assert_eq!(answer.json()["statusCode"], status, "{what}: in the door's own shape");
    }
    assert_eq!(world.exchanges(), 0);
    assert_eq!(door.child.end().await, Some(0));
}

#[tokio::test]
async fn a_broker_that_is_down_is_503_until_it_is_back() {
    let world = broker(own_uid()).await;
    let place = world.path("later.sock");
    let mut door = Open::start(exec(["--via", place.to_str().unwrap(), "--", "sh", "-c", &tell_and_wait()])).await;
    for _ in 0..3 {
        let answer = door.ask(&door.key).send().await;
        assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()), (503, "1"));
        assert!(answer.text("message").contains("broker-silent"));
    }
    std::os::unix::fs::symlink(socket(&world), &place).unwrap();
    assert_eq!(world.claims(&door.ask(&door.key).send().await.token())["appid"], CLIENT);
    assert_eq!(door.child.end().await, Some(0));
    let said = door.child.said().await;
    assert_eq!(said.matches("broker-not-connected").count(), 1, "told once for each outage: {said}");
    assert!(said.starts_with("warning: the broker's socket"), "{said}");
}

#[tokio::test]
async fn what_answers_and_is_no_broker_is_503_too() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("other.sock");
    let listener = tokio::net::UnixListener::bind(&place).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let page = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, page).await;
        }
    });
    let mut door = Open::start(exec(["--via", place.to_str().unwrap(), "--", "sh", "-c", &tell_and_wait()])).await;
    until("an answer", async || Some(door.ask(&door.key).send().await)).await;
    assert_eq!(door.ask(&door.key).send().await.status, 503);
    assert_eq!(door.child.end().await, Some(0));
}

#[tokio::test]
async fn a_client_id_chooses_among_the_brokers_identities() {
    let second = format!(
        "[[identity]]\nname = \"shop\"\ntenant = \"{}\"\nclient_id = \"{OTHER_CLIENT}\"\nauthority_host = \"{{authority}}\"\n\
         ca_file = \"{{folder}}/ca.pem\"\nscopes = [\"{GRAPH}/.default\"]\nassertion = {{ file = \"{{folder}}/token\" }}\n\
         any_local_caller = true\n",
        crate::support::world::TENANT
    );
    let world = World::of(Plan { unix: true, more: second, ..Plan::default() }).await;
    let place = socket(&world);
    let unnamed = Open::start(exec(["--via", place.to_str().unwrap(), "--", "sh", "-c", &tell_and_wait()])).await;
    assert_eq!(unnamed.ask(&unnamed.key).send().await.status, 400);
    let arguments = ["--via", place.to_str().unwrap(), "--client-id", CLIENT, "--", "sh", "-c"];
    let named = Open::start(exec(arguments.into_iter().chain([tell_and_wait().as_str()]))).await;
    assert_eq!(world.claims(&ask(named.address, &named.key).send().await.token())["appid"], CLIENT);
}
