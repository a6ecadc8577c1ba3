//! The admin paths: journal, faults, platform tokens, changes to applications and issuers.
//!
//! For developers on their own machine; there is no caller check, and everything it can reveal is test data. Not for the
//! broker's own admin listener. Easy to get wrong: an outage closes the authority's port, so the same paths are also
//! served over plain HTTP on `admin` where it can be ended.

use std::time::Duration;

use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::EmulatorError;
use super::answer::{self, Body};
use super::entra::Entra;
use super::faults::{Fault, Standing};
use super::issuer::PlatformToken;
use super::rules::RULES;
use crate::ids::Guid;
use crate::problem::chain;

/// Every admin path, for the documentation: method, path, what it does.
pub const ADMIN_PATHS: &[(&str, &str, &str)] = &[
    ("GET", "/_journal", "every token request and its verdict, oldest first"),
    ("DELETE", "/_journal", "forgets them"),
    ("GET", "/_faults", "the faults that stand"),
    (
        "POST",
        "/_faults",
        "adds one: `{\"fault\": {\"kind\": \"throttle\", \"retry_after\": 7}, \"requests\": 2, \"application\": \"…\"}`; the last two are optional",
    ),
    ("DELETE", "/_faults", "clears them all"),
    (
        "POST",
        "/_platform-token",
        "a token of a hosted issuer: `{\"issuer\": \"https://issuer.example\", \"subject\": \"…\", \"audience\": \"…\"}`, optionally `life_seconds`, `header` and `claims` to lay over",
    ),
    ("POST", "/_issuer-key", "rotates the key of a hosted issuer: `{\"issuer\": \"…\"}`"),
    (
        "POST",
        "/_issuer-document",
        "alters its discovery document: `{\"issuer\": \"…\", \"field\": \"jwks_uri\", \"value\": null}` takes a field away, without `value` it is put right",
    ),
    ("DELETE", "/_secrets/{client_id}", "deletes every secret of an application"),
    ("POST", "/_certificates/{client_id}", "uploads the PEM certificate in the body"),
    ("DELETE", "/_sign-ins/{user}", "revokes every sign-in of a user: refresh tokens are refused with 50173"),
    ("DELETE", "/_tokens/{client_id}", "revokes an application's CAE tokens: `GET /v1.0/…` and tests challenge them"),
    ("GET", "/_ca", "the CA certificate, PEM"),
    ("GET", "/_rules", "the rules, as JSON"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultWish {
    fault: Fault,
    requests: Option<u32>,
    application: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenWish {
    issuer: String,
    subject: String,
    audience: String,
    life_seconds: Option<u64>,
    #[serde(default)]
    header: Map<String, Value>,
    #[serde(default)]
    claims: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssuerWish {
    issuer: String,
    field: Option<String>,
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
}

/// Tells `"value": null` from no `value` at all.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Why an admin request fails.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("read the request body")]
    Body(#[from] serde_json::Error),
    #[error("read a PEM certificate from the request body: not UTF-8")]
    Text,
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
}

/// Answers an admin request; `None` when the path is none.
pub(super) fn answer(entra: &Entra, method: &Method, path: &str, body: &[u8]) -> Option<Response<Body>> {
    let path: Vec<_> = path.strip_prefix("/_")?.split('/').collect();
    let outcome = match (method.as_str(), path.as_slice()) {
        ("GET", ["journal"]) => Ok(done(&json!(entra.journal.entries()))),
        ("DELETE", ["journal"]) => {
            entra.journal.clear();
            Ok(nothing())
        }
        ("GET", ["faults"]) => Ok(done(&json!(entra.faults.list()))),
        ("POST", ["faults"]) => set_fault(entra, body),
        ("DELETE", ["faults"]) => {
            entra.faults.clear();
            Ok(nothing())
        }
        ("POST", ["platform-token"]) => platform_token(entra, body),
        ("POST", ["issuer-key"]) => rotate(entra, body),
        ("POST", ["issuer-document"]) => alter(entra, body),
        ("DELETE", ["secrets", client_id]) => {
            guid(client_id).and_then(|id| Ok(entra.remove_secrets(&id)?)).map(|()| nothing())
        }
        ("POST", ["certificates", client_id]) => add_certificate(entra, client_id, body),
        ("DELETE", ["sign-ins", user]) => Ok(entra.users.named(user)).and_then(|found| {
            found?.revoke();
            Ok(nothing())
        }),
        ("DELETE", ["tokens", client_id]) => {
            guid(client_id).and_then(|id| Ok(entra.revoke_tokens(&id)?)).map(|()| nothing())
        }
        ("GET", ["ca"]) => Ok(answer::plain(StatusCode::OK, "application/x-pem-file", entra.ca_pem.clone())),
        ("GET", ["rules"]) => Ok(done(&json!(RULES))),
        _ => return None,
    };
    Some(outcome.unwrap_or_else(|wrong| answer::json(StatusCode::BAD_REQUEST, &json!({ "error": chain(&wrong) }))))
}

fn set_fault(entra: &Entra, body: &[u8]) -> Result<Response<Body>, Wrong> {
    let wish: FaultWish = serde_json::from_slice(body)?;
    let application = wish.application.map(|text| guid(&text)).transpose()?;
    entra.faults.set(Standing { application, requests: wish.requests, fault: wish.fault });
    Ok(nothing())
}

fn platform_token(entra: &Entra, body: &[u8]) -> Result<Response<Body>, Wrong> {
    let wish: TokenWish = serde_json::from_slice(body)?;
    let mut token = PlatformToken::new(wish.subject, wish.audience);
    token.life = wish.life_seconds.map_or(token.life, Duration::from_secs);
    (token.header, token.claims) = (wish.header, wish.claims);
    let (_, played) = entra.issuers.played(&wish.issuer)?;
    let jwt = played.mint(&wish.issuer, &token, entra.clock.now().epoch())?;
    Ok(answer::plain(StatusCode::OK, "text/plain", jwt.expose().to_owned()))
}

fn rotate(entra: &Entra, body: &[u8]) -> Result<Response<Body>, Wrong> {
    let wish: IssuerWish = serde_json::from_slice(body)?;
    entra.issuers.played(&wish.issuer)?.1.rotate()?;
    Ok(nothing())
}

fn alter(entra: &Entra, body: &[u8]) -> Result<Response<Body>, Wrong> {
    let wish: IssuerWish = serde_json::from_slice(body)?;
    entra.issuers.played(&wish.issuer)?.1.alter(wish.field.as_deref().unwrap_or_default(), wish.value);
    Ok(nothing())
}

fn add_certificate(entra: &Entra, client_id: &str, body: &[u8]) -> Result<Response<Body>, Wrong> {
    let pem = std::str::from_utf8(body).map_err(|_| Wrong::Text)?;
    entra.add_certificate(&guid(client_id)?, pem)?;
    Ok(nothing())
}

fn guid(text: &str) -> Result<Guid, Wrong> {
    Guid::parse(text).map_err(|_| EmulatorError::UnknownApplication(text.to_owned()).into())
}

fn done(value: &Value) -> Response<Body> {
    answer::json(StatusCode::OK, value)
}

fn nothing() -> Response<Body> {
    answer::plain(StatusCode::NO_CONTENT, "text/plain", "")
}
