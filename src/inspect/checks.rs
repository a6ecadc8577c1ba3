//! What a script demands of a token: no client secret behind it, claims that are as expected, differences between two.
//!
//! Checks claims that nobody verified; `verify` is the other thing. Easy to get wrong: what cannot be told is a failure, since a
//! check that passes for lack of knowledge protects nobody.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::report::{Kind, Proof, Report};
use super::{claims, shown, time};
use crate::problem::{Blame, Problem};

/// A demand that the token does not meet.
#[derive(Debug, thiserror::Error)]
pub enum Unmet {
    #[error(
        "check the token: it was obtained with a client secret ({claim} is 1), not with a certificate or an assertion"
    )]
    Secret { claim: &'static str },
    #[error(
        "check the token: how it was obtained is unknown, since it has neither `appidacr` nor `azpacr` with a known value"
    )]
    ProofUnknown,
    #[error("check the token: this is {kind}, and only an access token tells how it was obtained")]
    NoAccessToken { kind: Kind },
    #[error("check claim `{claim}`: it is `{found}`, not `{wanted}`")]
    Claim { claim: String, wanted: String, found: String },
    #[error("check claim `{claim}`: it is missing, not `{wanted}`")]
    ClaimMissing { claim: String, wanted: String },
    #[error("check the claims: this is {kind}, not a token that can be read")]
    NoToken { kind: Kind },
}

impl Problem for Unmet {
    fn code(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "inspect-client-secret",
            Self::ProofUnknown | Self::NoAccessToken { .. } => "inspect-proof-unknown",
            Self::Claim { .. } | Self::ClaimMissing { .. } => "inspect-claim-unexpected",
            Self::NoToken { .. } => "inspect-no-token",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Secret { .. } => Blame::Tenant,
            _ => Blame::Caller,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Secret { .. } => "let the application get its tokens from unsecret, then delete the secret in Entra",
            Self::ProofUnknown => {
                "check another token of the application: Entra writes `appidacr` or `azpacr` into every one"
            }
            Self::NoAccessToken { .. } => "give the access token that the application sends",
            Self::Claim { .. } | Self::ClaimMissing { .. } => {
                "compare the claim with what was expected, letter case included; `unsecret inspect` explains it"
            }
            Self::NoToken { .. } => "give a JWT",
        }))
    }
}

/// Fails unless the token says that no client secret was used to obtain it.
pub fn require_secretless(report: &Report) -> Result<(), Unmet> {
    match report.obtained_with {
        None => Err(Unmet::NoAccessToken { kind: report.kind }),
        Some(Proof::Unknown) => Err(Unmet::ProofUnknown),
        Some(Proof::Secret) => {
            let old = report.jwt().is_some_and(|jwt| jwt.has("appidacr"));
            Err(Unmet::Secret { claim: if old { "appidacr" } else { "azpacr" } })
        }
        Some(Proof::Nothing | Proof::Assertion) => Ok(()),
    }
}

/// Fails unless the claim has this value; a list has it when it contains it.
pub fn expect(report: &Report, claim: &str, wanted: &str) -> Result<(), Unmet> {
    let jwt = report.jwt().ok_or(Unmet::NoToken { kind: report.kind })?;
    let named = || (shown::text(claim), shown::text(wanted));
    let Some(found) = jwt.claims.get(claim) else {
        let (claim, wanted) = named();
        return Err(Unmet::ClaimMissing { claim, wanted });
    };
    if has(found, wanted) {
        return Ok(());
    }
    let (claim, wanted) = named();
    let found = claims::shown(&claim, found);
    Err(Unmet::Claim { claim, wanted, found })
}

fn has(found: &Value, wanted: &str) -> bool {
    match found {
        Value::String(text) => text == wanted,
        Value::Array(items) => items.iter().any(|item| has(item, wanted)),
        other => serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| wanted == *other),
    }
}

/// A claim that two tokens do not share; `None` where it is missing.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub claim: String,
    pub a: Option<String>,
    pub b: Option<String>,
}

/// The claims in which two tokens differ, header fields first.
pub fn differences(a: &Report, b: &Report, now: u64) -> Result<Vec<Difference>, Unmet> {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let token = |report: &'_ Report| Unmet::NoToken { kind: report.kind };
    let (first, second) = (a.jwt().ok_or_else(|| token(a))?, b.jwt().ok_or_else(|| token(b))?);
    let mut all = Vec::new();
    for (place, one, other) in [("header ", &first.header, &second.header), ("", &first.claims, &second.claims)] {
        let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
        for name in names.into_iter().filter(|name| one.get(*name) != other.get(*name)) {
            let side = |value: Option<&Value>| value.map(|value| side(name, value, now));
            let claim = format!("{place}{}", shown::text(name));
            all.push(Difference { claim, a: side(one.get(name)), b: side(other.get(name)) });
        }
    }
    Ok(all)
}

/// Times as times: two numbers of ten digits tell a reader nothing.
fn side(name: &str, value: &Value, now: i64) -> String {
    match time::seconds(value) {
        Some(seconds) if claims::is_time(name) => time::shown(seconds, now),
        _ => claims::shown(name, value),
    }
}
