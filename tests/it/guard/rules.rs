//! Every rule at every door: the same request with one thing changed.

use http::Method;

use super::assert_refused;
use crate::support::http::Call;
use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, World};

/// One thing that makes an accepted request a refused one.
struct Rule {
    name: &'static str,
    spoil: fn(Call) -> Call,
    status: u16,
    code: &'static str,
    /// The Host header means nothing on the socket.
    tcp_only: bool,
}

const fn rule(name: &'static str, status: u16, code: &'static str, spoil: fn(Call) -> Call) -> Rule {
    Rule { name, spoil, status, code, tcp_only: false }
}

const fn host(name: &'static str, spoil: fn(Call) -> Call) -> Rule {
    Rule { name, spoil, status: 403, code: "host-not-ours", tcp_only: true }
}

/// A byte more than the largest body of all doors: those that pass a user's token on take 64 KiB.
const LARGE: usize = 64 * 1024 + 1;

const RULES: [Rule; 20] = [
    rule("X-Forwarded-For", 403, "request-forwarded", |call| call.header("X-Forwarded-For", "10.0.0.9")),
    rule("X-Forwarded-Host", 403, "request-forwarded", |call| call.header("X-Forwarded-Host", "localhost")),
    rule("X-Forwarded-Proto", 403, "request-forwarded", |call| call.header("x-forwarded-proto", "http")),
    rule("Forwarded", 403, "request-forwarded", |call| call.header("Forwarded", "for=127.0.0.1")),
    rule("Via", 403, "request-forwarded", |call| call.header("Via", "1.1 squid")),
    rule("an empty Forwarded", 403, "request-forwarded", |call| call.header("Forwarded", "")),
    rule("Origin", 403, "request-from-browser", |call| call.header("Origin", "https://evil.example")),
    rule("Origin of this machine", 403, "request-from-browser", |call| call.header("Origin", "http://localhost:4780")),
    rule("Origin null", 403, "request-from-browser", |call| call.header("Origin", "null")),
    rule("Sec-Fetch-Site", 403, "request-from-browser", |call| call.header("Sec-Fetch-Site", "same-origin")),
    host("rebound name", |call| call.header("host", "evil.example")),
    host("rebound name with our port", |call| call.header("host", "evil.example:4780")),
    host("name that begins like ours", |call| call.header("host", "localhost.evil.example")),
    host("address that begins like ours", |call| call.header("host", "127.0.0.1.evil.example")),
    host("address of the network", |call| call.header("host", "10.0.0.1")),
    host("user before an address", |call| call.header("host", "localhost@evil.example")),
    rule("65 headers more", 431, "too-many-headers", |call| (0..65).fold(call, |call, _| call.header("x-more", "1"))),
    rule("a long query", 414, "target-too-long", |call| call.query(&format!("more={}", "x".repeat(4_096)))),
    rule("a large body", 413, "body-too-large", |call| call.body("x".repeat(LARGE))),
    rule("another method", 405, "method-not-allowed", |call| call.method(Method::PUT)),
];

#[tokio::test]
async fn every_rule_refuses_at_every_door_in_its_own_shape() {
    let world = World::new().await;
    for (door, call) in world.every_door(GRAPH).into_iter().chain(world.more_doors(GRAPH)) {
        assert_eq!(call.clone().send().await.status, 200, "{door}: only what follows is wrong");
        for rule in &RULES {
            println!("{door}: {}", rule.name);
            let answer = (rule.spoil)(call.clone()).send().await;
            assert_refused(door, &answer, rule.status, rule.code);
            let allow = answer.headers.get("allow").map(|allow| allow.to_str().unwrap());
            let method = match door {
                "cloud-shell" | "cloud-shell with a key" => "GET, POST",
                _ if door.starts_with("oauth") => "POST",
                _ => "GET",
            };
            assert_eq!(allow, (rule.status == 405).then_some(method));
        }
    }
    assert_eq!(world.exchanges(), 1, "what is refused causes no exchange");
}

#[tokio::test]
async fn on_the_socket_every_rule_holds_but_those_of_the_host() {
    let world = World::of(Plan { unix: true, ..Plan::default() }).await;
    for (door, call) in world.every_door(GRAPH).into_iter().chain(world.more_doors(GRAPH)) {
        for rule in &RULES {
            println!("{door}: {}", rule.name);
            let answer = (rule.spoil)(call.clone().at(world.unix())).send().await;
            if rule.tcp_only {
                assert_eq!(answer.status, 200);
            } else {
                assert_refused(door, &answer, rule.status, rule.code);
            }
        }
    }
}

#[tokio::test]
async fn every_rule_guards_documents_and_the_token_proxy_too() {
    let world = World::of(Plan { listen: "doors = [\"oauth\", \"token-proxy\"]".to_owned(), ..Plan::default() }).await;
    let (key, scope) = (world.key.secret().expose(), format!("{GRAPH}/.default"));
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", key),
        ("scope", &scope),
    ];
    let document = format!("/{TENANT}/v2.0/.well-known/openid-configuration");
    for (door, allowed, call) in [
        ("oauth", "GET, HEAD", Call::get(world.http(), document.clone())),
        ("token-proxy", "GET, HEAD", Call::get(world.http(), format!("/token-proxy{document}"))),
        ("token-proxy", "POST", Call::form(world.http(), format!("/token-proxy/{TENANT}/oauth2/v2.0/token"), &fields)),
    ] {
        assert_eq!(call.clone().send().await.status, 200, "{door}: only what follows is wrong");
        for rule in &RULES {
            println!("{door}: {}", rule.name);
            let answer = (rule.spoil)(call.clone()).send().await;
            assert_refused(door, &answer, rule.status, rule.code);
            let allow = answer.headers.get("allow").map(|allow| allow.to_str().unwrap());
            assert_eq!(allow, (rule.status == 405).then_some(allowed));
        }
    }
}

#[tokio::test]
async fn what_honest_clients_send_passes() {
    let plan = Plan { listen: "hosts = [\"sidecar.internal\"]".to_owned(), ..Plan::default() };
    let world = World::of(plan).await;
    for (door, call) in world.every_door(GRAPH).into_iter().chain(world.more_doors(GRAPH)) {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:4780", "169.254.169.254", "sidecar.internal:4780"]
        {
            assert_eq!(call.clone().header("host", host).send().await.status, 200, "{door} {host}");
        }
        // Node's fetch sends it, without being a browser.
        assert_eq!(call.clone().header("sec-fetch-mode", "cors").send().await.status, 200, "{door}");
        let many = (0..50).fold(call, |call, n| call.header(&format!("x-{n}"), "1"));
        assert_eq!(many.send().await.status, 200, "{door}");
    }
}

#[tokio::test]
async fn a_probe_is_answered_at_once_with_400_to_the_letter() {
    let world = World::of(Plan { fault: Some(unsecret::emulator::Fault::Hang), ..Plan::default() }).await;
    let probes = [
        Call::get(world.http(), "/metadata/identity/oauth2/token"),
        Call::get(world.http(), "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=x&msi-res-id=y"),
    ];
    for (n, probe) in probes.into_iter().enumerate() {
        let answer = probe.send().await;
        assert_eq!(answer.status, 400, "probe {n}");
        let exact = r#"{"error":"invalid_request","error_description":"Required metadata header not specified"}"#;
        assert_eq!(answer.body, exact, "probe {n}");
    }
    let bare = Call::get(world.http(), format!("/msi/token?api-version=2019-08-01&resource={GRAPH}"));
    assert_refused("app-service", &bare.header("metadata", "true").send().await, 401, "key-header-missing");
}

#[tokio::test]
async fn what_is_no_door_is_404_and_never_elsewhere() {
    let world = World::new().await;
    for path in [
        "/",
        "/metadata/instance?api-version=2021-02-01",
        "/metadata/instance/compute/location?api-version=2021-02-01&format=text",
        "/metadata/identity/getplatformmetadata?cred-api-version=2.0",
        "/metadata/identity/issuecredential",
        "/metadata/identity/oauth2/token/more",
        "/metadata/identity/oauth2%2ftoken",
        "/%6detadata/identity/oauth2/token",
        "/metadata/identity/./oauth2/token",
        "/x/../msi/token",
        "/msi/token;x",
        "/latest/meta-data/iam/security-credentials/",
        "/computeMetadata/v1/instance/service-accounts/default/token",
        "/metrics",
        "/readyz?verbose",
        &format!("/{TENANT}/v2.0/.well-known/oauth-authorization-server"),
        &format!("/{TENANT}/oauth2/v2.0/authorize"),
        &format!("/{TENANT}/oauth2/v2.0/token/../../token"),
    ] {
        for method in [Method::GET, Method::POST, Method::OPTIONS, Method::DELETE] {
            let call = Call::get(world.http(), path).method(method.clone());
            let key = world.key.secret().expose();
            let answer = call.header("metadata", "true").header("x-identity-header", key).send().await;
            assert_refused("none", &answer, 404, "no-such-path");
            assert!(!answer.headers.contains_key("location"), "{method} {path}");
        }
    }
    assert_eq!(world.exchanges(), 0);
}

#[tokio::test]
async fn a_bound_token_is_refused_and_never_downgraded() {
    let world = World::new().await;
    for more in ["token_type=pop", "token_type=mtls_pop", "req_cnf=eyJraWQiOiJ4In0", "token_type=Bearer&req_cnf=x"] {
        let key = world.key.secret().expose();
        let common = format!("grant_type=client_credentials&client_id={CLIENT}&client_secret={key}");
        for (door, path, what) in [
            ("oauth v2", format!("/{TENANT}/oauth2/v2.0/token"), format!("scope={GRAPH}/.default")),
            ("oauth v1", format!("/{TENANT}/oauth2/token"), format!("resource={GRAPH}")),
        ] {
            let call = Call::form(world.http(), path, &[]).body(format!("{common}&{what}&{more}"));
            assert_refused(door, &call.send().await, 400, "bound-token-unsupported");
        }
    }
    assert_eq!(world.exchanges(), 0);
}
