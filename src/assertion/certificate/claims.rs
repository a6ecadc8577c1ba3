//! What is signed: header and claims of contract A6.
//!
//! Easy to get wrong: the audience is the token URL that the assertion is posted to, and a thumbprint is base64url without
//! padding.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::assertion::Leaf;
use crate::facts::Facts;
use crate::ids::Guid;
use crate::signer::Algorithm;

/// How far Entra's clock may be behind ours.
pub(super) const SKEW: u64 = 60;

/// An assertion to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft<'a> {
    pub(super) client_id: &'a Guid,
    pub(super) token_url: &'a str,
    pub(super) now: u64,
    /// In seconds from now.
    pub(super) life: u64,
}

impl Draft<'_> {
    /// Header and claims in their compact form, with a fresh `jti`.
    pub(super) fn unsigned(&self, algorithm: Algorithm, leaf: &Leaf) -> String {
        format!("{}.{}", part(&header(algorithm, leaf)), part(&self.claims()))
    }

    /// All times as integers.
    fn claims(&self) -> Claims<'_> {
        let id = self.client_id.as_str();
        Claims {
            aud: self.token_url,
            iss: id,
            sub: id,
            jti: Guid::random().to_string(),
            nbf: self.now.saturating_sub(SKEW),
            iat: self.now,
            exp: self.expires(),
        }
    }

    fn expires(&self) -> u64 {
        self.now.saturating_add(self.life)
    }

    pub(super) fn facts(&self, algorithm: Algorithm, leaf: &Leaf) -> Facts {
        Facts {
            issuer: Some(self.client_id.to_string()),
            subject: Some(self.client_id.to_string()),
            audience: Some(self.token_url.to_owned()),
            expires: Some(self.expires()),
            key_id: Some(leaf.thumbprint.base64url()),
            algorithm: Some(algorithm.name().to_owned()),
            kind: Some("JWT".to_owned()),
        }
    }
}

/// PS256 goes with `x5t#S256`, RS256 with `x5t` as older libraries send it.
pub(in crate::assertion) fn header(algorithm: Algorithm, leaf: &Leaf) -> jsonwebtoken::Header {
    let mut header = jsonwebtoken::Header::new(match algorithm {
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
    });
    match algorithm {
        Algorithm::Ps256 => header.x5t_s256 = Some(leaf.thumbprint.base64url()),
        Algorithm::Rs256 => header.x5t = Some(leaf.sha1.clone()),
    }
    header
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    jti: String,
    nbf: u64,
    iat: u64,
    exp: u64,
}

pub(in crate::assertion) fn part(value: &impl Serialize) -> String {
    #[expect(clippy::expect_used, reason = "plain structs of text and numbers have nothing that JSON cannot hold")]
    let json = serde_json::to_vec(value).expect("a struct of text and numbers");
    URL_SAFE_NO_PAD.encode(json)
}
