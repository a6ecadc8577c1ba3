//! Judges a certificate assertion: a JWT that the application signed with a key whose certificate was uploaded (contract
//! A6).
//!
//! Easy to get wrong: shipping libraries differ in harmless ways that Entra takes, so the thumbprint may be in standard
//! padded base64 (Go), `x5c` a single text (.NET) and a time a float (Python) or a text (.NET).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use url::Url;

use super::directory::{Application, Certificate};
use super::jwt::{Jwt, VerifyingKey, any_base64, parameters};
use super::rules::{self, Refusal, Rule};

/// `jti`s seen, until their assertion expires.
#[derive(Default)]
pub(super) struct Replays(Mutex<HashMap<String, f64>>);

/// Where and when the assertion was presented.
pub(super) struct Presented<'a> {
    pub(super) client_id: &'a str,
    pub(super) now: u64,
    /// `None` when replays are accepted.
    pub(super) replays: Option<&'a Replays>,
    /// Tells whether a URL is the token endpoint that was asked, under any of its names.
    pub(super) is_endpoint: &'a dyn Fn(&Url) -> bool,
}

/// All the rules of a certificate assertion, in order.
pub(super) fn check(application: &Application, jwt: &Jwt<'_>, presented: &Presented<'_>) -> Result<(), Refusal> {
    header(jwt)?;
    who(jwt, presented.client_id)?;
    audience(jwt, presented.is_endpoint)?;
    let end = times(jwt, presented.now, &CERTIFICATE_TIMES)?;
    signature(application, jwt, presented.now)?;
    replay(jwt, end, presented)
}

fn header(jwt: &Jwt<'_>) -> Result<(), Refusal> {
    if jwt.header.contains_key("typ") && jwt.header("typ") != Some("JWT") {
        return Err(rules::CERTIFICATE_TYPE.refuse("Invalid JWT token: header 'typ' is not 'JWT'."));
    }
    if jwt.header("alg").and_then(parameters).is_none() {
        return Err(rules::CERTIFICATE_ALGORITHM.refuse(
            "Invalid JWT token. The signature algorithm is not supported; supported are: RS256, RS384, RS512, PS256.",
        ));
    }
    if !["x5t", "x5t#S256", "kid"].iter().any(|name| jwt.header(name).is_some()) {
        return Err(rules::THUMBPRINT_MISSING
            .refuse("Invalid JWT token. No certificate thumbprint nor key ID is specified in the token header."));
    }
    Ok(())
}

fn who(jwt: &Jwt<'_>, client_id: &str) -> Result<(), Refusal> {
    // `issuer-missing` was checked when the kind of the assertion was found out.
    let issuer = jwt.claim("iss").unwrap_or_default();
    let Some(subject) = jwt.claim("sub") else {
        return Err(rules::CERTIFICATE_SUBJECT_MISSING
            .refuse("Client assertion has no subject: claim 'sub' must be the client identifier."));
    };
    if subject != issuer {
        return Err(rules::CERTIFICATE_SUBJECT
            .refuse(format!("Subject '{subject}' must match Issuer '{issuer}' claim in the client assertion.")));
    }
    if !subject.eq_ignore_ascii_case(client_id) {
        return Err(rules::CERTIFICATE_CLIENT.refuse(format!(
            "Client assertion application identifier '{subject}' doesn't match 'client_id' parameter '{client_id}'."
        )));
    }
    Ok(())
}

fn audience(jwt: &Jwt<'_>, is_endpoint: &dyn Fn(&Url) -> bool) -> Result<(), Refusal> {
    let Some(audience) = jwt.claims.get("aud") else {
        return Err(missing(&rules::CERTIFICATE_AUDIENCE_MISSING, "aud"));
    };
    let url = audience.as_str().and_then(|text| Url::parse(text).ok());
    if url.is_some_and(|url| is_endpoint(&url)) {
        return Ok(());
    }
    Err(rules::CERTIFICATE_AUDIENCE.refuse(format!(
        "Client assertion audience claim {audience} does not match the token endpoint of this tenant."
    )))
}

/// The rules about an assertion's life; the two kinds have their own names for them.
pub(super) struct TimeRules {
    pub(super) end_missing: &'static Rule,
    pub(super) expired: &'static Rule,
    pub(super) early: &'static Rule,
}

static CERTIFICATE_TIMES: TimeRules = TimeRules {
    end_missing: &rules::CERTIFICATE_END_MISSING,
    expired: &rules::CERTIFICATE_EXPIRED,
    early: &rules::CERTIFICATE_EARLY,
};

/// `nbf` ≤ now < `exp`; gives `exp`.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in an f64 for 285 million years")]
pub(super) fn times(jwt: &Jwt<'_>, now: u64, rules: &TimeRules) -> Result<f64, Refusal> {
    let Some(end) = jwt.time("exp") else { return Err(missing(rules.end_missing, "exp")) };
    let outside = |rule: &'static Rule| {
        rule.refuse(format!(
            "Client assertion is not within its valid time range. Current time: {}, expiry time of assertion {}.",
            super::answer::moment(now),
            end
        ))
    };
    if now as f64 >= end {
        return Err(outside(rules.expired));
    }
    if jwt.time("nbf").is_some_and(|start| start > now as f64) {
        return Err(outside(rules.early));
    }
    Ok(end)
}

pub(super) fn missing(rule: &'static Rule, field: &str) -> Refusal {
    rule.refuse(format!("The required field '{field}' is missing from the credential. Ensure that you have all the necessary parameters for the login request."))
}

pub(super) fn signature(application: &Application, jwt: &Jwt<'_>, now: u64) -> Result<(), Refusal> {
    let invalid = |rule: &'static Rule, reason: &str| {
        rule.refuse(format!("Client assertion contains an invalid signature. [Reason - {reason}.]"))
    };
    let Some(certificate) = application.certificate(|certificate| names(jwt, certificate)) else {
        return Err(invalid(&rules::CERTIFICATE_UNKNOWN, "The key was not found"));
    };
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    if now < certificate.not_before || now > certificate.not_after {
        return Err(invalid(&rules::CERTIFICATE_OVER, "The key used is expired"));
    }
    let parameters = jwt.header("alg").and_then(parameters);
    if parameters.is_some_and(|parameters| jwt.verifies_with(&VerifyingKey::Spki(certificate.public_key), parameters)) {
        return Ok(());
    }
    Err(invalid(&rules::CERTIFICATE_SIGNATURE, "The key was found, but use of the key to verify the signature failed"))
}

/// Every thumbprint that the header gives must be the certificate's; `kid` counts only where there is no thumbprint.
fn names(jwt: &Jwt<'_>, certificate: &Certificate) -> bool {
    let given = [("x5t", &certificate.sha1), ("x5t#S256", &certificate.sha256)];
    let given: Vec<_> = given.into_iter().filter_map(|(name, print)| Some((jwt.header(name)?, print))).collect();
    if given.is_empty() {
        return jwt.header("kid").is_some_and(|kid| {
            kid.eq_ignore_ascii_case(&hex(&certificate.sha1))
                || any_base64(kid).is_some_and(|kid| kid == certificate.sha1)
        });
    }
    given.into_iter().all(|(text, print)| any_base64(text).is_some_and(|presented| presented == *print))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Last of all, so that a refused assertion is not remembered.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in an f64 for 285 million years")]
fn replay(jwt: &Jwt<'_>, end: f64, presented: &Presented<'_>) -> Result<(), Refusal> {
    let Some(id) = jwt.claim("jti") else { return Err(missing(&rules::CERTIFICATE_ID_MISSING, "jti")) };
    let Some(Replays(seen)) = presented.replays else { return Ok(()) };
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.retain(|_, until| *until > presented.now as f64);
    if seen.insert(format!("{} {id}", presented.client_id), end).is_some() {
        return Err(rules::CERTIFICATE_REPLAYED.refuse("The client assertion was presented before."));
    }
    Ok(())
}
