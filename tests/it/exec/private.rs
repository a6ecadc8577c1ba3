//! The door is the child's alone, and ends with it.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::{Open, Running, own, tell_and_wait};
use crate::support::http::Call;
use crate::support::parts::{Level, missing};
use crate::support::world::{GRAPH, World, imds};

/// Nobody listens there any more.
async fn is_closed(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

#[tokio::test]
async fn another_process_without_the_key_is_refused() {
    let world = World::new().await;
    let mut door = Open::start(own(&world, &["sh", "-c", &tell_and_wait()])).await;
    let right = door.key.clone();
    for (what, call, status) in [
        ("no key", Call::get(door.address, "/msi/token?api-version=2019-08-01&resource=x"), 401),
        ("a wrong key", door.ask(&right.to_uppercase()), 401),
        ("the broker's key", door.ask(world.key.secret().expose()), 401),
        ("imds, which carries none", imds(door.address, GRAPH), 404),
        ("another Host", door.ask(&right).header("host", "evil.example"), 403),
        ("a proxy", door.ask(&right).header("via", "1.1 proxy"), 403),
        ("a web page", door.ask(&right).header("origin", "http://localhost"), 403),
        ("the admin pages", Call::get(door.address, "/metrics"), 404),
    ] {
        assert_eq!(call.send().await.status.as_u16(), status, "{what}");
    }
    assert_eq!(world.exchanges(), 0);
    door.ask(&right).send().await.token();
    assert_eq!(door.child.end().await, Some(0));
}

#[tokio::test]
async fn it_listens_on_loopback_alone() {
    let world = World::new().await;
    let mut door = Open::start(own(&world, &["sh", "-c", &tell_and_wait()])).await;
    assert!(door.address.ip().is_loopback());
    let pid = door.child.process.id().unwrap();
    if std::fs::read_dir(format!("/proc/{pid}/fd")).is_err() {
        // It hides itself from everybody else.
        return missing(Level::Full, "root, to see which sockets a process holds");
    }
    let sockets = |file: &str| {
        let ours: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
            .collect();
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap();
        let listening = table.lines().filter(|line| line.split_whitespace().nth(3) == Some("0A"));
        listening.filter(|line| ours.iter().any(|inode| line.split_whitespace().nth(9) == Some(inode))).count()
    };
    assert_eq!((sockets("tcp"), sockets("tcp6")), (1, 0));
    assert_eq!(door.child.end().await, Some(0));
}

#[tokio::test]
async fn nothing_of_it_outlives_the_child() {
    let world = World::new().await;
    let scratch = tempfile::tempdir().unwrap();
    let mut command = own(&world, &["sh", "-c", &tell_and_wait()]);
    command.current_dir(&scratch).env("HOME", scratch.path()).env("TMPDIR", scratch.path());
    command.env("XDG_RUNTIME_DIR", scratch.path());
    let mut door = Open::start(command).await;
    let pid = door.child.process.id().unwrap();
    door.ask(&door.key).send().await.token();
    assert_eq!(door.child.end().await, Some(0));
    assert!(is_closed(door.address).await);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0, "no file is left");
}

#[tokio::test]
async fn a_grandchild_that_stays_behind_loses_the_door() {
    let world = World::new().await;
    // It has let go of every stream, as daemons do, but for one that tells us when it ends.
    let pipe = world.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let script = format!(
        "setsid sh -c 'cat {0} >/dev/null' </dev/null >/dev/null 2>&1 & echo $!; {1}",
        pipe.display(),
        tell_and_wait()
    );
    let mut child = Running::start(own(&world, &["sh", "-c", &script]));
    let grandchild = child.line().await;
    let address: SocketAddr =
        child.line().await.trim_start_matches("http://").trim_end_matches("/msi/token").parse().unwrap();
    let key = child.line().await;
    super::ask(address, &key).send().await.token();
    assert_eq!(child.end().await, Some(0), "exec waits for the child and not for what it left");
    assert!(std::path::Path::new(&format!("/proc/{grandchild}")).exists(), "it lives on");
    assert!(is_closed(address).await);
    // Writing and closing lets it end.
    tokio::task::spawn_blocking(move || std::fs::write(pipe, "end")).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_token_request_that_still_waits_holds_no_end_back() {
    let world = World::new().await;
    world.emulator.set_fault(None, unsecret::emulator::Fault::Hang);
    let mut door = Open::start(own(&world, &["sh", "-c", &tell_and_wait()])).await;
    let asked = tokio::spawn(door.ask(&door.key).try_send());
    world.until("the exchange hangs", async |world| (world.exchanges() == 1).then_some(())).await;
    assert_eq!(door.child.end().await, Some(0));
    assert!(asked.await.unwrap().is_err());
}

#[tokio::test]
async fn neither_the_key_nor_a_token_is_logged_at_the_noisiest() {
    let world = World::new().await;
    let config = super::put_config(&world);
    let arguments = ["--config", &config, "--log", "trace", "--", "sh", "-c"];
    let mut door = Open::start(super::exec(arguments.into_iter().chain([tell_and_wait().as_str()]))).await;
    let token = door.ask(&door.key).send().await.token();
    door.ask("canary-of-a-wrong-key-0123456789abcdef").send().await;
    assert_eq!(door.child.end().await, Some(0));
    let said = door.child.said().await;
    assert!(said.contains("listening") && said.contains("token handed out"), "{said}");
    let platform = std::fs::read_to_string(world.path("token")).unwrap();
    let signature = |jwt: &str| jwt.trim().rsplit('.').next().unwrap().to_owned();
    for secret in [signature(&token), signature(&platform), door.key.clone(), "canary-of-a-wrong".to_owned()] {
        assert!(!said.contains(&secret[..secret.len() / 2]), "the log holds a secret");
    }
}
