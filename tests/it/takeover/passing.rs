//! What goes on to the real host, byte for byte, and what comes back.

use http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{HOST, plan, taken};
use crate::support::far_end::{FarEnd, Reply, ca};
use crate::support::http::Call;
use crate::support::world::World;

/// A broker, and a real host that says what it is told.
async fn world(replies: impl IntoIterator<Item = Reply>) -> (World, FarEnd) {
    let ca = ca("real");
    let real = FarEnd::start_as(&ca, HOST, replies).await;
    let plan = plan(&real.address.to_string());
    (World::of(crate::support::world::Plan { ca_pem: Some(ca.certificate_pem().to_owned()), ..plan }).await, real)
}

/// Sends these bytes and gives all that comes back.
async fn raw(world: &World, request: &str) -> String {
    let mut stream = world.tls().named(HOST).connect().await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Without a close_notify where the request asked for the end.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_sign_in_page_is_had_as_if_nobody_stood_between() {
    let headers = [
        ("set-cookie", "a=1; path=/"),
        ("set-cookie", "b=2; path=/"),
        ("location", "https://elsewhere.example/?code=x"),
        ("content-encoding", "br"),
        ("keep-alive", "timeout=5"),
        ("x-ms-request-id", "t"),
    ];
    let (world, real) = world([Reply::http(302, &headers, "not really br")]).await;
    let target = "/common/OAuth2/v2.0/authorize?client_id=x&redirect_uri=https%3A%2F%2Fa%2f&state=a+b%20c&x=~!$*";
    let sent = format!(
        "GET {target} HTTP/1.1\r\nHost: {HOST}\r\nCookie: c=3\r\nOrigin: https://app.example\r\nAccept: text/html\r\n\
         X-Forwarded-For: 10.0.0.1\r\nSec-Fetch-Site: cross-site\r\nVia: 1.1 proxy\r\nX-Own: 1\r\nTE: trailers\r\n\
         Connection: close, X-Own\r\n\r\n"
    );
    let answer = raw(&world, &sent).await;
    let [seen] = &real.seen()[..] else { panic!("one request") };
    let mut lines: Vec<_> = seen.head.trim_end().split("\r\n").map(str::to_owned).collect();
    assert_eq!(lines.remove(0), format!("GET {target} HTTP/1.1"));
    lines.sort();
    let arrived = [
        "accept: text/html",
        "cookie: c=3",
        "host: login.microsoftonline.com",
        "origin: https://app.example",
        "sec-fetch-site: cross-site",
        "unsecret-past: 1",
        "via: 1.1 proxy",
        "x-forwarded-for: 10.0.0.1",
    ];
    assert_eq!(lines, arrived);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 302 "), "{head}");
    assert_eq!(body, "not really br");
    for (name, value) in headers {
        let came = head.contains(&format!("\r\n{name}: {value}"));
        assert_eq!(came, name != "keep-alive", "{name}: {head}");
    }
}

#[tokio::test]
async fn a_body_goes_on_whole_however_it_came() {
    let (world, real) = world([Reply::http(200, &[], "")]).await;
    let head = format!("POST /common/login HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n");
    raw(&world, &format!("{head}Content-Length: 7\r\n\r\nuser=%C")).await;
    raw(&world, &format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")).await;
    raw(&world, &format!("{head}Content-Length: 0\r\n\r\n")).await;
    let seen = real.seen();
    assert_eq!(seen.iter().map(|one| one.body.as_str()).collect::<Vec<_>>(), ["user=%C", "abcde", ""]);
    for (one, length) in seen.iter().zip(["7", "5", "0"]) {
        assert!(one.head.contains(&format!("\r\ncontent-length: {length}\r\n")), "{}", one.head);
        assert!(!one.head.contains("transfer-encoding"), "{}", one.head);
    }
}

#[tokio::test]
async fn the_length_of_what_head_leaves_out_is_told() {
    let (world, _real) = world([Reply::Bytes(b"HTTP/1.1 200 X\r\ncontent-length: 5\r\n\r\n".to_vec())]).await;
    let answer = raw(&world, &format!("HEAD /x HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.contains("\r\ncontent-length: 5\r\n"), "{answer}");
}

#[tokio::test]
async fn what_would_have_to_be_changed_is_refused() {
    let (world, real) = world([Reply::http(200, &[], "")]).await;
    for target in ["/a/../b", "/x?it's", "/a/%2e%2e/b"] {
        let answer = Call::get(taken(&world), target).send().await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{target}");
        assert!(answer.body.contains("target-not-passable"), "{}", answer.body);
    }
    let tunnel = format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\nConnection: close\r\n\r\n");
    let answer = raw(&world, &tunnel).await;
    assert!(answer.contains("target-not-passable"), "{answer}");
    assert!(real.seen().is_empty());
}

#[tokio::test]
async fn what_is_too_large_is_passed_neither_way() {
    let (world, real) = world([Reply::http(200, &[], &"x".repeat((8 << 20) + 1))]).await;
    let answer = Call::form(taken(&world), "/common/login", &[]).body("x".repeat((1 << 20) + 1)).send().await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(real.seen().is_empty());
    let answer = Call::get(taken(&world), "/large").send().await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains("answer-too-large"), "{}", answer.body);
}

#[tokio::test]
async fn a_real_host_that_does_not_answer_is_worth_another_try() {
    let (world, _real) = world([Reply::Reset]).await;
    let answer = Call::get(taken(&world), "/common/x").send().await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "5");
    assert_eq!(answer.json()["error"], "temporarily_unavailable");
    let none = format!("unsecret_passed_through_total{{code=\"none\",host=\"{HOST}\"}}");
    assert!((world.metric(&none).await - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_request_that_comes_back_ends_at_once() {
    // Another unsecret at the real host's address: it knows the mark, and says so.
    let marked = Reply::http(503, &[("unsecret-past", "1")], "{}");
    let (world, real) = world([marked]).await;
    let back =
        raw(&world, &format!("GET /x HTTP/1.1\r\nHost: {HOST}\r\nUnsecret-Past: 1\r\nConnection: close\r\n\r\n")).await;
    assert!(back.starts_with("HTTP/1.1 503") && back.contains("\r\nunsecret-past: 1\r\n"), "{back}");
    assert!(back.contains("takeover-loop"), "{back}");
    assert!(real.seen().is_empty());

    let passed = Call::get(taken(&world), "/x").send().await;
    assert!(passed.body.contains("takeover-loop"), "{}", passed.body);
    let own = world.oauth(crate::support::world::GRAPH).send().await;
    assert_eq!(own.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(own.body.contains("entra-unreached") || own.body.contains("takeover-loop"), "{}", own.body);
}
