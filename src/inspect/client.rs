//! A certificate assertion, by which an application proves itself to Entra: what Entra will refuse (contract A6).
//!
//! Whether the certificate is registered, only Entra knows: its thumbprints are shown to compare. Easy to get wrong: libraries
//! differ in nearly everything here and Entra takes them all, so only what is sure to fail is called a refusal.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::Url;

use super::jwt::Jwt;
use super::platform::{entra, too_early};
use super::report::{Kind, Refusal, Report, Tone};
use super::{access, shown, time};
use crate::authority::Cloud;
use crate::ids::Guid;

/// The documented life from `nbf` to `exp`; Entra sets no ceiling today.
const DOCUMENTED_LIFE: i64 = 600;
/// As in `assertion::check`: below it the clocks may disagree and Entra is asked.
const LEEWAY: i64 = 60;

/// True for what only an application makes for itself: a token endpoint as audience, or its client id as issuer and subject.
pub(super) fn is_assertion(jwt: &Jwt) -> bool {
    let endpoint = jwt.audiences().iter().any(|audience| audience.contains("/oauth2/") && audience.ends_with("/token"));
    let itself = jwt.claim("iss").is_some_and(|issuer| Guid::parse(issuer).is_ok());
    endpoint || itself
}

pub(super) fn describe(jwt: &Jwt, now: i64) -> Report {
    let refusals = refusals(jwt, now);
    let client = shown::text(jwt.claim("iss").or(jwt.claim("sub")).unwrap_or_default());
    let fit = if refusals.is_empty() { "fit" } else { "unfit" };
    let verdict = format!("certificate assertion of application `{client}`, {fit} for Entra's token endpoint");
    let mut report = Report::new(Kind::CertificateAssertion, verdict);
    access::life(&mut report, jwt, now);
    for (name, what) in [("x5t#S256", "SHA-256"), ("x5t", "SHA-1")] {
        if let Some(hex) = jwt.header(name).and_then(hex) {
            report.say(Tone::Plain, format!("made with the certificate whose {what} thumbprint is {hex}"));
        }
    }
    if let (Some(start), Some(end)) = (jwt.time("nbf").or(jwt.time("iat")), jwt.time("exp"))
        && end.saturating_sub(start) > DOCUMENTED_LIFE
    {
        let span = time::span(end.saturating_sub(start));
        report.say(
            Tone::Doubtful,
            format!("it lives {span}; five to ten minutes are documented, and a thief has as long"),
        );
    }
    report.rows = access::rows(jwt, &["assertion", "access"], now);
    report.refusals = refusals;
    report
}

fn refusals(jwt: &Jwt, now: i64) -> Vec<Refusal> {
    let mut all = Vec::new();
    let algorithm = jwt.header("alg").unwrap_or_default();
    if !["PS256", "RS256", "RS384", "RS512"].contains(&algorithm) {
        all.push(entra(
            5_002_738,
            format!("it is signed with `{}`, not with `PS256` or `RS256`", shown::text(algorithm)),
        ));
    }
    if let Some(kind) = jwt.header("typ").filter(|kind| *kind != "JWT") {
        all.push(entra(5_002_727, format!("its header says `typ` `{}`, not `JWT`", shown::text(kind))));
    }
    if ["x5t#S256", "x5t", "kid"].iter().all(|name| jwt.header(name).is_none()) {
        all.push(entra(5_002_723, "its header names no certificate: `x5t#S256` is missing"));
    }
    for claim in ["iss", "sub", "aud", "exp"] {
        if !jwt.has(claim) {
            all.push(entra(90_014, format!("`{claim}` is missing")));
        }
    }
    if let (Some(issuer), Some(subject)) = (jwt.claim("iss"), jwt.claim("sub"))
        && issuer != subject
    {
        let why = format!("`sub` is `{}`, not the issuer `{}`", shown::text(subject), shown::text(issuer));
        all.push(entra(50_048, why));
    }
    if let Some(foreign) = jwt.audiences().into_iter().find(|audience| !is_endpoint(audience)) {
        let why = format!("its audience is `{}`, not Entra's token endpoint of the tenant", shown::text(foreign));
        all.push(entra(700_023, why));
    }
    if let Some(end) = jwt.time("exp").filter(|end| end.saturating_add(LEEWAY) <= now) {
        all.push(entra(700_024, format!("it expired {}", time::relative(end, now))));
    }
    all.extend(too_early(jwt, now));
    all
}

/// A host of Entra's. Which of its aliases and paths Entra takes is not documented, so all pass.
fn is_endpoint(audience: &str) -> bool {
    let Ok(url) = Url::parse(audience) else { return false };
    let host = url.host_str().unwrap_or_default();
    let known = Cloud::of_host(host).is_some() || host.ends_with(".login.microsoft.com") || host.contains("mtlsauth.");
    url.scheme() == "https" && known
}

/// A thumbprint as the portal writes it. Go writes base64 with padding, others base64url without (contract A6).
fn hex(thumbprint: &str) -> Option<String> {
    let bare = thumbprint.trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD.decode(bare).or_else(|_| STANDARD_NO_PAD.decode(bare)).ok()?;
    matches!(bytes.len(), 20 | 32).then(|| super::certificate::hex(&bytes))
}
