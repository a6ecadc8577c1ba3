//! The one call of Microsoft Graph that a key rollover makes: `addKey` with its proof (contract A15).
//!
//! Not a Graph: whatever else is asked for is not there. Easy to get wrong: the proof names the *object id of the
//! application*, which is neither the client id nor the `oid` of its tokens, and is signed by a certificate that the
//! application holds already.

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use serde::Serialize;
use serde_json::{Map, Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::answer::{self, Body};
use super::certificate;
use super::directory::Application;
use super::entra::Entra;
use super::jwt::{Jwt, standard_base64};
use super::tokens;
use crate::ids::Guid;

/// What the proof is for: the directory's own id, as the documentation gives it.
const PROOF_AUDIENCE: &str = "00000002-0000-0000-c000-000000000000";
pub(super) const RESOURCES: [&str; 3] =
    ["https://graph.microsoft.com", "https://graph.microsoft.com/", "00000003-0000-0000-c000-000000000000"];
/// From `nbf` to `exp` of a proof.
const LONGEST_PROOF: f64 = 600.0;
const DAY: i64 = 86_400;

/// One check of `addKey` and Graph's answer when it fails.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct GraphRule {
    /// Kebab-case, unique.
    pub name: &'static str,
    /// Graph's `error.code`.
    pub code: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What no source shows; empty when all of it is shown.
    pub guess: &'static str,
    /// What is required, in plain words.
    pub requires: &'static str,
}

/// One place for each rule, so that the list cannot miss one.
macro_rules! rules {
    ($($constant:ident: $name:literal, $code:literal, $status:literal, $guess:literal, $requires:literal;)*) => {
        $(static $constant: GraphRule =
            GraphRule { name: $name, code: $code, status: $status, guess: $guess, requires: $requires };)*

        /// Every rule of `addKey`, in the order of the checks.
        pub static GRAPH_RULES: &[&GraphRule] = &[$(&$constant),*];
    };
}

rules! {
    BEARER: "graph-bearer", "InvalidAuthenticationToken", 401, "", "the bearer token is Entra's, for Graph, and not over";
    OBJECT: "graph-object", "Request_ResourceNotFound", 404, "", "the object id is that of an application in the token's tenant";
    OWN: "graph-own", "Authorization_RequestDenied", 403, "that another's key needs a permission which nobody has here", "the token is the application's own";
    BODY: "graph-body", "Request_BadRequest", 400, "", "the body has `keyCredential`, `passwordCredential` and `proof`";
    PROOF: "proof-encoding", "Authentication_MissingOrMalformed", 401, "status", "the proof is a JWT in base64url without padding";
    PROOF_AUDIENCE_RULE: "proof-audience", "Authentication_MissingOrMalformed", 401, "status and code", "the proof's `aud` is the directory's id";
    PROOF_ISSUER: "proof-issuer", "Authentication_MissingOrMalformed", 401, "status and code", "the proof's `iss` is the application's object id";
    PROOF_TIME: "proof-time", "Authentication_ExpiredToken", 401, "status and code", "now lies between the proof's `nbf` and `exp`, at most ten minutes apart";
    PROOF_SIGNATURE: "proof-signature", "Authentication_MissingOrMalformed", 401, "status and code", "a valid certificate of the application signed the proof with RS256; PS256 is taken as well";
    KEY: "key-credential", "Request_BadRequest", 400, "", "`keyCredential` has type `AsymmetricX509Cert`, usage `Verify` and a certificate in base64";
    KEY_END: "key-end", "KeyCredentialsInvalidEndDate", 400, "status", "the certificate is not over";
    POLICY_TYPE: "policy-type", "CredentialTypeNotAllowedAsPerAppPolicy", 400, "status", "the tenant's policy takes the certificate's issuer (`refuse_self_signed`)";
    POLICY_LIFE: "policy-life", "CredentialInvalidLifetimeAsPerAppPolicy", 400, "status", "the certificate lives no longer than the tenant's policy says (`longest_certificate_days`)";
}

/// Answers `POST /v1.0/applications/{object id}/addKey`; `None` when the path is another's.
pub(super) fn answer(entra: &Entra, parts: &Parts, body: &[u8]) -> Option<Response<Body>> {
    let path: Vec<_> = parts.uri.path().split('/').skip(1).collect();
    let ["v1.0", "applications", object_id, "addKey"] = path.as_slice() else { return None };
    if parts.method != Method::POST {
        return None;
    }
    let now = entra.clock.now().epoch().saturating_add_signed(entra.faults.common_offset());
    Some(match add_key(entra, parts, object_id, body, now) {
        Ok(added) => answer::json(StatusCode::OK, &added),
        Err(rule) => refuse(rule),
    })
}

fn refuse(rule: &GraphRule) -> Response<Body> {
    let status = StatusCode::from_u16(rule.status).unwrap_or(StatusCode::BAD_REQUEST);
    let request = Guid::random();
    let mut response = answer::json(
        status,
        &json!({ "error": {
            "code": rule.code,
            "message": format!("Refused by the emulator: {}.", rule.requires),
            "innerError": { "request-id": request.as_str(), "client-request-id": request.as_str() },
        }}),
    );
    answer::set(&mut response, "request-id", request.as_str());
    response
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AddKey {
    key_credential: KeyCredential,
    /// Must be there; `null` for a certificate.
    #[serde(rename = "passwordCredential")]
    _password_credential: Value,
    proof: String,
}

#[derive(Deserialize)]
struct KeyCredential {
    #[serde(rename = "type")]
    kind: String,
    usage: String,
    key: String,
}

fn add_key(entra: &Entra, parts: &Parts, object_id: &str, body: &[u8], now: u64) -> Result<Value, &'static GraphRule> {
    let token = bearer(parts, now)?;
    let application = application(entra, &token, object_id).ok_or(&OBJECT)?;
    if token.get("appid").and_then(Value::as_str) != Some(application.settings.client_id.as_str()) {
        return Err(&OWN);
    }
    let wish: AddKey = serde_json::from_slice(body).map_err(|_| &BODY)?;
    let proof = Jwt::parse(&wish.proof).filter(Jwt::has_signature).ok_or(&PROOF)?;
    check_proof(&proof, application, now)?;
    let certificate = CertificateDer::from(read_key(&wish.key_credential).ok_or(&KEY)?);
    check_certificate(&certificate, application, now)?;
    application.add_der(&certificate).map_err(|_| &KEY)?;
    Ok(json!({
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#microsoft.graph.keyCredential",
        "keyId": Guid::random().as_str(), "type": wish.key_credential.kind, "usage": wish.key_credential.usage, "key": null,
    }))
}

/// The claims of the token that the call carries.
fn bearer(parts: &Parts, now: u64) -> Result<Map<String, Value>, &'static GraphRule> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|text| text.strip_prefix("Bearer ")).ok_or(&BEARER)?;
    let claims = tokens::verify(token, now).map_err(|_| &BEARER)?;
    let for_graph = claims.get("aud").and_then(Value::as_str).is_some_and(|aud| RESOURCES.contains(&aud));
    if for_graph { Ok(claims) } else { Err(&BEARER) }
}

fn application<'a>(entra: &'a Entra, token: &Map<String, Value>, object_id: &str) -> Option<&'a Application> {
    let tenant = token.get("tid")?.as_str()?;
    let object_id = Guid::parse(object_id).ok()?;
    entra.directory.by_object(tenant, &object_id)
}

fn check_proof(proof: &Jwt<'_>, application: &Application, now: u64) -> Result<(), &'static GraphRule> {
    if proof.claim("aud") != Some(PROOF_AUDIENCE) {
        return Err(&PROOF_AUDIENCE_RULE);
    }
    if proof.claim("iss") != Some(application.object_id.as_str()) {
        return Err(&PROOF_ISSUER);
    }
    let (Some(start), Some(end)) = (proof.time("nbf"), proof.time("exp")) else { return Err(&PROOF_TIME) };
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in an f64 for 285 million years")]
    let at = now as f64;
    if at < start || at >= end || end - start > LONGEST_PROOF {
        return Err(&PROOF_TIME);
    }
    certificate::signature(application, proof, now).map_err(|_| &PROOF_SIGNATURE)
}

fn read_key(credential: &KeyCredential) -> Option<Vec<u8>> {
    let right = credential.kind == "AsymmetricX509Cert" && credential.usage == "Verify";
    let der = standard_base64(&credential.key).filter(|_| right)?;
    X509Certificate::from_der(&der).is_ok().then_some(der)
}

fn check_certificate(der: &[u8], application: &Application, now: u64) -> Result<(), &'static GraphRule> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| &KEY)?;
    let validity = certificate.validity();
    if validity.not_after.timestamp() <= i64::try_from(now).unwrap_or(i64::MAX) {
        return Err(&KEY_END);
    }
    let policy = &application.settings;
    if policy.refuse_self_signed && certificate.issuer() == certificate.subject() {
        return Err(&POLICY_TYPE);
    }
    let life = validity.not_after.timestamp() - validity.not_before.timestamp();
    match policy.longest_certificate_days {
        Some(days) if life > i64::from(days) * DAY => Err(&POLICY_LIFE),
        _ => Ok(()),
    }
}
