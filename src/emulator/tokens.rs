//! Issues access tokens as Entra does: RS256, with the claims of real app-only tokens, and checks them again.
//!
//! Not for resources that ask for version 2 tokens. Easy to get wrong: a client must not read these claims, so the
//! answer's `expires_in` has to agree with `exp`; and the v1 endpoint writes its numbers as text (contract A5).

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::EmulatorError;
use super::directory::Application;
use super::jwt::{Jwt, SigningKey, parameters};
use super::request::Endpoint;
use crate::ids::Guid;
use crate::secret::Secret;

/// Real tokens start five minutes in the past, for resources whose clock is behind.
pub(super) const BACKDATED: u64 = 300;

/// How the client proved itself: the claim `appidacr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// A single-page application proves nothing.
    None,
    Secret,
    Assertion,
}

impl Proof {
    /// The claim `appidacr`.
    pub(super) fn claim(self) -> &'static str {
        match self {
            Self::None => "0",
            Self::Secret => "1",
            Self::Assertion => "2",
        }
    }
}

/// Made when the first token is issued, and shared by every emulator of the process: making one takes a noticeable
/// fraction of a second, and tests start many emulators.
static KEY: OnceLock<SigningKey> = OnceLock::new();

/// What is to be issued.
pub(super) struct Order<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) application: &'a Application,
    pub(super) resource: &'a str,
    pub(super) proof: Proof,
    /// How long a token lives that a resource may challenge (contract A10); `None` for an ordinary one.
    pub(super) continuous: Option<Duration>,
    /// The claim by which the token is known again.
    pub(super) uti: String,
    pub(super) now: u64,
}

/// The JSON body of a success.
pub(super) fn issue(order: &Order<'_>) -> Result<Value, EmulatorError> {
    let settings = &order.application.settings;
    let token = sign(&claims(order))?;
    let parts = Body { life: life(order), refresh_in: settings.refresh_in, now: order.now, resource: order.resource };
    Ok(body(order.endpoint, &parts, token.expose()))
}

fn life(order: &Order<'_>) -> Duration {
    order.continuous.unwrap_or(order.application.settings.token_lifetime)
}

/// A token with these claims.
pub(super) fn sign(claims: &Map<String, Value>) -> Result<Secret, EmulatorError> {
    let key = key()?;
    let kid = key.kid.as_str();
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5t": kid, "kid": kid });
    key.sign(&map(header), claims).map_err(|_| EmulatorError::Key)
}

/// The claim by which a token is known again.
pub(super) fn uti() -> String {
    Guid::random().as_str().replace('-', "")
}

/// Whether an emulator of this process signed it; not whether it has expired.
pub(super) fn is_ours(jwt: &Jwt<'_>) -> bool {
    let key = key().ok().and_then(SigningKey::verifying_key);
    let rs256 = parameters("RS256").filter(|_| jwt.header("alg") == Some("RS256"));
    key.zip(rs256).is_some_and(|(key, rs256)| jwt.verifies_with(&key, rs256))
}

/// The claims of a token that an emulator of this process signed and that has not expired.
pub(super) fn verify(token: &str, now: u64) -> Result<Map<String, Value>, EmulatorError> {
    let jwt = Jwt::parse(token).ok_or(EmulatorError::Token("not a JWT"))?;
    if !is_ours(&jwt) {
        return Err(EmulatorError::Token("not signed by an emulator of this process"));
    }
    if jwt.claims.get("exp").and_then(Value::as_u64).is_none_or(|end| end <= now) {
        return Err(EmulatorError::Token("expired"));
    }
    Ok(jwt.claims)
}

/// The JWKS that Entra publishes for its own tokens.
pub(super) fn jwks() -> Result<Value, EmulatorError> {
    Ok(json!({ "keys": [key()?.jwk()] }))
}

fn key() -> Result<&'static SigningKey, EmulatorError> {
    if let Some(key) = KEY.get() {
        return Ok(key);
    }
    let key = SigningKey::generate().map_err(|_| EmulatorError::Key)?;
    Ok(KEY.get_or_init(|| key))
}

fn claims(order: &Order<'_>) -> Map<String, Value> {
    let settings = &order.application.settings;
    let tenant = settings.tenant.as_str();
    let issuer = format!("https://sts.windows.net/{tenant}/");
    let start = order.now.saturating_sub(BACKDATED);
    let mut claims = map(json!({
        "aud": order.resource,
        "iss": issuer,
        "iat": start,
        "nbf": start,
        "exp": order.now.saturating_add(life(order).as_secs()),
        "appid": settings.client_id.as_str(),
        "appidacr": order.proof.claim(),
        "idp": issuer,
        "idtyp": "app",
        "oid": order.application.principal.as_str(),
        "sub": order.application.principal.as_str(),
        "tid": tenant,
        "uti": order.uti,
        "ver": "1.0",
    }));
    if !settings.roles.is_empty() {
        claims.insert("roles".to_owned(), json!(settings.roles));
    }
    if order.continuous.is_some() {
        claims.insert("xms_cc".to_owned(), json!(["CP1"]));
    }
    claims
}

/// What an answer says about its token.
pub(super) struct Body<'a> {
    pub(super) life: Duration,
    pub(super) refresh_in: Option<Duration>,
    pub(super) now: u64,
    pub(super) resource: &'a str,
}

/// The JSON body, without what only users' tokens have.
pub(super) fn body(endpoint: Endpoint, body: &Body<'_>, token: &str) -> Value {
    match endpoint {
        Endpoint::V2 => v2(body, token),
        Endpoint::V1 => v1(body, token),
    }
}

fn v2(parts: &Body<'_>, token: &str) -> Value {
    let life = parts.life.as_secs();
    let mut body = json!({ "token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token });
    if let Some(refresh_in) = parts.refresh_in {
        body["refresh_in"] = json!(refresh_in.as_secs());
    }
    body
}

fn v1(parts: &Body<'_>, token: &str) -> Value {
    let life = parts.life.as_secs();
    let mut body = json!({
        "token_type": "Bearer",
        "expires_in": life.to_string(),
        "ext_expires_in": life.to_string(),
        "expires_on": parts.now.saturating_add(life).to_string(),
        "not_before": parts.now.saturating_sub(BACKDATED).to_string(),
        "resource": parts.resource,
        "access_token": token,
    });
    if let Some(refresh_in) = parts.refresh_in {
        body["refresh_in"] = json!(refresh_in.as_secs().to_string());
    }
    body
}

pub(super) fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
