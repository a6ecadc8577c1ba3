//! Reads a token request: path, headers, form.
//!
//! Unknown headers and unknown fields are ignored and a `;charset=` suffix is accepted, because every library adds its own
//! (contract A3). Easy to get wrong: JS sends its `client-request-id` in the body; and the form holds credentials, so
//! nothing here implements `Debug`.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::journal::{JournalEntry, cut};
use super::rules::{self, Refusal, Rule};
use crate::ids::Guid;
use crate::secret::Secret;

/// Which of the two token endpoints was asked (contract A5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    V1,
    V2,
}

impl Endpoint {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// A token request, read but not judged.
pub(super) struct TokenRequest {
    pub(super) endpoint: Endpoint,
    pub(super) tenant: String,
    pub(super) correlation: Guid,
    /// The client wants its correlation id back in a header.
    pub(super) echo: bool,
    /// It comes from a page in a browser.
    pub(super) cross_origin: bool,
    form: HashMap<String, String>,
    malformed: bool,
    basic: Option<(String, Secret)>,
    headers: Vec<String>,
}

impl TokenRequest {
    pub(super) fn read(endpoint: Endpoint, tenant: &str, headers: &HeaderMap, body: &[u8]) -> Self {
        // Any other body is an empty form to Entra: it misses the first required field.
        let form = if is_form(headers) { form(body) } else { Some(HashMap::new()) };
        let (malformed, form) = (form.is_none(), form.unwrap_or_default());
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let in_body = form.get("client-request-id").map(String::as_str);
        let correlation = text("client-request-id").or(in_body).and_then(|text| Guid::parse(text).ok());
        Self {
            endpoint,
            tenant: tenant.to_owned(),
            correlation: correlation.unwrap_or_else(Guid::random),
            echo: text("return-client-request-id").is_some_and(|wish| wish.eq_ignore_ascii_case("true")),
            cross_origin: headers.contains_key(ORIGIN),
            basic: basic(headers),
            headers: headers.keys().map(|name| name.as_str().to_owned()).collect(),
            form,
            malformed,
        }
    }

    /// That the form could be read.
    pub(super) fn check_form(&self) -> Result<(), Refusal> {
        if self.malformed {
            return Err(rules::BODY.refuse("Invalid request. Request is malformed or invalid."));
        }
        Ok(())
    }

    /// A field that is there and not empty.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.form.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A field, or a refusal in the words of 900144.
    pub(super) fn required(&self, name: &str, rule: &'static Rule) -> Result<&str, Refusal> {
        self.field(name)
            .ok_or_else(|| rule.refuse(format!("The request body must contain the following parameter: '{name}'.")))
    }

    /// From the body or from HTTP Basic.
    pub(super) fn client_id(&self) -> Option<&str> {
        self.field("client_id").or_else(|| self.basic.as_ref().map(|(id, _)| id.as_str()))
    }

    /// From the body or from HTTP Basic.
    pub(super) fn client_secret(&self) -> Option<Secret> {
        self.field("client_secret").map(Secret::new).or_else(|| self.basic.as_ref().map(|(_, secret)| secret.clone()))
    }

    /// The `claims` parameter; `Ok(None)` when there is none (contract A10).
    pub(super) fn claims(&self) -> Result<Option<Map<String, Value>>, Refusal> {
        let Some(text) = self.field("claims") else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|_| {
            rules::CLAIMS.refuse("Invalid request. The request is malformed or invalid: 'claims' is not a JSON object.")
        })
    }

    /// What the journal may know before the request is judged.
    pub(super) fn entry(&self, time: u64) -> JournalEntry {
        let scope = match self.endpoint {
            Endpoint::V1 => "resource",
            Endpoint::V2 => "scope",
        };
        JournalEntry {
            time,
            tenant: cut(&self.tenant),
            endpoint: self.endpoint.as_str(),
            client_id: self.client_id().map(cut),
            grant: self.field("grant_type").map(cut),
            credential: if self.field("client_assertion").is_some() {
                "client_assertion"
            } else if self.client_secret().is_some() {
                "client_secret"
            } else {
                "none"
            },
            scope: self.field(scope).map(cut),
            headers: self.headers.clone(),
            correlation_id: self.correlation.to_string(),
            ..JournalEntry::default()
        }
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// `None` for a body that is not UTF-8 or names a field twice.
fn form(body: &[u8]) -> Option<HashMap<String, String>> {
    let mut form = HashMap::new();
    for pair in body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_at(pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len()));
        let (name, value) = (decode(name)?, decode(value.get(1..).unwrap_or_default())?);
        if form.insert(name, value).is_some() {
            return None;
        }
    }
    Some(form)
}

fn decode(part: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = part.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_encoding::percent_decode(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// `Authorization: Basic`, both parts form-encoded (RFC 6749, section 2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, Secret)> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let plain = |text: &str| percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    Some((plain(id)?, Secret::new(plain(secret)?)))
}
