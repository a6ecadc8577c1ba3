//! Verifies a token as an API of one's own must: signature, issuer, audience, times.
//!
//! For tokens to one's own API only: Microsoft Graph's carry a `nonce` and nobody else can verify them. Every check is made and
//! told, since the second mistake is worth knowing together with the first. Easy to get wrong: the algorithm must come from the
//! key, never from the token alone (a public key is no HMAC secret), and an unknown `kid` usually is a rotated key.

use std::borrow::Cow;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Serialize;
use serde_json::Value;

use super::jwt::{Jwt, Signature};
use super::{issuer, shown, time};
use crate::problem::{Blame, Problem};

/// How far clocks may differ: what Microsoft's own validators allow.
pub const LEEWAY: i64 = 300;
/// What Entra and the platforms of contract C sign with, and what other issuers of one's own may.
const ALGORITHMS: [(&str, Algorithm); 8] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
];

/// What the caller's API accepts.
#[derive(Clone, Debug)]
pub struct Expected {
    pub issuer: String,
    pub audience: String,
}

/// The public keys of an issuer.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<Jwk>,
    /// Keys that were there and are of no use for signatures.
    unusable: usize,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[error("read the keys: this is no JWKS ({{\"keys\": [...]}}) with a key for signatures in it")]
pub struct NoKeys;

impl Keys {
    /// Reads a JWKS. Keys of kinds that are not known are passed over, as RFC 7517 5 asks.
    pub fn parse(json: &[u8]) -> Result<Self, NoKeys> {
        let document: Value = serde_json::from_slice(json).map_err(|_| NoKeys)?;
        let all = document.get("keys").and_then(Value::as_array).ok_or(NoKeys)?;
        let keys: Vec<Jwk> =
            all.iter().filter_map(|key| serde_json::from_value(key.clone()).ok()).filter(signs).collect();
        if keys.is_empty() { Err(NoKeys) } else { Ok(Self { unusable: all.len() - keys.len(), keys }) }
    }

    /// The key ids, for people.
    #[must_use]
    pub fn ids(&self) -> String {
        let id = |key: &Jwk| {
            key.common.key_id.as_deref().map_or_else(|| "(no kid)".to_owned(), |id| format!("`{}`", shown::text(id)))
        };
        let mut ids: Vec<_> = self.keys.iter().map(id).collect();
        if self.unusable > 0 {
            ids.push(format!("{} that cannot verify signatures", self.unusable));
        }
        ids.join(", ")
    }

    fn find(&self, kid: Option<&str>) -> Option<&Jwk> {
        match (kid, self.keys.as_slice()) {
            (Some(kid), keys) => keys.iter().find(|key| key.common.key_id.as_deref() == Some(kid)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

fn signs(key: &Jwk) -> bool {
    let purpose = key.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    purpose && matches!(key.algorithm, AlgorithmParameters::RSA(_) | AlgorithmParameters::EllipticCurve(_))
}

/// Why an API has to refuse the token.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("verify the signature: only the resource it is for can, since its header has a `nonce` (Microsoft Graph)")]
    OnlyByResource,
    #[error("verify the signature: `alg` is `{found}`, not one of RS256, PS256, ES256 and their longer forms")]
    Algorithm { found: String },
    #[error("verify the signature: `alg` is `{found}`, but the key `{kid}` is for {wanted}")]
    AlgorithmOfKey { found: String, kid: String, wanted: String },
    #[error("verify the signature: its header has `crit`, and demands an extension that is not known here")]
    Extension,
    #[error("verify the signature: its key `{kid}` is not among the issuer's: {known}")]
    KeyUnknown { kid: String, known: String },
    #[error("verify the signature: it is missing or damaged")]
    NoSignature,
    #[error("verify the signature: it does not verify with the key `{kid}`")]
    Signature { kid: String },
    #[error("verify the issuer: it is `{found}`, not `{wanted}`")]
    Issuer { found: String, wanted: String, other_version: bool },
    #[error("verify the audience: it is `{found}`, not `{wanted}`")]
    Audience { found: String, wanted: String },
    #[error("verify the times: it expired {ago}")]
    Expired { ago: String },
    #[error("verify the times: it becomes valid {later}")]
    Early { later: String },
    #[error("verify the times: it does not say when it expires")]
    Endless,
}

impl Problem for Refused {
    fn code(&self) -> &'static str {
        match self {
            Self::OnlyByResource => "verify-only-by-resource",
            Self::Algorithm { .. } | Self::AlgorithmOfKey { .. } | Self::Extension => "verify-algorithm",
            Self::KeyUnknown { .. } => "verify-key-unknown",
            Self::NoSignature | Self::Signature { .. } => "verify-signature",
            Self::Issuer { .. } => "verify-issuer",
            Self::Audience { .. } => "verify-audience",
            Self::Expired { .. } | Self::Early { .. } | Self::Endless => "verify-time",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::OnlyByResource => "verify only tokens that are for your own API, and ask for one with its scope",
            Self::Algorithm { .. } | Self::AlgorithmOfKey { .. } => {
                "refuse it: take the algorithm from the key, never from the token alone"
            }
            Self::Extension => "refuse it, as RFC 7515 demands: Entra issues no such token",
            Self::KeyUnknown { .. } => {
                "read the issuer's keys again, since issuers rotate them without notice; an API does so at an unknown kid, at \
                 most once in 5 minutes; if it stays unknown, the token is another issuer's"
            }
            Self::NoSignature => "give the whole token: its signature was cut off",
            Self::Signature { .. } => "refuse it: the token was altered, or somebody else made it",
            Self::Issuer { other_version: true, .. } => {
                "take both forms of Entra's issuer, or set `requestedAccessTokenVersion` in the API's registration (2 for \
                 https://login.microsoftonline.com/{tenant}/v2.0, 1 or null for https://sts.windows.net/{tenant}/)"
            }
            Self::Issuer { .. } => {
                "compare the issuer letter by letter, its trailing slash included, and the tenant in it"
            }
            Self::Audience { .. } => {
                "ask for a token with the API's own scope; version 2 tokens carry its client id, version 1 tokens the App ID \
                 URI that was asked for"
            }
            Self::Expired { .. } => "get a new token, and check this machine's clock",
            Self::Early { .. } => "check this machine's clock",
            Self::Endless => "refuse it: a token without `exp` is worth something for ever",
        }))
    }
}

/// One check and how it ended.
#[derive(Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    /// What is right about it.
    pub said: String,
    #[serde(skip)]
    pub refused: Option<Refused>,
}

/// Every check, the signature first. The token is good when none refused it.
#[must_use]
pub fn verify(jwt: &Jwt, expected: &Expected, keys: &Keys, now: u64) -> Vec<Check> {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let results = [
        ("signature", signature(jwt, keys)),
        ("issuer", of_issuer(jwt, &expected.issuer)),
        ("audience", audience(jwt, &expected.audience)),
        ("times", times(jwt, now)),
    ];
    let check = |(name, result)| match result {
        Ok(said) => Check { name, said, refused: None },
        Err(refused) => Check { name, said: String::new(), refused: Some(refused) },
    };
    results.into_iter().map(check).collect()
}

/// Only the signature, with the key that the token names.
pub fn signature(jwt: &Jwt, keys: &Keys) -> Result<String, Refused> {
    if jwt.header.contains_key("nonce") {
        return Err(Refused::OnlyByResource);
    }
    // RFC 7515 4.1.11: what is critical and not understood may change what the signature covers (`b64`, RFC 7797).
    if jwt.header.contains_key("crit") {
        return Err(Refused::Extension);
    }
    let found = shown::text(jwt.header("alg").unwrap_or_default());
    let Some((name, algorithm)) = ALGORITHMS.iter().find(|(name, _)| *name == found) else {
        return Err(Refused::Algorithm { found });
    };
    let kid = jwt.header("kid").or(jwt.header("x5t"));
    let shown_kid = kid.map_or_else(|| "(none named)".to_owned(), shown::text);
    let Some(key) = keys.find(kid) else {
        return Err(Refused::KeyUnknown { kid: shown_kid, known: keys.ids() });
    };
    if let Some(wanted) = unfit(key, name) {
        return Err(Refused::AlgorithmOfKey { found, kid: shown_kid, wanted });
    }
    let (signed, signature) =
        jwt.signed().filter(|_| jwt.signature == Signature::Present).ok_or(Refused::NoSignature)?;
    let verified = DecodingKey::from_jwk(key)
        .and_then(|key| jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key, *algorithm));
    match verified {
        Ok(true) => Ok(format!("verifies with the key `{shown_kid}` ({name})")),
        Ok(false) | Err(_) => Err(Refused::Signature { kid: shown_kid }),
    }
}

/// What the key is for, if it is not for this algorithm.
fn unfit(key: &Jwk, algorithm: &str) -> Option<String> {
    let family = match key.algorithm {
        AlgorithmParameters::RSA(_) => ["RS", "PS"].as_slice(),
        _ => ["ES"].as_slice(),
    };
    if !family.iter().any(|family| algorithm.starts_with(family)) {
        return Some(format!("{} signatures", family.join(" and ")));
    }
    let said = key.common.key_algorithm.map(|said| said.to_string());
    said.filter(|said| said != algorithm)
}

fn of_issuer(jwt: &Jwt, wanted: &str) -> Result<String, Refused> {
    let found = jwt.claim("iss").unwrap_or_default();
    if found == wanted {
        return Ok(format!("is `{}`", shown::text(found)));
    }
    let other_version = match (issuer::entra(found), issuer::entra(wanted)) {
        (Some(found), Some(wanted)) => found.tenant == wanted.tenant && found.version != wanted.version,
        _ => false,
    };
    Err(Refused::Issuer { found: shown::text(found), wanted: shown::text(wanted), other_version })
}

fn audience(jwt: &Jwt, wanted: &str) -> Result<String, Refused> {
    let all = jwt.audiences();
    if all.contains(&wanted) {
        return Ok(format!("is `{}`", shown::text(wanted)));
    }
    Err(Refused::Audience { found: shown::text(&all.join(", ")), wanted: shown::text(wanted) })
}

fn times(jwt: &Jwt, now: i64) -> Result<String, Refused> {
    let end = jwt.time("exp").ok_or(Refused::Endless)?;
    if end.saturating_add(LEEWAY) <= now {
        return Err(Refused::Expired { ago: time::relative(end, now) });
    }
    if let Some(start) = jwt.time("nbf").filter(|start| start.saturating_sub(LEEWAY) > now) {
        return Err(Refused::Early { later: time::relative(start, now) });
    }
    Ok(format!("expires {} ({})", time::relative(end, now), time::utc(end)))
}

#[cfg(test)]
mod tests;
