//! Whole requests through the front with scripted mints: answers, refusals, reload, counting.

mod doors;
mod stage;

use std::io::Write as _;

use serde_json::Value;
use tokio::sync::Semaphore;

use self::stage::{
    GOOD, GRAPH, KEY_ONE, KEY_TWO, Scripted, app_service, client_id, entry, imds, key, oauth, open, request, stage,
    tcp, two_keys, wiring,
};
use super::*;
use crate::fault::Class;
use crate::policy::Allowed;

#[tokio::test]
async fn every_door_gives_the_token_and_only_the_headers_it_needs() {
    let stage = open();
    let v1 = oauth(&client_id('3'), "any").replace("/v2.0", "").replace("scope=", "resource=").replace("/.default", "");
    for text in [imds(), app_service("any"), oauth(&client_id('3'), "any"), v1] {
        let (status, headers, body) = stage.ask(tcp(), &text).await;
        assert_eq!((status, &body["access_token"]), (200, &Value::from(format!("one.{GRAPH}.sig"))), "{text}");
        let wanted = [("content-type", "application/json"), ("cache-control", "no-store"), ("pragma", "no-cache")];
        assert_eq!(headers.len(), wanted.len(), "{headers:?}");
        for (name, value) in wanted {
            assert_eq!(headers[name], value);
        }
    }
}

#[tokio::test]
async fn the_life_that_is_told_falls_with_the_clock_on_every_door() {
    let stage = open();
    for text in [imds(), app_service("any"), oauth(&client_id('3'), "any")] {
        let seconds = |body: &Value| body["expires_in"].to_string().trim_matches('"').parse::<u64>().unwrap();
        let before = seconds(&stage.ask(tcp(), &text).await.2);
        stage.clock.advance(Duration::from_secs(100));
        assert_eq!(seconds(&stage.ask(tcp(), &text).await.2), before - 100, "{text}");
    }
}

#[tokio::test]
async fn two_identities_and_two_keys_never_cross() {
    let stage = two_keys();
    for (id, key, name) in
        [('1', KEY_ONE, Some("one")), ('2', KEY_TWO, Some("two")), ('1', KEY_TWO, None), ('2', KEY_ONE, None)]
    {
        let (status, _, body) = stage.ask(tcp(), &oauth(&client_id(id), key)).await;
        let named = app_service(key).replace('?', &format!("?client_id={}&", client_id(id)));
        let (app_status, _, app_body) = stage.ask(tcp(), &named).await;
        if let Some(name) = name {
            let token = Value::from(format!("{name}.{GRAPH}.sig"));
            assert_eq!((status, &body["access_token"]), (200, &token));
            assert_eq!((app_status, &app_body["access_token"]), (200, &token));
            let (_, _, by_key) = stage.ask(tcp(), &app_service(key)).await;
            assert_eq!(by_key["access_token"], token);
        } else {
            assert_eq!((status, &body["error_codes"]), (401, &serde_json::json!([7_000_215])));
            assert_eq!(app_status, 401);
        }
    }
    assert_eq!(stage.ask(tcp(), &imds().replace('?', &format!("?client_id={}&", client_id('1')))).await.0, 403);
}

#[tokio::test]
async fn each_guard_rule_refuses_in_the_shape_of_its_door() {
    let stage = open();
    let rules = [
        ("x-forwarded-for: 1.2.3.4", 403, "request-forwarded"),
        ("forwarded: for=1.2.3.4", 403, "request-forwarded"),
        ("origin: https://evil.example", 403, "request-from-browser"),
        ("sec-fetch-site: cross-site", 403, "request-from-browser"),
        ("host: evil.example", 403, "host-not-ours"),
        ("content-length: 99999", 413, "body-too-large"),
    ];
    for (header, wanted, code) in rules {
        for (door, text) in
            [("imds", imds()), ("app-service", app_service("k")), ("oauth", oauth(&client_id('3'), "k"))]
        {
            let text = text.replacen('\n', &format!("\n{header}\n"), 1);
            let (status, _, body) = stage.ask(tcp(), &text).await;
            assert_eq!(status, wanted, "{door} {header}");
            let message = if door == "app-service" {
                assert_eq!(body["statusCode"], wanted);
                assert!(body["correlationId"].is_string());
                &body["message"]
            } else {
                assert!(body["error"].is_string() && body["error_codes"].is_array(), "{body}");
                &body["error_description"]
            };
            assert!(message.as_str().unwrap().contains(code), "{body}");
            assert!(stage.heard().last().unwrap().starts_with(&format!("refused {door} ")), "{:?}", stage.heard());
        }
    }
}

#[tokio::test]
async fn a_probe_is_answered_with_400_and_other_paths_with_404() {
    let stage = open();
    for text in ["GET /metadata/identity/oauth2/token", "HEAD /metadata/identity/oauth2/token?x=y"] {
        let (status, _, body) = stage.ask(tcp(), text).await;
        assert_eq!((status, &body["error_description"]), (400, &"Required metadata header not specified".into()));
    }
    for path in ["/metadata/instance/compute?api-version=2021-02-01", "/", "/metadata/identity/getplatformmetadata"] {
        let (status, headers, body) = stage.ask(tcp(), &format!("GET {path}\nmetadata: true")).await;
        assert_eq!((status, headers.contains_key("location")), (404, false));
        assert!(body["error"].is_string());
    }
}

#[tokio::test]
async fn who_shows_a_wrong_key_to_the_oauth_door_is_told_about_http_basic() {
    let stage = stage(vec![(entry("one", '1', vec![key(KEY_ONE)], false), GOOD)]);
    let (status, headers, _) = stage.ask(tcp(), &oauth(&client_id('1'), "wrong")).await;
    assert_eq!((status, headers["www-authenticate"].to_str().unwrap()), (401, "Basic realm=\"unsecret\""));
    let (status, headers, _) = stage.ask(tcp(), &app_service("wrong")).await;
    assert_eq!((status, headers.contains_key("www-authenticate")), (401, false));
}

#[tokio::test]
async fn other_methods_get_405_with_what_is_allowed() {
    let stage = open();
    for method in ["HEAD", "OPTIONS", "POST", "PUT"] {
        let (status, headers, _) = stage.ask(tcp(), &imds().replacen("GET", method, 1)).await;
        assert_eq!((status, headers["allow"].to_str().unwrap()), (405, "GET"), "{method}");
    }
    let (status, headers, body) = stage.ask(tcp(), &oauth(&client_id('3'), "k").replacen("POST", "GET", 1)).await;
    assert_eq!((status, headers["allow"].to_str().unwrap()), (405, "POST"));
    assert!(body["error_codes"].is_array());
}

#[tokio::test]
async fn a_passing_failure_is_503_with_retry_after_on_every_door() {
    let failing = Scripted { fails: Some(Class::Transient), ..GOOD };
    let stage = stage(vec![(entry("open", '3', vec![], true), failing)]);
    for text in [imds(), app_service("k"), oauth(&client_id('3'), "k")] {
        let (status, headers, body) = stage.ask(tcp(), &text).await;
        assert_eq!(status, 503, "{body}");
        let seconds: u64 = headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=5).contains(&seconds), "{seconds}");
    }
    assert!(stage.heard().is_empty(), "an outage is not the caller's fault");
}

#[tokio::test]
async fn what_a_reload_withdraws_is_refused_though_the_token_is_held() {
    let stage = two_keys();
    assert_eq!(stage.ask(tcp(), &app_service(KEY_ONE)).await.0, 200);
    let mut narrower = entry("one", '1', vec![key(KEY_ONE)], false);
    narrower.allowed = Allowed::Listed(vec![]);
    let next = wiring(vec![(narrower, GOOD)], &stage.clock, &stage.heard);
    next.broker.adopt(&stage.front.wiring().broker);
    stage.front.rewire(next);
    assert_eq!(stage.ask(tcp(), &app_service(KEY_ONE)).await.0, 403);
    assert_eq!(stage.ask(tcp(), &app_service(KEY_TWO)).await.0, 401);
}

#[tokio::test]
async fn a_large_body_is_refused_though_its_length_was_not_told() {
    let stage = open();
    let text = format!("{}&padding={}", oauth(&client_id('3'), "k"), "x".repeat(guard::largest_body(Door::Oauth)));
    let (status, _, body) = stage.ask(tcp(), &text).await;
    assert_eq!(status, 413, "{body}");
}

#[tokio::test]
async fn the_first_use_by_a_caller_is_told_once() {
    let stage = open();
    let unix = Peer::Unix { uid: 7, gid: 8, pid: None };
    for peer in [tcp(), tcp(), unix, unix] {
        assert_eq!(stage.ask(peer, &imds()).await.0, 200);
    }
    assert_eq!(stage.heard(), ["first open imds 127.0.0.1", "first open imds uid 7 gid 8"]);
}

#[tokio::test]
async fn answers_are_counted_and_only_those_that_waited_are_timed() {
    let stage = open();
    for _ in 0..3 {
        assert_eq!(stage.ask(tcp(), &imds()).await.0, 200);
    }
    assert_eq!(stage.ask(tcp(), "GET /nowhere").await.0, 404);
    let text = stage.metrics.scrape(&stage.front.wiring().broker.status(), true);
    assert!(text.contains(r#"unsecret_http_requests_total{code="200",dialect="imds"} 3"#), "{text}");
    assert!(text.contains(r#"unsecret_http_requests_total{code="404",dialect="other"} 1"#), "{text}");
    assert!(text.contains(r#"unsecret_http_request_duration_seconds_count{dialect="imds"} 1"#), "{text}");
}

#[tokio::test]
async fn many_callers_of_a_cold_slot_share_one_exchange() {
    let gate = Arc::new(Semaphore::new(0));
    let gated = Scripted { gate: Some(Arc::clone(&gate)), ..GOOD };
    let stage = stage(vec![(entry("open", '3', vec![], true), gated)]);
    let ask = || {
        let front = Arc::clone(&stage.front);
        tokio::spawn(async move { front.answer(tcp(), request(&imds())).await.status() })
    };
    let asking: Vec<_> = (0..100).map(|_| ask()).collect();
    // One permit: a second exchange would wait for ever.
    gate.add_permits(1);
    for answer in asking {
        assert_eq!(answer.await.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn on_the_wire_a_head_request_has_no_body_and_nothing_names_the_server() {
    let stage = open();
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let front = Arc::clone(&stage.front);
    let service = hyper::service::service_fn(move |request| {
        let front = Arc::clone(&front);
        async move { Ok::<_, std::convert::Infallible>(front.answer(tcp(), request).await) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    tokio::spawn(http.serve_connection(hyper_util::rt::TokioIo::new(ours), service));
    let (mut reader, mut writer) = tokio::io::split(theirs);
    let mut text = Vec::new();
    write!(text, "HEAD /msi/token HTTP/1.1\r\nHost: localhost\r\nsecret: k\r\nConnection: close\r\n\r\n").unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut writer, &text).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut reader, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(!answer.to_ascii_lowercase().contains("server:"), "{answer}");
}

/// A body of which nothing ever comes.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let stage = open();
    let request = request(&oauth(&client_id('3'), "k")).map(|_| Endless);
    assert_eq!(stage.front.answer(tcp(), request).await.status(), StatusCode::REQUEST_TIMEOUT);
}
