//! docs/openapi.json says what the running broker does: every path, method and status of it has an example here, and what
//! the broker does besides is not missing there.

mod fuzzed;
mod grants;
mod page;
mod schema;

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;
use unsecret::dialect;
use unsecret::ids::Door;

use self::page::{Operation, operations};
use crate::support::http::{Answer, Call};
use crate::support::scripted;
use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, World, encoded};

/// What a door can answer with (contract B17), but for 405, which is of the path and not of an operation.
const EVERY: [u16; 10] = [200, 400, 401, 403, 404, 408, 413, 414, 431, 503];

/// A request that is served, for each operation by its name.
fn good(world: &World, operation: &Operation) -> Call {
    let (place, key, what) = (world.http(), world.key.secret().expose(), encoded(GRAPH));
    let shell = |path: &str| match operation.method {
        Method::GET => Call::get(place, format!("{path}?resource={what}")).header("metadata", "true"),
        _ => Call::form(place, path, &[("resource", GRAPH)]).header("metadata", "true"),
    };
    let plain = |path: &str| Call::get(place, format!("{path}?resource={what}")).header("x-identity-header", key);
    match operation.id.as_str() {
        "imds" => world.imds(GRAPH),
        "appService" => world.app_service(GRAPH),
        "oauthV2" => world.oauth(GRAPH),
        "oauthV1" => world.oauth_v1(GRAPH),
        "cloudShell" | "cloudShellGet" => shell("/oauth2/token"),
        "cloudShellKeyed" | "cloudShellKeyedGet" => shell(&format!("/cloud-shell/{key}/oauth2/token")),
        "plainToken" => plain("/token"),
        "plainHeader" => plain("/header"),
        "tokenProxyV2" | "tokenProxyV1" => proxied(world, operation, key),
        "oauthInstance" | "tokenProxyInstance" => {
            // The local authority knows itself alone, the one behind the proxy Entra's.
            let local = operation.id == "oauthInstance";
            let host = if local { format!("http://{place}/") } else { world.emulator.authority_host() };
            let asked = encoded(&format!("{}/{TENANT}/oauth2/v2.0/authorize", host.trim_end_matches('/')));
            Call::get(place, format!("{}?authorization_endpoint={asked}", operation.path))
        }
        _ if operation.is_document() => Call::get(place, operation.path.replace("{tenant}", TENANT)),
        other => panic!("{other} stands in docs/openapi.json and has no example here"),
    }
}

/// With the key where the clients of the token proxy have their assertion.
fn proxied(world: &World, operation: &Operation, key: &str) -> Call {
    let scope = format!("{GRAPH}/.default");
    let what = if operation.id == "tokenProxyV1" { ("resource", GRAPH) } else { ("scope", scope.as_str()) };
    let kind = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let fields = [("grant_type", "client_credentials"), ("client_id", CLIENT), ("client_assertion", key), kind, what];
    Call::form(world.http(), operation.path.replace("{tenant}", TENANT), &fields)
}

/// A request that can never be served: what has to be asked stands twice or not at all, or of a tenant that is not here.
fn senseless(world: &World, operation: &Operation) -> Call {
    match operation.id.as_str() {
        "oauthInstance" | "tokenProxyInstance" => Call::get(world.http(), operation.path.as_str()),
        _ if operation.is_document() => Call::get(world.http(), operation.path.replace("{tenant}", "nowhere.example")),
        _ => good(world, operation).query("resource=a&resource=b").body("resource=a&resource=b"),
    }
}

/// Whoever shows a wrong key, or none where one is demanded.
fn keyless(world: &World, operation: &Operation) -> Call {
    let wrong = "uns_0123456789abcdefghijklmnopqrstuvwxyz";
    match operation.id.as_str() {
        "cloudShell" => Call::form(world.http(), "/oauth2/token", &[("resource", GRAPH)]).header("metadata", "true"),
        "cloudShellKeyed" => {
            let path = format!("/cloud-shell/{wrong}/oauth2/token");
            Call::form(world.http(), path, &[("resource", GRAPH)]).header("metadata", "true")
        }
        "cloudShellGet" => good(world, operation),
        "cloudShellKeyedGet" => {
            let target = format!("/cloud-shell/{wrong}/oauth2/token?resource={}", encoded(GRAPH));
            Call::get(world.http(), target).header("metadata", "true")
        }
        "oauthV2" => world.oauth_as(CLIENT, wrong, GRAPH),
        "oauthV1" => {
            let fields = [
                ("grant_type", "client_credentials"),
                ("client_id", CLIENT),
                ("client_secret", wrong),
                ("resource", GRAPH),
            ];
            Call::form(world.http(), format!("/{TENANT}/oauth2/token"), &fields)
        }
        "tokenProxyV2" | "tokenProxyV1" => proxied(world, operation, wrong),
        "appService" => Call::get(world.http(), format!("/msi/token?api-version=2019-08-01&resource={GRAPH}")),
        _ => Call::get(world.http(), operation.path.as_str())
            .query(&format!("resource={GRAPH}"))
            .header("x-identity-header", wrong),
    }
}

/// Every door is open, and any local caller welcome.
fn open() -> Plan {
    let doors: Vec<_> = Door::ALL.into_iter().map(Door::as_str).collect();
    Plan { listen: format!("doors = {doors:?}"), ..Plan::default() }
}

/// The worlds that one status or another needs.
struct Worlds {
    open: World,
    keyed: World,
    /// One door is open in each.
    closed: [World; 2],
    down: World,
}

impl Worlds {
    async fn new() -> Self {
        let only = |door: &str| Plan { listen: format!("doors = [\"{door}\"]"), ..Plan::default() };
        // A port that nobody listens on.
        let authority_host = Some("https://127.0.0.1:1".to_owned());
        Self {
            open: World::of(open()).await,
            keyed: World::of(Plan { identity: String::new(), ..open() }).await,
            closed: [World::of(only("imds")).await, World::of(only("app-service-2017")).await],
            down: World::of(Plan { authority_host, ..open() }).await,
        }
    }

    /// A request that has to be answered so.
    fn call(&self, operation: &Operation, status: u16) -> Call {
        let call = good(&self.open, operation);
        match status {
            200 => call,
            400 => senseless(&self.open, operation),
            401 => keyless(&self.keyed, operation),
            403 => call.header("via", "1.1 proxy"),
            404 => good(&self.closed[usize::from(operation.id == "imds")], operation),
            413 => call.body("x".repeat(64 * 1024 + 1)),
            414 => call.query(&"x".repeat(4_097)),
            431 => (0..65).fold(call, |call, _| call.header("x-more", "1")),
            503 => good(&self.down, operation),
            other => panic!("{other} stands in docs/openapi.json and has no example here"),
        }
    }
}

/// The statuses that an operation can have.
fn possible(operation: &Operation) -> BTreeSet<u16> {
    // Documents are for everybody, and come from nowhere else.
    let never: &[u16] = match operation.id.as_str() {
        "imds" => &[401],
        // Keys are Entra's, and fetched there.
        id if id.contains("Keys") => &[401],
        _ if operation.is_document() => &[401, 503],
        _ => &[],
    };
    EVERY.into_iter().filter(|status| !never.contains(status)).collect()
}

fn assert_as_described(operation: &Operation, status: u16, answer: &Answer) {
    assert_eq!(answer.status, status, "{}: {}", operation.id, answer.body);
    let described = operation.answer(status);
    for (name, header) in described["headers"].as_object().unwrap() {
        let text = answer.headers.get(name).unwrap_or_else(|| panic!("{} {status}: no {name}", operation.id));
        let text = text.to_str().unwrap();
        let value = text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from);
        schema::check(&header["schema"], &value, &format!("{} {status} {name}", operation.id));
    }
    // What a door sends and the page does not name would be found out by nobody.
    for name in answer.headers.keys().map(http::HeaderName::as_str) {
        let plain = ["content-type", "content-length", "date", "connection"].contains(&name);
        let named = described["headers"].as_object().unwrap().keys().any(|known| known.eq_ignore_ascii_case(name));
        assert!(plain || named, "{} {status}: the header {name} is not in docs/openapi.json", operation.id);
    }
    let body = &described["content"]["application/json"]["schema"];
    schema::check(body, &answer.json(), &format!("{} {status}", operation.id));
}

#[tokio::test]
async fn every_status_of_every_operation_is_what_the_broker_answers() {
    let worlds = Worlds::new().await;
    for operation in operations() {
        let statuses: BTreeSet<u16> = operation.statuses();
        assert_eq!(statuses, possible(&operation), "{}: the statuses of the page and those of the door", operation.id);
        for status in statuses.into_iter().filter(|status| *status != 408) {
            let answer = worlds.call(&operation, status).send().await;
            assert_as_described(&operation, status, &answer);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_answered_as_the_page_says() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    for operation in operations() {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        tokio::spawn(scripted::converse(scripted::front(), server));
        let path = operation.path.replace("{tenant}", TENANT).replace("{key}", "k");
        let head =
            format!("{} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf", operation.method);
        client.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 408 "), "{}: {head}", operation.id);
        let body = serde_json::from_str(body).unwrap();
        let schema = &operation.answer(408)["content"]["application/json"]["schema"];
        schema::check(schema, &body, &operation.id);
    }
}

#[tokio::test]
async fn another_method_is_refused_with_the_ones_that_the_page_has() {
    let world = World::of(open()).await;
    let operations = operations();
    for operation in &operations {
        let same_path = operations.iter().filter(|other| other.path == operation.path);
        let mut known: BTreeSet<String> = same_path.map(|other| other.method.to_string()).collect();
        if operation.is_document() {
            // Said in words there.
            known.insert("HEAD".to_owned());
        }
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::GET, Method::POST] {
            if known.contains(method.as_str()) {
                continue;
            }
            let answer = good(&world, operation).method(method.clone()).send().await;
            assert_eq!(answer.status, 405, "{method} {}", operation.path);
            let allow = answer.headers["allow"].to_str().unwrap().split(", ").map(str::to_owned).collect();
            assert_eq!(known, allow, "{}", operation.path);
        }
    }
}

#[test]
fn the_page_is_of_this_version() {
    assert_eq!(page::document()["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_door_has_its_path_on_the_page() {
    let paths = operations().into_iter().map(|operation| operation.path.replace(['{', '}'], ""));
    let on_the_page: BTreeSet<Door> = paths.map(|path| dialect::route(&path).expect("a door").door()).collect();
    // App Service of 2017 is at the path of its successor.
    let expected = Door::ALL.into_iter().filter(|door| *door != Door::AppService2017).collect();
    assert_eq!(on_the_page, expected);
}

#[tokio::test]
async fn the_pages_for_operators_are_there_and_are_texts() {
    let world = World::new().await;
    for path in page::admin_pages() {
        let answer = Call::get(world.admin(), path.clone()).send().await;
        assert!(answer.status == 200 || path == "/readyz" && answer.status == 503, "{path}: {}", answer.status);
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain"), "{path}");
    }
}
