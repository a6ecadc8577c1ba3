//! Reads an issuer's discovery document and keys over the wire and judges them, as Entra does (contract A7).
//!
//! Every exchange reads anew, where Entra keeps issuers for half an hour or more: a test that rotates a key should not
//! wait. Easy to get wrong: Entra's parser is strict about fields that are there but empty, and Vault's default document
//! trips it (contract C13).

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use url::{Position, Url};

use super::issuer::Issuers;
use super::jwt::VerifyingKey;
use super::rules::{self, Refusal};

/// An issuer that takes longer counts as not readable.
const DEADLINE: Duration = Duration::from_secs(5);
const LARGEST: usize = 1 << 20;

/// Without `authorization_endpoint`: Azure Pipelines leaves it out and is accepted (contract C3).
const REQUIRED: [&str; 5] = [
    "issuer",
    "jwks_uri",
    "response_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
];

/// The issuer's published keys.
pub(super) struct Keys(Vec<Value>);

impl Keys {
    /// The RSA signing key of this id.
    pub(super) fn find(&self, kid: &str) -> Option<VerifyingKey> {
        self.0.iter().filter(|jwk| jwk["kid"] == kid).find_map(VerifyingKey::from_jwk)
    }
}

/// The keys of this issuer, by way of its discovery document.
pub(super) async fn keys(issuers: &Issuers, issuer: &str) -> Result<Keys, Refusal> {
    let document = document(issuers, issuer).await?;
    let uri = document.get("jwks_uri").and_then(Value::as_str).and_then(|text| Url::parse(text).ok());
    let keys = match uri {
        Some(uri) => read(issuers, &uri).await,
        None => None,
    };
    match keys.as_ref().and_then(|keys| keys.get("keys")?.as_array()) {
        Some(list) => Ok(Keys(list.clone())),
        None => Err(rules::KEYS_UNREADABLE
            .refuse(format!("Request to the external OIDC endpoint failed: the keys of '{issuer}' cannot be read."))),
    }
}

async fn document(issuers: &Issuers, issuer: &str) -> Result<Map<String, Value>, Refusal> {
    let url = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
    let document = match Url::parse(&url) {
        Ok(url) => read(issuers, &url).await,
        Err(_) => None,
    };
    let Some(document) = document else {
        return Err(rules::METADATA_UNREADABLE
            .refuse(format!("Request to the external OIDC endpoint failed: '{url}' cannot be read.")));
    };
    judge(&document, issuer)?;
    Ok(document)
}

fn judge(document: &Map<String, Value>, issuer: &str) -> Result<(), Refusal> {
    if let Some(field) = REQUIRED.into_iter().find(|&field| document.get(field).is_none_or(Value::is_null)) {
        return Err(rules::METADATA_FIELD
            .refuse(format!("The required field '{field}' is missing from the metadata of the issuer.")));
    }
    let empty = |field: &str| match document.get(field) {
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        _ => false,
    };
    if empty("authorization_endpoint") || empty("subject_types_supported") {
        return Err(rules::METADATA_EMPTY
            .refuse("There was an issue parsing the OIDC metadata of the external issuer: a field is empty."));
    }
    let own = document["issuer"].as_str().unwrap_or_default();
    if own != issuer {
        return Err(rules::METADATA_ISSUER.refuse(format!(
            "The issuer '{issuer}' of the assertion does not match the issuer '{own}' of the metadata."
        )));
    }
    Ok(())
}

/// A JSON object from this URL, dialled where the issuer's `at` says; `None` when anything goes wrong.
async fn read(issuers: &Issuers, url: &Url) -> Option<Map<String, Value>> {
    tokio::time::timeout(DEADLINE, get(issuers, url)).await.ok()?
}

async fn get(issuers: &Issuers, url: &Url) -> Option<Map<String, Value>> {
    let stream = issuers.dial(url).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header("host", &url[Position::BeforeHost..Position::AfterPort])
        // A Kubernetes API server answers 406 to who does not take keys by their own type (RFC 7517, section 8.5).
        .header("accept", "application/json, application/jwk-set+json")
        .body(Empty::<Bytes>::new())
        .ok()?;
    let answer = async move {
        let response = sender.send_request(request).await.ok()?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await.ok()?.to_bytes();
        status.is_success().then_some(body)
    };
    // The connection's own future has to run beside the answer; it ends when the sender is dropped.
    let (body, _) = tokio::join!(answer, connection);
    serde_json::from_slice(&body?).ok()
}
