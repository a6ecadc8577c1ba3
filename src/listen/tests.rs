//! Real sockets: who the peer is, limits, the graceful end, and clashes by name.

use std::os::unix::fs::PermissionsExt;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};

use super::*;
use crate::problem::Problem;

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Answers with what it knows of the peer.
async fn who(peer: Peer, _request: Request<Incoming>) -> Response<Full<Bytes>> {
    let text = match peer {
        Peer::Tcp(_) | Peer::Tls(_) => "tcp".to_owned(),
        Peer::Unix { uid, gid, .. } => format!("{uid}:{gid}"),
    };
    Response::new(Full::from(text))
}

fn loopback() -> Socket {
    tcp("listen.http", ([127, 0, 0, 1], 0).into()).unwrap()
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    stream.write_all(GET).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_tcp_peer_is_served_without_being_known() {
    let socket = loopback();
    let address = socket.address().unwrap();
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(serve(socket, Limits::default(), who, stopping));
    let answer = ask(TcpStream::connect(address).await.unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("tcp"), "{answer}");
}

#[tokio::test]
async fn a_unix_peer_is_known_by_uid_and_gid() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let socket = unix(&path, 0o600, None).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (stop, stopping) = watch::channel(false);
    let serving = tokio::spawn(serve(socket, Limits::default(), who, stopping));
    let answer = ask(UnixStream::connect(&path).await.unwrap()).await;
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    assert!(answer.ends_with(&format!("{uid}:{gid}")), "{answer}");
    stop.send_replace(true);
    serving.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn stopping_finishes_the_request_under_way_and_closes_the_socket() {
    let socket = loopback();
    let address = socket.address().unwrap();
    let (stop, stopping) = watch::channel(false);
    let gate = Arc::new(Semaphore::new(0));
    let (entered, mut inside) = tokio::sync::mpsc::unbounded_channel();
    let behind = Arc::clone(&gate);
    let slow = move |_, _| {
        let (gate, entered) = (Arc::clone(&behind), entered.clone());
        async move {
            entered.send(()).unwrap();
            gate.acquire().await.unwrap().forget();
            Response::new(Full::from("late"))
        }
    };
    let serving = tokio::spawn(serve(socket, Limits::default(), slow, stopping));
    let asking = tokio::spawn(ask(TcpStream::connect(address).await.unwrap()));
    inside.recv().await.unwrap();
    stop.send_replace(true);
    // The listening socket goes first; until then a connection may still be taken up, and be closed without an answer.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1);
    assert!(asking.await.unwrap().ends_with("late"));
    serving.await.unwrap();
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_their_turn() {
    let socket = loopback();
    let address = socket.address().unwrap();
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(serve(socket, Limits { connections: 1, ..Limits::default() }, who, stopping));
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(&GET[..GET.len() - 2]).await.unwrap();
    let second = tokio::spawn(ask(TcpStream::connect(address).await.unwrap()));
    first.write_all(b"\r\n").await.unwrap();
    let mut answer = String::new();
    first.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"));
    assert!(second.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_setting() {
    let taken = loopback();
    let address = taken.address().unwrap();
    let error = tcp("listen.admin", address).unwrap_err();
    assert_eq!(error.code(), "listen-port-in-use");
    assert!(error.to_string().contains(&address.to_string()) && error.to_string().contains("listen.admin"));
    assert!(error.remedy().unwrap().contains("listen.admin"));
}

#[tokio::test]
async fn a_foreign_address_is_named_as_such() {
    let error = tcp("listen.http", ([192, 0, 2, 1], 0).into()).unwrap_err();
    assert_eq!(error.code(), "listen-address-not-local");
}

#[tokio::test]
async fn only_sockets_that_other_machines_reach_are_far() {
    assert!(loopback().check_near().is_ok());
    let everywhere = tcp("listen.http", ([0, 0, 0, 0], 0).into()).unwrap();
    assert_eq!(everywhere.check_near().unwrap_err().code(), "listen-inherited-far");
    let directory = tempfile::tempdir().unwrap();
    assert!(unix(&directory.path().join("s"), 0o600, None).await.unwrap().check_near().is_ok());
}

#[tokio::test]
async fn only_a_dead_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");

    std::fs::write(&path, "precious").unwrap();
    assert_eq!(unix(&path, 0o600, None).await.unwrap_err().code(), "listen-path-taken");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();

    let alive = UnixListener::bind(&path).unwrap();
    assert_eq!(unix(&path, 0o600, None).await.unwrap_err().code(), "listen-socket-in-use");
    drop(alive);
    assert!(path.exists());
    assert!(unix(&path, 0o600, None).await.is_ok());
}

#[tokio::test]
async fn a_socket_file_that_was_replaced_meanwhile_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let ours = unix(&path, 0o600, None).await.unwrap();
    std::fs::rename(&path, directory.path().join("moved")).unwrap();
    std::fs::write(&path, "another's").unwrap();
    drop(ours);
    assert!(path.exists());
}

#[tokio::test]
async fn long_paths_and_unknown_groups_are_named() {
    let long = std::path::PathBuf::from(format!("/tmp/{}", "x".repeat(120)));
    assert_eq!(unix(&long, 0o600, None).await.unwrap_err().code(), "listen-path-too-long");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    assert_eq!(unix(&path, 0o600, Some("no such group")).await.unwrap_err().code(), "listen-group-unknown");
    assert!(!path.exists());
    let own = rustix::process::getgid().as_raw().to_string();
    assert!(unix(&path, 0o660, Some(&own)).await.is_ok());
    let lost = directory.path().join("no-directory/s");
    assert_eq!(unix(&lost, 0o660, None).await.unwrap_err().code(), "listen-failed");
}

/// The connection is kept.
const KEPT: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_arrive_and_an_idle_connection_are_given_up() {
    for sent in [&GET[..20], KEPT] {
        let (ours, mut theirs) = tokio::io::duplex(4_096);
        let (_stop, stopping) = watch::channel(false);
        let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
        tokio::spawn(converse(ours, peer, Limits::default(), who, stopping));
        theirs.write_all(sent).await.unwrap();
        let mut answer = String::new();
        // It ends only when the connection is closed.
        theirs.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.contains("200 OK"), sent.ends_with(b"\r\n\r\n"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_and_never_reads_is_given_up() {
    let limits = Limits::default();
    // Around the size of hyper's buffer it stops at any point: before an answer, or between its head and its body.
    for length in (0..=limits.head + 512).step_by(32).skip(limits.head / 32 - 16).chain([1]) {
        let (ours, mut theirs) = tokio::io::duplex(256);
        let (_stop, stopping) = watch::channel(false);
        let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
        let long = move |_, _| std::future::ready(Response::new(Full::new(Bytes::from(vec![b'x'; length]))));
        let conversation = tokio::spawn(converse(ours, peer, limits, long, stopping));
        // One request behind the other, until nothing more is taken.
        let asking = tokio::spawn(async move { while theirs.write_all(KEPT).await.is_ok() {} });
        tokio::time::timeout(4 * limits.idle, conversation).await.expect("the connection is closed").unwrap();
        asking.await.unwrap();
    }
}
