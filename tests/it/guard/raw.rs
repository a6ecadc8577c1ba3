//! What no HTTP library would send: written byte by byte.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::world::{CLIENT, GRAPH, TENANT, World, encoded};

/// Everything that comes back until the broker closes, which the last request must ask for.
async fn exchange(world: &World, text: &str) -> String {
    let mut stream = TcpStream::connect(world.http()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn statuses(answers: &str) -> Vec<&str> {
    let first_lines = answers.split("HTTP/1.").skip(1).filter_map(|text| text.split_once(' '));
    // Our own texts speak of HTTP/1.1, too.
    first_lines.map(|(_, rest)| &rest[..3]).filter(|status| status.bytes().all(|byte| byte.is_ascii_digit())).collect()
}

fn target() -> String {
    format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={}", encoded(GRAPH))
}

/// A request for a token that only its first line and these header lines can spoil.
fn imds(target: &str, version: &str, lines: &str) -> String {
    format!("GET {target} {version}\r\nMetadata: true\r\n{lines}Connection: close\r\n\r\n")
}

#[tokio::test]
async fn one_host_header_and_a_target_that_agrees() {
    let world = World::new().await;
    let path = target();
    let local = "Host: localhost\r\n";
    for (what, target, lines, wanted) in [
        ("one Host", path.clone(), local, "200"),
        ("absolute form", format!("http://localhost:4780{path}"), local, "200"),
        ("no Host", path.clone(), "", "400"),
        ("two Hosts", path.clone(), "Host: localhost\r\nHost: evil.example\r\n", "400"),
        ("two equal Hosts", path.clone(), "Host: localhost\r\nHost: localhost\r\n", "400"),
        ("foreign absolute form", format!("http://evil.example{path}"), local, "403"),
        ("absolute form, foreign Host", format!("http://localhost{path}"), "Host: evil.example\r\n", "403"),
        ("user in absolute form", format!("http://localhost@evil.example{path}"), local, "403"),
        ("port and user in absolute form", format!("http://localhost:80@evil.example{path}"), local, "403"),
        ("folded Host", path.clone(), "Host: localhost\r\n evil.example\r\n", "400"),
        ("space before the colon", path.clone(), "Host : localhost\r\n", "400"),
        ("authority form", "localhost:4780".to_owned(), local, "404"),
        ("asterisk form", "*".to_owned(), local, "404"),
    ] {
        let answer = exchange(&world, &imds(&target, "HTTP/1.1", lines)).await;
        assert_eq!(statuses(&answer), [wanted], "{what}: {answer}");
    }
}

#[tokio::test]
async fn older_and_newer_versions_of_http_open_nothing() {
    let world = World::new().await;
    let path = target();
    assert_eq!(statuses(&exchange(&world, &imds(&path, "HTTP/1.0", "")).await), ["400"], "no Host, no token");
    assert_eq!(statuses(&exchange(&world, &imds(&path, "HTTP/1.0", "Host: evil.example\r\n")).await), ["403"]);
    assert_eq!(statuses(&exchange(&world, &imds(&path, "HTTP/1.0", "Host: localhost\r\n")).await), ["200"]);
    for preface in [
        format!("GET {path}\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        imds(&path, "HTTP/2.0", "Host: localhost\r\n"),
        "CONNECT login.microsoftonline.com:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".repeat(40),
    ] {
        let answer = exchange(&world, &preface).await;
        assert!(statuses(&answer).iter().all(|status| status.starts_with('4')), "{preface:?}: {answer}");
        assert!(!answer.contains("access_token"));
    }
    let upgrade = "Host: localhost\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    assert_eq!(statuses(&exchange(&world, &imds(&path, "HTTP/1.1", upgrade)).await), ["200"], "the upgrade is ignored");
}

#[tokio::test]
async fn pipelined_requests_are_judged_one_by_one() {
    let world = World::new().await;
    let good = format!("GET {} HTTP/1.1\r\nHost: localhost\r\nMetadata: true\r\n\r\n", target());
    let rebound = good.replace("localhost", "evil.example");
    let probe = good.replace("Metadata: true\r\n", "");
    let last = imds("/metadata/instance", "HTTP/1.1", "Host: localhost\r\n");
    let answers = exchange(&world, &format!("{good}{rebound}{probe}{good}{last}")).await;
    assert_eq!(statuses(&answers), ["200", "403", "400", "200", "404"]);
}

/// Two ends for one body: where another program stands between and believes in the other end, a stranger could put a
/// request into somebody else's connection.
#[tokio::test]
async fn a_request_with_two_ends_is_the_last_of_its_connection() {
    let world = World::new().await;
    let smuggled = format!("GET {} HTTP/1.1\r\nHost: localhost\r\nMetadata: true\r\n\r\n", target());
    let chunked = format!("0\r\n\r\n{smuggled}");
    let head = format!("POST /{TENANT}/oauth2/v2.0/token HTTP/1.1\r\nHost: localhost\r\n");
    for lines in [
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", chunked.len()),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", chunked.len()),
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\n".to_owned(),
    ] {
        let answers = exchange(&world, &format!("{head}{lines}\r\n{chunked}")).await;
        assert_eq!(statuses(&answers), ["400"], "{lines}: {answers}");
        assert!(answers.contains("connection: close"), "{answers}");
    }
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
    ] {
        let answers = exchange(&world, &format!("{head}{lines}\r\n{chunked}")).await;
        assert_eq!(statuses(&answers), ["400"], "{lines}: {answers}");
    }
    assert_eq!(world.exchanges(), 0, "what was smuggled was not served");
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_off_at_the_limit() {
    let world = World::new().await;
    let key = world.key.secret().expose();
    for head in [
        format!("POST /{TENANT}/oauth2/v2.0/token HTTP/1.1\r\nHost: localhost\r\n"),
        format!("POST /{TENANT}/oauth2/token HTTP/1.1\r\nHost: localhost\r\n"),
        format!("GET {} HTTP/1.1\r\nHost: localhost\r\nMetadata: true\r\n", target()),
        format!("GET /msi/token?api-version=2019-08-01 HTTP/1.1\r\nHost: localhost\r\nX-IDENTITY-HEADER: {key}\r\n"),
    ] {
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        let answer = exchange(&world, &format!("{head}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(17))).await;
        assert_eq!(statuses(&answer), ["413"], "{answer}");
        assert!(answer.contains("body-too-large"), "{answer}");
    }
}

#[tokio::test]
async fn heads_beyond_every_measure_are_refused_without_a_token() {
    let world = World::new().await;
    let path = target();
    let many = "x: y\r\n".repeat(150);
    let large = format!("x: {}\r\n", "y".repeat(20_000));
    for lines in [many, large] {
        let answer = exchange(&world, &imds(&path, "HTTP/1.1", &format!("Host: localhost\r\n{lines}"))).await;
        assert_eq!(statuses(&answer), ["431"], "{answer}");
    }
    let answer =
        exchange(&world, &imds(&format!("{path}{}", "x".repeat(5_000)), "HTTP/1.1", "Host: localhost\r\n")).await;
    assert_eq!(statuses(&answer), ["414"], "{answer}");
}

/// A browser may post such a form to any address without asking first; it always says where it comes from.
#[tokio::test]
async fn a_form_posted_by_a_web_page_gets_nothing() {
    let world = World::new().await;
    let form =
        format!("grant_type=client_credentials&client_id={CLIENT}&scope={}", encoded(&format!("{GRAPH}/.default")));
    let post = |lines: &str| {
        format!(
            "POST /{TENANT}/oauth2/v2.0/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n{lines}\r\n{form}",
            form.len()
        )
    };
    assert_eq!(statuses(&exchange(&world, &post("")).await), ["200"], "any local caller, no key");
    let page = exchange(&world, &post("Origin: https://evil.example\r\n")).await;
    assert_eq!(statuses(&page), ["403"]);
    assert!(!page.contains("access-control-"), "{page}");
    let preflight = "OPTIONS /msi/token HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\
                     Access-Control-Request-Headers: x-identity-header\r\nConnection: close\r\n\r\n";
    let answer = exchange(&world, preflight).await;
    assert_eq!(statuses(&answer), ["403"]);
    assert!(!answer.contains("access-control-"), "{answer}");
}
