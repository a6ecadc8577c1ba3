//! Sockets handed over by systemd: the test binary runs itself as a service would be run.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use unsecret::listen::Inherited;
use unsecret::problem::Problem as _;

/// The service's side; without a socket it is not the child and has nothing to do.
#[tokio::test]
async fn as_a_service() {
    let Ok(names) = std::env::var("LISTEN_FDNAMES") else { return };
    match Inherited::from_systemd(Some(&names)) {
        Ok(mut sockets) => {
            let taken = ["http", "unix", "admin"].map(|name| sockets.take(name).len());
            println!("took {taken:?}");
            if let Some(mut starter) = sockets.take_ready() {
                starter.write_all(b"open").unwrap();
            }
        }
        Err(error) => println!("refused {}", error.code()),
    }
}

/// Runs the service's side with one socket as descriptor 3, and gives its line. `pid` is for `LISTEN_PID`.
fn service(socket: impl Into<OwnedFd>, name: &str, pid: &str) -> String {
    let script = format!(
        r#"export LISTEN_FDS=1 LISTEN_PID={pid} LISTEN_FDNAMES="$1"
        exec "$0" --exact systemd::as_a_service --nocapture 3<&0 </dev/null"#
    );
    let ourselves = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", &script, ourselves.to_str().unwrap(), name])
        .stdin(Stdio::from(socket.into()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("took") || line.starts_with("refused"));
    line.unwrap_or_else(|| panic!("{text} {}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

fn tcp() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// `$$` is the shell's own number, which stays when it becomes the service.
const OURS: &str = "$$";

#[test]
fn sockets_are_taken_by_their_names() {
    assert_eq!(service(tcp(), "http", OURS), "took [1, 0, 0]");
    assert_eq!(service(tcp(), "admin", OURS), "took [0, 0, 1]");
    let directory = tempfile::tempdir().unwrap();
    let unix = UnixListener::bind(directory.path().join("s")).unwrap();
    assert_eq!(service(unix, "unix", OURS), "took [0, 1, 0]");
}

#[test]
fn a_socket_of_another_name_or_kind_becomes_no_door() {
    assert_eq!(service(tcp(), "unsecret.socket", OURS), "refused listen-inherited");
    assert_eq!(service(tcp(), "unix", OURS), "refused listen-inherited");
}

#[test]
fn a_connected_socket_named_ready_leads_back_to_the_starter() {
    let (theirs, mut ours) = UnixStream::pair().unwrap();
    assert_eq!(service(theirs, "ready", OURS), "took [0, 0, 0]");
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert_eq!(said, "open", "and then the end, since nobody holds the other side any more");
    assert_eq!(service(tcp(), "ready", OURS), "refused listen-inherited");
}

/// Node cannot know the number of the process that it is about to make.
#[test]
fn a_starter_that_names_no_process_is_taken_at_its_word() {
    assert_eq!(service(tcp(), "http", ""), "took [1, 0, 0]");
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    assert_eq!(service(tcp(), "http", "1"), "took [0, 0, 0]");
}

/// A bare port in a socket unit means every address: no door by accident.
#[test]
fn a_door_that_other_machines_may_reach_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config.toml");
    let identity = r#"
        [[identity]]
        name = "billing"
        tenant = "11111111-aaaa-4bbb-8ccc-222222222222"
        client_id = "33333333-dddd-4eee-8fff-444444444444"
        scopes = ["https://graph.microsoft.com/.default"]
        assertion = { file = "/var/run/secrets/unsecret/token" }
        any_local_caller = true
        "#;
    std::fs::write(&config, identity).unwrap();
    let script = r#"export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=http
        exec "$0" run --config "$1" 3<&0 </dev/null"#;
    for everywhere in ["0.0.0.0:0", "[::]:0"] {
        let Ok(socket) = TcpListener::bind(everywhere) else { continue };
        let output = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_unsecret"), config.to_str().unwrap()])
            .stdin(Stdio::from(OwnedFd::from(socket)))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("listen-inherited-far"), "{said}");
    }
}
