//! Covers: src/dialect/mod.rs src/dialect/imds.rs src/dialect/app_service.rs src/dialect/oauth.rs src/dialect/oauth/relay.rs src/dialect/cloud_shell.rs src/dialect/plain.rs src/dialect/barrier.rs src/dialect/fields.rs src/dialect/document.rs src/dialect/token_proxy.rs src/dialect/renewal.rs src/claims.rs
//!
//! A request as a stranger sends it. What is read can be written down in one canonical form and read again, to the same
//! ask; what is refused gets a body that its clients can parse, with a 4xx, and without any secret of the request.
#![no_main]

use http::{HeaderMap, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use unsecret::claims::Claims;
use unsecret::clock::{Clock as _, ManualClock};
use unsecret::dialect::{Dialect, Document, Heard, Refusal, Request, Version, refuse_elsewhere, route};
use unsecret::ids::{Door, Resource};
use unsecret::policy::{Ask, Renew, Selector};
use unsecret_fuzz::{Message, assert_silent};

fuzz_target!(|input: &[u8]| {
    let Some(message) = Message::of(input) else { return };
    let Some((method, target)) = message.first.split_once(' ') else { return };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(dialect) = route(path) else { return };
    let request = Request { method: &method, path, query, headers: &message.headers, body: message.body };
    match dialect.read(&request) {
        Ok(Heard::Ask(ask)) => {
            // What is counted and closed by is what policy is told.
            assert_eq!(ask.door, dialect.door_of(query, &message.headers));
            accepted(dialect, path, &ask);
        }
        Ok(Heard::Relay(relay)) => {
            assert_eq!(relay.ask.door, dialect.door_of(query, &message.headers));
            // Whoever the caller is and what proves it stays here, however it was spelled.
            let ours = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];
            assert!(!relay.form.fields.iter().any(|(name, _)| ours.iter().any(|one| one.eq_ignore_ascii_case(name))));
            assert_silent(&format!("{:?}", relay.form));
        }
        Ok(Heard::Document(document)) => found_again(dialect, path, &document),
        Err(rejected) => {
            let refusal = Refusal::of_rejected(&rejected);
            assert!(refusal.status.is_client_error(), "{}", refusal.status);
            let now = ManualClock::standing(1_800_000_000).now();
            for body in [dialect.refuse(&refusal, now), refuse_elsewhere(&refusal, now)] {
                let object: serde_json::Value = serde_json::from_slice(&body).expect("a JSON body");
                assert!(object.is_object());
                assert_silent(&String::from_utf8_lossy(&body));
            }
            assert_silent(&format!("{rejected:?}"));
        }
    }
});

fn accepted(dialect: &dyn Dialect, path: &str, ask: &Ask<'_>) {
    assert!(Resource::check(&ask.resource).is_ok(), "{:?}", ask.resource);
    match ask.door {
        Door::Imds => assert!(ask.key.is_none() && ask.tenant.is_none()),
        Door::AppService | Door::AppService2017 => {
            assert!(ask.key.as_ref().is_some_and(|key| !key.is_empty()) && ask.tenant.is_none())
        }
        Door::CloudShell => {
            assert!(ask.tenant.is_none());
            assert_eq!(ask.key.is_some(), path.to_ascii_lowercase().contains("cloud-shell"));
        }
        Door::Plain => assert!(ask.tenant.is_none()),
        Door::Oauth | Door::TokenProxy => {
            assert!(matches!(ask.selector, Selector::ClientId(_)));
            assert!(ask.tenant.as_ref().is_some_and(|tenant| path.contains(&**tenant)));
        }
    }
    // A key that nobody can send as plain text in canonical form is none of a header's.
    let key_is_plain = ask.key.as_ref().is_none_or(|key| HeaderValue::try_from(&**key).is_ok());
    if key_is_plain && ask.raw_key.is_none() {
        read_again(dialect, path, ask);
    }
}

/// Writes the ask in the form that the contract shows for its door, and expects it back.
fn read_again(dialect: &dyn Dialect, path: &str, ask: &Ask<'_>) {
    let mut fields = vec![("resource", ask.resource.to_string())];
    match &ask.selector {
        Selector::None => {}
        Selector::ClientId(id) => fields.push(("client_id", id.to_string())),
        Selector::ObjectId(id) => fields.push(("object_id", id.to_string())),
        Selector::ResourceId(id) => fields.push(("mi_res_id", id.to_string())),
    }
    let mut headers = HeaderMap::new();
    let is_form = matches!(ask.door, Door::Oauth | Door::TokenProxy | Door::CloudShell);
    let method = if is_form { Method::POST } else { Method::GET };
    if is_form {
        headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    }
    let key = || HeaderValue::try_from(ask.key.as_deref().unwrap_or_default()).expect("checked before");
    match ask.door {
        Door::Imds => {
            headers.insert("metadata", HeaderValue::from_static("true"));
            fields.push(("api-version", "2018-02-01".into()));
        }
        Door::AppService => {
            headers.insert("x-identity-header", key());
            fields.push(("api-version", "2019-08-01".into()));
        }
        Door::AppService2017 => {
            headers.insert("secret", key());
            fields.push(("api-version", "2017-09-01".into()));
        }
        // The key is in the path.
        Door::CloudShell => _ = headers.insert("metadata", HeaderValue::from_static("true")),
        Door::Plain => {
            headers.insert("x-identity-header", key());
            headers.insert("metadata", HeaderValue::from_static("true"));
        }
        Door::Oauth | Door::TokenProxy => {
            fields.push(("grant_type", "client_credentials".into()));
            let key_field = if ask.door == Door::Oauth { "client_secret" } else { "client_assertion" };
            fields.extend(ask.key.as_ref().map(|key| (key_field, key.to_string())));
            fields.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".into()));
            if path.to_ascii_lowercase().contains("/v2.0") {
                fields[0] = ("scope", format!("{}/.default", ask.resource));
            }
        }
    }
    fields.extend(renewal(ask));
    let form: String = fields.iter().map(|(name, value)| format!("{name}={}&", escaped(value))).collect();
    let (query, body) = if is_form { ("", form.as_bytes()) } else { (form.as_str(), &b""[..]) };
    let request = Request { method: &method, path, query, headers: &headers, body };
    let again = dialect.read(&request).expect("the canonical form of what was read").ask().expect("an ask, as before");
    assert_eq!((&again.resource, &again.selector), (&ask.resource, &ask.selector));
    assert_eq!((&again.key, &again.tenant), (&ask.key, &ask.tenant));
    assert_eq!((again.capable, &again.renew), (ask.capable, &ask.renew));
}

/// What the ask wants of its token beside, as the contract writes it (A10, B8).
fn renewal(ask: &Ask<'_>) -> Option<(&'static str, String)> {
    let challenge = if let Some(Renew::Claims(challenge)) = &ask.renew { Some(challenge.clone()) } else { None };
    let claims = Claims { capable: ask.capable, challenge }.text().map(|text| ("claims", text));
    match &ask.renew {
        Some(Renew::Refused(print)) => Some(("token_sha256_to_refresh", print.hex())),
        Some(Renew::Bypass) => Some(("bypass_cache", "true".into())),
        Some(Renew::Claims(_)) | None => claims,
    }
}

/// Writes the way to the document as the contract shows it, and expects the same one there.
fn found_again(dialect: &dyn Dialect, path: &str, document: &Document<'_>) {
    let (rest, query) = match document {
        Document::Metadata { tenant, version: Version::V1 } => {
            (format!("{tenant}/.well-known/openid-configuration"), String::new())
        }
        Document::Metadata { tenant, version: Version::V2 } => {
            (format!("{tenant}/v2.0/.well-known/openid-configuration"), String::new())
        }
        Document::Keys { tenant } => (format!("{tenant}/discovery/v2.0/keys"), String::new()),
        Document::Instance { host, tenant } => {
            let endpoint = escaped(&format!("https://{host}/{tenant}/oauth2/v2.0/authorize"));
            ("common/discovery/instance".into(), format!("api-version=1.1&authorization_endpoint={endpoint}"))
        }
    };
    if let Document::Metadata { tenant, .. } | Document::Keys { tenant } = document {
        assert!(path.contains(tenant) && !tenant.contains('/'), "{tenant}");
    }
    let prefix = if dialect.door() == Door::TokenProxy { "/token-proxy" } else { "" };
    let path = format!("{prefix}/{rest}");
    let again = route(&path).expect("the canonical path of what was found");
    assert_eq!(again.door(), dialect.door());
    let headers = HeaderMap::new();
    let request = Request { method: &Method::GET, path: &path, query: &query, headers: &headers, body: b"" };
    match again.read(&request) {
        Ok(Heard::Document(again)) => assert_eq!(again, *document),
        other => panic!("{other:?}"),
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
