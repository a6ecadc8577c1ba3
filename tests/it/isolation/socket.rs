//! Callers on the Unix socket, known by what the kernel says of them (`SO_PEERCRED`).

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::http::Place;
use crate::support::parts::{Level, missing};
use crate::support::world::{GRAPH, Plan, World, imds};

/// Speaks to a Unix socket and prints what comes back; a shell cannot.
const ASKER: &str = r"
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode())
while part := s.recv(65536):
    sys.stdout.write(part.decode())
";

async fn world(rules: &[(&str, u32)]) -> World {
    let rules: Vec<_> = rules.iter().map(|(kind, id)| format!("[[identity.caller]]\n{kind} = {id}\n")).collect();
    let plan = Plan {
        unix: true,
        listen: "unix_mode = \"0666\"".to_owned(),
        identity: String::new(),
        callers: Some(rules.concat()),
        ..Plan::default()
    };
    let world = World::of(plan).await;
    let Place::Unix(socket) = world.unix() else { unreachable!() };
    // The folder keeps its secrets, 0600 each, from whoever may pass through it now.
    std::fs::set_permissions(socket.parent().unwrap(), std::fs::Permissions::from_mode(0o711)).unwrap();
    world
}

/// The status that another user is answered with; `None` where we cannot become one.
fn status_as(world: &World, uid: u32, gid: u32) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        missing(Level::Full, "root, to ask as another user");
        return None;
    }
    let Place::Unix(socket) = world.unix() else { unreachable!() };
    let request = format!(
        "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource={GRAPH} HTTP/1.1\r\n\
         Host: localhost\r\nMetadata: true\r\nConnection: close\r\n\r\n"
    );
    let python = PathBuf::from("python3");
    let child = Command::new(python)
        .args(["-I", "-c", ASKER, socket.to_str().unwrap(), &request])
        .uid(uid)
        .gid(gid)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output();
    let Ok(output) = child else {
        missing(Level::Full, "python3, to ask as another user");
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("HTTP/1.1 "), "{}", String::from_utf8_lossy(&output.stderr));
    Some(text[9..12].to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_listed_uid_is_served_and_root_is_not_special() {
    let world = world(&[("uid", 54_321)]).await;
    for (uid, gid, wanted) in [(54_321, 54_999, "200"), (54_322, 54_321, "403"), (0, 0, "403"), (0, 54_321, "403")] {
        let Some(status) = status_as(&world, uid, gid) else { return };
        assert_eq!(status, wanted, "uid {uid} gid {gid}");
    }
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_listed_primary_gid_is_served() {
    let world = world(&[("gid", 54_321)]).await;
    for (uid, gid, wanted) in [(54_999, 54_321, "200"), (54_321, 54_322, "403"), (0, 0, "403")] {
        let Some(status) = status_as(&world, uid, gid) else { return };
        assert_eq!(status, wanted, "uid {uid} gid {gid}");
    }
}

#[tokio::test]
async fn our_own_uid_counts_on_the_socket_and_never_over_tcp() {
    let own = rustix::process::geteuid().as_raw();
    let world = world(&[("uid", own), ("gid", rustix::process::getegid().as_raw())]).await;
    let claims = world.claims(&imds(world.unix(), GRAPH).send().await.token());
    assert_eq!(claims["appid"], crate::support::world::CLIENT);
    assert_eq!(imds(world.http(), GRAPH).send().await.status, 403);
}
