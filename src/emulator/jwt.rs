//! Compact JWTs as strangers send them, and the RSA keys that sign and verify them.
//!
//! Reads leniently only where a shipping client needs it (contract A6): thumbprints in standard or padded base64, times
//! as floats or strings. Not a JWT library: what a header or claim must say is for `federated` and `certificate`.
//! Easy to get wrong: a signature that does not decode is a wrong signature, not a text that is no JWT (a newline at
//! the end of a token file does just that).

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use crate::secret::{Fingerprint, Secret};

/// A JWT taken apart, its signature not yet verified.
pub(super) struct Jwt<'a> {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    signed: &'a str,
    signature: Option<Vec<u8>>,
}

impl<'a> Jwt<'a> {
    /// `None` unless there are three parts and the first two are JSON objects in base64url.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok(),
        })
    }

    /// A header field that is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// A claim that is text and not empty.
    pub(super) fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// A time in seconds since 1970. Python writes floats, .NET writes strings.
    pub(super) fn time(&self, name: &str) -> Option<f64> {
        match self.claims.get(name)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
        .filter(|seconds| seconds.is_finite())
    }

    /// Whether the third part is base64url without padding.
    pub(super) fn has_signature(&self) -> bool {
        self.signature.is_some()
    }

    pub(super) fn verifies_with(&self, key: &VerifyingKey, parameters: &'static RsaParameters) -> bool {
        let Some(signature) = &self.signature else { return false };
        match key {
            VerifyingKey::Spki(der) => {
                UnparsedPublicKey::new(parameters, der).verify(self.signed.as_bytes(), signature).is_ok()
            }
            VerifyingKey::Components { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(parameters, self.signed.as_bytes(), signature).is_ok()
            }
        }
    }
}

/// An RSA public key as a certificate or a JWKS gives it.
pub(super) enum VerifyingKey {
    Spki(Vec<u8>),
    Components { n: Vec<u8>, e: Vec<u8> },
}

impl VerifyingKey {
    /// From one entry of a JWKS; `None` unless it is an RSA key meant for signatures.
    pub(super) fn from_jwk(jwk: &Value) -> Option<Self> {
        let usable = jwk.get("kty")?.as_str()? == "RSA" && jwk.get("use").is_none_or(|purpose| purpose == "sig");
        let part = |name| URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok();
        usable.then_some(Self::Components { n: part("n")?, e: part("e")? })
    }
}

/// The RSA parameters of a JOSE algorithm that Entra may take; `None` for any other.
pub(super) fn parameters(algorithm: &str) -> Option<&'static RsaParameters> {
    match algorithm {
        "RS256" => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        "RS384" => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        "PS256" => Some(&signature::RSA_PSS_2048_8192_SHA256),
        _ => None,
    }
}

/// Base64 in any of its spellings: Go writes thumbprints in standard padded base64, Python async in padded base64url.
pub(super) fn any_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()
}

/// Padded base64, as Graph writes binary fields.
pub(super) fn standard_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// An RSA 2048 key with which the emulator signs access tokens or plays an issuer.
pub(super) struct SigningKey {
    pair: RsaKeyPair,
    pub(super) kid: String,
}

impl SigningKey {
    /// Takes a noticeable fraction of a second.
    pub(super) fn generate() -> Result<Self, Unspecified> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let kid = Fingerprint::of(pair.public_key().as_ref()).base64url();
        Ok(Self { pair, kid })
    }

    /// RS256 over header and claims, whatever the header says.
    pub(super) fn sign(&self, header: &Map<String, Value>, claims: &Map<String, Value>) -> Result<Secret, Unspecified> {
        let part = |map: &Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(map.clone()).to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)?;
        Ok(Secret::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    /// The public half, for a JWKS.
    pub(super) fn jwk(&self) -> Value {
        let key = self.pair.public_key();
        let (n, e) = (key.modulus(), key.exponent());
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
            "n": URL_SAFE_NO_PAD.encode(n.big_endian_without_leading_zero()),
            "e": URL_SAFE_NO_PAD.encode(e.big_endian_without_leading_zero()),
        })
    }

    pub(super) fn verifying_key(&self) -> Option<VerifyingKey> {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().ok()?;
        Some(VerifyingKey::Spki(der.as_ref().to_vec()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("no object: {other}"),
        }
    }

    #[test]
    fn a_signed_token_verifies_by_jwk_and_by_public_key_and_not_when_altered() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign(&map(json!({"alg": "RS256"})), &map(json!({"sub": "a"}))).unwrap();
        let rs256 = parameters("RS256").unwrap();
        let jwt = Jwt::parse(token.expose()).unwrap();
        assert!(jwt.verifies_with(&VerifyingKey::from_jwk(&key.jwk()).unwrap(), rs256));
        assert!(jwt.verifies_with(&key.verifying_key().unwrap(), rs256));
        for altered in [token.expose().to_owned() + "\n", token.expose().replacen("eyJ", "eyI", 1)] {
            let verified =
                Jwt::parse(&altered).is_some_and(|jwt| jwt.verifies_with(&key.verifying_key().unwrap(), rs256));
            assert!(!verified);
        }
    }

    #[test]
    fn times_may_be_floats_or_strings() {
        let text = |claims: &str| format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims));
        let at = |claims: &str| Jwt::parse(&text(claims)).unwrap().time("exp").map(|seconds| seconds.to_string());
        assert_eq!(at(r#"{"exp":7.5}"#).as_deref(), Some("7.5"));
        assert_eq!(at(r#"{"exp":"7"}"#).as_deref(), Some("7"));
        assert_eq!(at(r#"{"exp":"NaN"}"#), None);
    }

    #[test]
    fn a_jwk_for_encryption_is_no_signing_key() {
        let mut jwk = SigningKey::generate().unwrap().jwk();
        jwk["use"] = json!("enc");
        assert!(VerifyingKey::from_jwk(&jwk).is_none());
    }
}
