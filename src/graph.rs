//! The one call to Microsoft Graph that a key rollover makes: `addKey` (contract A15).
//!
//! Not a Graph client. It needs no directory permission, because the proof is signed by a certificate that the
//! application holds already. Easy to get wrong: Graph names the application by its object id, which is neither the
//! client id nor the `oid` of the application's tokens.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::ids::Guid;
use crate::outbound::{Outbound, OutboundError, Request};
use crate::problem::{Blame, Problem};
use crate::secret::Secret;

/// What the proof of possession is for: its `aud`.
pub const PROOF_AUDIENCE: &str = "00000002-0000-0000-c000-000000000000";

/// Microsoft Graph at one origin.
#[derive(Clone, Debug)]
pub struct Graph {
    outbound: Arc<Outbound>,
    origin: Url,
}

/// A certificate to add to an application, and what allows it.
#[derive(Clone, Copy, Debug)]
pub struct NewKey<'a> {
    /// The object id of the application.
    pub application: &'a Guid,
    /// The application's own, for Graph.
    pub access_token: &'a Secret,
    /// DER.
    pub certificate: &'a [u8],
    /// A JWT signed by a certificate that the application holds.
    pub proof: &'a Secret,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AddKey<'a> {
    key_credential: KeyCredential<'a>,
    /// `null` for a certificate, and yet required.
    password_credential: Option<()>,
    proof: &'a str,
}

#[derive(Serialize)]
struct KeyCredential<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    usage: &'static str,
    key: &'a str,
}

#[derive(Deserialize)]
struct Refusal {
    error: Refused,
}

#[derive(Deserialize)]
struct Refused {
    code: String,
    #[serde(default)]
    message: String,
}

impl Graph {
    /// At this origin (`https://graph.microsoft.com`).
    #[must_use]
    pub fn new(outbound: Arc<Outbound>, origin: Url) -> Self {
        Self { outbound, origin }
    }

    /// One POST, one answer. Asking twice adds the certificate twice, so nothing is asked again by itself.
    pub async fn add_key(&self, key: NewKey<'_>) -> Result<(), GraphError> {
        let der = STANDARD.encode(key.certificate);
        let credential = KeyCredential { kind: "AsymmetricX509Cert", usage: "Verify", key: &der };
        let body = AddKey { key_credential: credential, password_credential: None, proof: key.proof.expose() };
        #[expect(clippy::expect_used, reason = "text alone, which JSON can hold")]
        let body = Zeroizing::new(serde_json::to_vec(&body).expect("a struct of text"));
        let mut url = self.origin.clone();
        url.set_path(&format!("/v1.0/applications/{}/addKey", key.application));
        let answer = self.outbound.send(Request::post_json(url, body, key.access_token)).await;
        let answer = answer.map_err(|source| GraphError::Unreached { origin: self.origin.to_string(), source })?;
        if answer.status == 200 {
            return Ok(());
        }
        let request = answer.header("request-id").unwrap_or("none").to_owned();
        match serde_json::from_slice::<Refusal>(&answer.body) {
            Ok(Refusal { error }) => Err(GraphError::Refused {
                status: answer.status,
                code: shown(&error.code),
                message: shown(&error.message),
                application: key.application.to_string(),
                request: shown(&request),
            }),
            Err(_) => Err(GraphError::Unreadable { status: answer.status, request: shown(&request) }),
        }
    }
}

/// A stranger's text, fit for a terminal and no longer than a line or two.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// Why Graph did not take the certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    #[error("ask Graph at {origin} to add a certificate")]
    Unreached { origin: String, source: OutboundError },
    /// Graph's own words.
    #[error(
        "add a certificate to application object `{application}`: Graph refused with status {status}, `{code}`: {message} (request-id {request})"
    )]
    Refused { status: u16, code: String, message: String, application: String, request: String },
    #[error("add a certificate: status {status} and no error of Graph's (request-id {request})")]
    Unreadable { status: u16, request: String },
}

/// What a refusal is about, told by Graph's `error.code` (contract A15).
enum About {
    /// A tenant policy about how long a certificate may live.
    Life,
    /// A tenant policy about who may issue it.
    Issuer,
    End,
    Proof,
    Object,
    Permission,
    Other,
}

fn about(code: &str) -> About {
    match code {
        "CredentialInvalidLifetimeAsPerAppPolicy" => About::Life,
        "KeyCredentialsInvalidEndDate" => About::End,
        "Request_ResourceNotFound" => About::Object,
        "Authorization_RequestDenied" => About::Permission,
        _ if code.ends_with("AsPerAppPolicy") || code.contains("TrustedCertificateAuthorit") => About::Issuer,
        _ if code.starts_with("Authentication_") || code == "InvalidAuthenticationToken" => About::Proof,
        _ => About::Other,
    }
}

impl Problem for GraphError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreached { source, .. } => source.code(),
            Self::Unreadable { .. } => "graph-unreadable",
            Self::Refused { code, .. } => match about(code) {
                About::Life => "graph-policy-life",
                About::Issuer => "graph-policy-issuer",
                About::End => "graph-certificate-over",
                About::Proof => "graph-proof-refused",
                About::Object => "graph-object-unknown",
                About::Permission => "graph-not-own",
                About::Other => "graph-refused",
            },
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Unreached { source, .. } => source.blame(),
            Self::Refused { .. } => Blame::Tenant,
            Self::Unreadable { .. } => Blame::Entra,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Unreached { source, .. } => return source.remedy(),
            Self::Unreadable { .. } => "try again; the request-id finds it in Graph's logs",
            Self::Refused { code, .. } => match about(code) {
                About::Life => "make a certificate with fewer `--days`: a policy of the tenant limits them",
                About::Issuer => {
                    "have a company CA issue it: unsecret key request …, then unsecret key import-certificate …; a policy of the tenant takes no self-signed one"
                }
                About::End => "make a certificate that is still valid, and check this machine's clock",
                About::Proof => {
                    "sign with a certificate that the application holds, check the object id and this machine's clock"
                }
                About::Object => {
                    "give the application's object id, not its client id: az ad app show --id CLIENT_ID --query id"
                }
                About::Permission => "give the object id of this identity's own application",
                About::Other => "see Graph's own words; the request-id finds it in Graph's logs",
            },
        }))
    }
}
