//! Senders that hold a connection open on purpose, with paused time on streams in memory.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::assert_refused;
use crate::support::http::Answer;
use crate::support::scripted;
use crate::support::world::TENANT;

/// Sends this much and then nothing; what comes back, and after how long.
async fn stall(text: &str) -> (Answer, Duration) {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    tokio::spawn(scripted::converse(scripted::front(), server));
    #[expect(clippy::disallowed_methods, reason = "paused time, which no `Clock` of ours tells")]
    let started = Instant::now();
    client.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    (parse(&answer), started.elapsed())
}

fn parse(text: &str) -> Answer {
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Answer { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: text.to_owned() };
    };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let fields = head.lines().skip(1).map(|line| line.split_once(": ").unwrap());
    let headers = fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    Answer { status, headers, body: body.to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up_at_every_door() {
    let lines = "HTTP/1.1\r\nHost: localhost\r\nMetadata: true\r\nX-IDENTITY-HEADER: k\r\n";
    for (door, start) in [
        ("imds", "GET /metadata/identity/oauth2/token".to_owned()),
        ("app-service", "GET /msi/token".to_owned()),
        ("oauth v2", format!("POST /{TENANT}/oauth2/v2.0/token")),
        ("oauth v1", format!("POST /{TENANT}/oauth2/token")),
        ("app-service-2017", "GET /msi/token?api-version=2017-09-01".to_owned()),
        ("cloud-shell", "POST /cloud-shell/k/oauth2/token".to_owned()),
        ("plain", "GET /header".to_owned()),
    ] {
        for promise in ["Content-Length: 100\r\n\r\nhalf of it", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf"] {
            let (answer, took) = stall(&format!("{start} {lines}{promise}")).await;
            assert_refused(door, &answer, 408, "body-incomplete");
            assert!((10..=11).contains(&took.as_secs()), "{door}: {took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_ends_the_connection() {
    for start in ["", "GET /msi/token HTTP/1.1\r\nHost: localhost\r\nX-Sl"] {
        let (answer, took) = stall(start).await;
        assert!(answer.body.is_empty(), "{}", answer.body);
        assert!((120..=121).contains(&took.as_secs()), "{took:?}");
    }
}
