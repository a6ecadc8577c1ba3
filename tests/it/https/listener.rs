//! The listener itself: slow peers, plain peers, the end of it.

use rustls::ProtocolVersion;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::world::{GRAPH, Plan, World};

async fn world() -> World {
    World::of(Plan { https: true, ..Plan::default() }).await
}

#[tokio::test]
async fn peers_that_never_shake_hands_keep_nobody_waiting() {
    let world = world().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(world.https()).await.unwrap());
    }
    let mut halfway = TcpStream::connect(world.https()).await.unwrap();
    // The head of a TLS record that says more than ever comes.
    halfway.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
    assert_eq!(world.imds(GRAPH).at(world.tls()).send().await.status, 200);
}

#[tokio::test]
async fn who_speaks_no_tls_gets_no_answer_in_http() {
    let world = world().await;
    let mut plain = TcpStream::connect(world.https()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Closed with an alert, or reset.
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
}

#[tokio::test]
async fn it_speaks_tls_1_3_and_http_1_1() {
    let world = world().await;
    let stream = world.tls().connect().await.unwrap();
    let session = stream.get_ref().1;
    assert_eq!(session.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_handshake() {
    let world = world().await;
    let mut silent = TcpStream::connect(world.https()).await.unwrap();
    // Accepted before this one is.
    assert_eq!(world.imds(GRAPH).at(world.tls()).send().await.status, 200);
    world.app.stop().await;
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}
