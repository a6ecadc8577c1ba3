//! Judges a federated assertion: a JWT of a foreign issuer that one of the application's federated identity credentials
//! trusts (contract A7).
//!
//! Not the issuer's documents (`metadata` reads and judges them). Easy to get wrong: issuer, subject and audience are
//! compared byte for byte; a trailing slash or a capital letter is a different name.

use serde_json::Value;
use url::{Host, Url};

use super::certificate::{TimeRules, missing, times};
use super::directory::Application;
use super::issuer::Issuers;
use super::jwt::{Jwt, parameters};
use super::metadata;
use super::rules::{self, Refusal};
use super::settings::FederatedCredential;

/// The audience of tokens that Entra itself mints for exchange, and the text that stands for it in a credential.
const EXCHANGE_GUID: &str = "fb60f99c-7a34-4190-8149-302f77469936";
const EXCHANGE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// Kubernetes tokens of 24 hours work (contract A7), and so do those of Azure Pipelines and managed identities, which
/// live 24 hours from a backdated `iat` (contract C3, C11). Where Entra draws the line is not public.
const LONGEST_LIFE: f64 = 90_000.0;

const SEE: &str = "Check your federated identity credential Subject, Audience and Issuer against the presented assertion. \
                   https://learn.microsoft.com/entra/workload-id/workload-identity-federation";

static TIMES: TimeRules = TimeRules {
    end_missing: &rules::FEDERATED_END_MISSING,
    expired: &rules::FEDERATED_EXPIRED,
    early: &rules::FEDERATED_EARLY,
};

/// All the rules of a federated assertion, in order.
pub(super) async fn check(
    application: &Application,
    issuers: &Issuers,
    jwt: &Jwt<'_>,
    now: u64,
) -> Result<(), Refusal> {
    let credentials = &application.settings.federated_credentials;
    if credentials.is_empty() {
        return Err(rules::FEDERATION_NONE.refuse(format!(
            "The client '{}' has no configured federated identity credentials.",
            application.settings.client_id
        )));
    }
    header(jwt)?;
    issuer_url(jwt)?;
    own_token(jwt)?;
    trusted(credentials, jwt)?;
    life(jwt, now)?;
    let keys = metadata::keys(issuers, jwt.claim("iss").unwrap_or_default()).await?;
    signature(jwt, &keys)
}

fn header(jwt: &Jwt<'_>) -> Result<(), Refusal> {
    let fits = |kind: &Value| kind == "JWT" || kind == "http://openid.net/specs/jwt/1.0";
    if let Some(kind) = jwt.header.get("typ").filter(|kind| !fits(kind)) {
        return Err(rules::FEDERATED_TYPE.refuse(format!(
            "Invalid JWT header type specified: {kind}. Allowed types: 'JWT', 'http://openid.net/specs/jwt/1.0'."
        )));
    }
    if jwt.header("alg") != Some("RS256") {
        return Err(rules::FEDERATED_ALGORITHM
            .refuse("Invalid JWT token. The signature algorithm is not supported; supported are: RS256."));
    }
    Ok(())
}

fn issuer_url(jwt: &Jwt<'_>) -> Result<(), Refusal> {
    let text = jwt.claim("iss").unwrap_or_default();
    let loopback = |host: &Host<&str>| match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let fits = Url::parse(text).is_ok_and(|url| {
        let plain = url.query().is_none() && url.fragment().is_none();
        url.scheme() == "https" && plain && url.host().is_some_and(|host| !loopback(&host))
    });
    if fits {
        return Ok(());
    }
    Err(rules::ISSUER_URL.refuse(format!(
        "The issuer '{text}' is not valid: it must be an https URL, not loopback, without query and fragment."
    )))
}

/// Only a managed identity's token for the exchange audience may come from Entra itself, and its issuer is the v2 one.
fn own_token(jwt: &Jwt<'_>) -> Result<(), Refusal> {
    if jwt.claim("iss").is_some_and(|issuer| issuer.starts_with("https://sts.windows.net/")) {
        return Err(rules::ENTRA_TOKEN.refuse("Entra-issued tokens may not be used for federated identity flows."));
    }
    Ok(())
}

/// One credential has issuer, subject and audience of the assertion.
fn trusted(credentials: &[FederatedCredential], jwt: &Jwt<'_>) -> Result<(), Refusal> {
    let issuer = jwt.claim("iss").unwrap_or_default();
    let same_issuer: Vec<_> = credentials.iter().filter(|credential| credential.issuer == issuer).collect();
    if same_issuer.is_empty() {
        return Err(rules::FEDERATED_ISSUER.refuse(format!(
            "No matching federated identity record found for presented assertion issuer '{issuer}'. {SEE}"
        )));
    }
    let Some(subject) = jwt.claim("sub") else { return Err(missing(&rules::FEDERATED_SUBJECT_MISSING, "sub")) };
    let same_subject: Vec<_> = same_issuer.iter().filter(|credential| credential.subject == subject).collect();
    if same_subject.is_empty() {
        let near = same_issuer.iter().any(|credential| credential.subject.to_lowercase() == subject.to_lowercase());
        let (rule, but) = if near {
            (
                &rules::FEDERATED_SUBJECT_CASE,
                " The subject matches with case-insensitive comparison, but not with case-sensitive comparison.",
            )
        } else {
            (&rules::FEDERATED_SUBJECT, "")
        };
        return Err(rule.refuse(format!(
            "No matching federated identity record found for presented assertion subject '{subject}'.{but} {SEE}"
        )));
    }
    let Some(audience) = jwt.claims.get("aud") else {
        return Err(missing(&rules::FEDERATED_AUDIENCE_MISSING, "aud"));
    };
    let wanted: Vec<_> = same_subject.iter().map(|credential| credential.audience.as_str()).collect();
    if wanted.contains(&EXCHANGE_GUID) {
        return Err(rules::FEDERATED_AUDIENCE_GUID.refuse(format!(
            "The audience '{EXCHANGE_GUID}' in the federated identity credential is not allowed. Recommended: '{EXCHANGE_AUDIENCE}'."
        )));
    }
    if presented_audience(audience, issuer).is_some_and(|audience| wanted.contains(&audience)) {
        return Ok(());
    }
    Err(rules::FEDERATED_AUDIENCE.refuse(format!(
        "No matching federated identity record found for presented assertion audience {audience}. {SEE}"
    )))
}

/// Kubernetes writes an array of one. Tokens that Entra minted carry a GUID for the exchange audience.
fn presented_audience<'a>(audience: &'a Value, issuer: &str) -> Option<&'a str> {
    let text = match audience {
        Value::Array(list) if list.len() == 1 => list[0].as_str(),
        other => other.as_str(),
    }?;
    let by_entra = issuer.starts_with("https://login.microsoftonline.com/");
    Some(if by_entra && text == EXCHANGE_GUID { EXCHANGE_AUDIENCE } else { text })
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in an f64 for 285 million years")]
fn life(jwt: &Jwt<'_>, now: u64) -> Result<(), Refusal> {
    let end = times(jwt, now, &TIMES)?;
    let start = jwt.time("iat").unwrap_or(now as f64);
    if end - start > LONGEST_LIFE {
        return Err(rules::FEDERATED_LIFE
            .refuse("The lifetime of the presented external token exceeds the maximum allowed value."));
    }
    Ok(())
}

fn signature(jwt: &Jwt<'_>, keys: &metadata::Keys) -> Result<(), Refusal> {
    let kid = jwt.header("kid").unwrap_or_default();
    let Some(key) = keys.find(kid) else {
        return Err(rules::FEDERATED_KEY
            .refuse(format!("Error validating signature: the key '{kid}' was not found in the keys of the issuer.")));
    };
    if parameters("RS256").is_some_and(|parameters| jwt.verifies_with(&key, parameters)) {
        return Ok(());
    }
    Err(rules::FEDERATED_SIGNATURE
        .refuse("Error validating signature: the key was found, but the signature does not verify with it."))
}
