//! Continuous access evaluation: long-lived tokens that a resource may refuse before their end (contract A10).
//!
//! Only for Graph and for applications of one tenant; whoever else declares the capability gets an ordinary token. Easy
//! to get wrong: a resource does not challenge a token that is not `xms_cc`, revoked or not: it lives to its end.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::{self, Body};
use super::directory::Application;
use super::entra::Entra;
use super::graph;
use super::tokens;
use crate::ids::Guid;

/// The tokens by the claim `uti`.
pub(super) struct Continuous {
    life: Duration,
    tokens: Mutex<Tokens>,
}

#[derive(Default)]
struct Tokens {
    alive: HashMap<Guid, Vec<String>>,
    revoked: HashSet<String>,
}

impl Continuous {
    pub(super) fn new(life: Duration) -> Self {
        Self { life, tokens: Mutex::default() }
    }

    /// How long a token lives that can be challenged; `None` for an ordinary one.
    pub(super) fn life(&self, application: &Application, resource: &str, capable: bool) -> Option<Duration> {
        let eligible = capable && graph::RESOURCES.contains(&resource) && !application.settings.multi_tenant;
        eligible.then_some(self.life)
    }

    /// Remembers a token that was issued.
    pub(super) fn note(&self, client_id: &Guid, uti: String) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.alive.entry(client_id.clone()).or_default().push(uti);
    }

    /// Something happened to the application: its tokens so far are challenged.
    pub(super) fn revoke(&self, client_id: &Guid) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = tokens.alive.remove(client_id).unwrap_or_default();
        tokens.revoked.extend(gone);
    }

    fn is_revoked(&self, claims: &Map<String, Value>) -> bool {
        let uti = claims.get("uti").and_then(Value::as_str).unwrap_or_default();
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).revoked.contains(uti)
    }
}

/// The header `WWW-Authenticate` with which a resource refuses the token; `None` when it takes it.
pub(super) fn challenge(entra: &Entra, token: &str, now: u64) -> Option<String> {
    let at = format!("Bearer realm=\"\", authorization_uri=\"{}/common/oauth2/authorize\"", entra.authority_host());
    let Ok(claims) = tokens::verify(token, now) else { return Some(format!("{at}, error=\"invalid_token\"")) };
    if !entra.continuous.is_revoked(&claims) {
        return None;
    }
    let wanted = json!({ "access_token": { "nbf": { "essential": true, "value": now.to_string() } } });
    let wanted = STANDARD.encode(wanted.to_string());
    Some(format!("{at}, error=\"insufficient_claims\", claims=\"{wanted}\""))
}

/// Answers `GET /v1.0/…` as Graph would answer the token; `None` when the path is another's.
pub(super) fn answer(entra: &Entra, parts: &Parts) -> Option<Response<Body>> {
    if parts.method != Method::GET || !parts.uri.path().starts_with("/v1.0/") {
        return None;
    }
    let now = entra.clock.now().epoch().saturating_add_signed(entra.faults.common_offset());
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(challenge) = challenge(entra, header.strip_prefix("Bearer ").unwrap_or_default(), now) else {
        return Some(answer::json(StatusCode::OK, &json!({ "value": [] })));
    };
    let error = json!({ "error": { "code": "InvalidAuthenticationToken", "message": "The token is refused." } });
    let mut response = answer::json(StatusCode::UNAUTHORIZED, &error);
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    Some(response)
}
