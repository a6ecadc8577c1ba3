//! Assertions that we sign ourselves, with keys whose certificates the application registration lists (contract A6).
//!
//! Signed anew for every request, never kept. Several certificates may be configured, newest first, so that a new one
//! can be rolled out before Entra knows it everywhere. Easy to get wrong: the audience is the token URL the assertion
//! is posted to, and the thumbprint is base64url without padding.

use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_core::future::BoxFuture;
use serde::Serialize;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo};

use super::{Assertion, AssertionError, AssertionSource, Facts, Leaf, Wanted};
use crate::clock::Clock;
use crate::ids::Guid;
use crate::secret::{Fingerprint, Secret};
use crate::signer::{Algorithm, FileSigner, Signer};

/// How far Entra's clock may be behind ours.
const SKEW: u64 = 60;
/// From `nbf` to `exp`: the most that contract A6 documents.
const LIFE: u64 = 600;

/// A certificate and the key that signs for it.
#[derive(Debug)]
pub struct Credential {
    pub leaf: Leaf,
    pub signer: Arc<dyn Signer>,
    /// What an operator should hear, such as a key file that others can read.
    pub warning: Option<String>,
}

impl Credential {
    /// Reads both files; `password_file` is for PKCS#12. Does not compare the two: [`CertificateSource::open`] does.
    pub fn from_files(certificate: &Path, key: &Path, password_file: Option<&Path>) -> Result<Self, AssertionError> {
        let leaf = Leaf::open(certificate, password_file)?;
        let signer = FileSigner::open(key, password_file).map_err(|source| AssertionError::Sign { source })?;
        let warning = signer.warning().map(str::to_owned);
        Ok(Self { leaf, signer: Arc::new(signer), warning })
    }

    /// The key must be the certificate's, and what it signs must verify: a TPM may salt PSS in a way JWA forbids.
    async fn prove(&self, algorithm: Algorithm) -> Result<(), AssertionError> {
        let key = SubjectPublicKeyInfo::from_der(self.signer.public_key());
        let key = key.map(|(_, info)| info.subject_public_key.data.to_vec()).unwrap_or_default();
        if key != self.leaf.public_key {
            return Err(AssertionError::KeyMismatch {
                certificate: self.leaf.name.clone(),
                thumbprint: self.leaf.thumbprint.hex(),
                wanted: Fingerprint::of(&self.leaf.public_key).hex(),
                found: Fingerprint::of(&key).hex(),
            });
        }
        let probe = Guid::random();
        let message = probe.as_str().as_bytes();
        let signature = self.signer.sign(algorithm, message).await.map_err(|source| AssertionError::Sign { source })?;
        let verified =
            UnparsedPublicKey::new(verification(algorithm), &self.leaf.public_key).verify(message, &signature);
        verified.map_err(|_| AssertionError::SignatureUnusable {
            certificate: self.leaf.name.clone(),
            algorithm: name(algorithm),
        })
    }
}

fn verification(algorithm: Algorithm) -> &'static dyn VerificationAlgorithm {
    match algorithm {
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
    }
}

fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ps256 => "PS256",
        Algorithm::Rs256 => "RS256",
    }
}

/// Signs assertions with the newest certificate that Entra has not refused.
#[derive(Debug)]
pub struct CertificateSource {
    client_id: Guid,
    algorithm: Algorithm,
    credentials: Vec<Credential>,
    clock: Arc<dyn Clock>,
}

impl CertificateSource {
    /// Takes the certificates newest first, and proves each key against its certificate with a signature.
    pub async fn open(
        client_id: Guid,
        algorithm: Algorithm,
        credentials: Vec<Credential>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AssertionError> {
        if credentials.is_empty() {
            return Err(AssertionError::NoCertificate);
        }
        for credential in &credentials {
            credential.prove(algorithm).await?;
        }
        Ok(Self { client_id, algorithm, credentials, clock })
    }

    /// The certificates, newest first.
    pub fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        self.credentials.iter().map(|credential| &credential.leaf)
    }

    async fn sign(&self, wanted: Wanted<'_>) -> Result<Assertion, AssertionError> {
        let now = self.clock.now().epoch();
        let leaf = &self.choose(wanted.refused, now)?.leaf;
        let signer = &self.choose(wanted.refused, now)?.signer;
        let claims = Claims::at(now, &self.client_id, wanted.token_url);
        let message = format!("{}.{}", part(&header(self.algorithm, leaf)), part(&claims));
        let signature = signer.sign(self.algorithm, message.as_bytes()).await;
        let signature = signature.map_err(|source| AssertionError::Sign { source })?;
        let jwt = Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)));
        Ok(Assertion { jwt, mark: leaf.thumbprint, facts: self.facts(leaf, &claims) })
    }

    fn choose(&self, refused: &[Fingerprint], now: u64) -> Result<&Credential, AssertionError> {
        let usable = |credential: &&Credential| credential.leaf.is_valid_at(now);
        let untried = |credential: &&Credential| !refused.contains(&credential.leaf.thumbprint);
        if let Some(credential) = self.credentials.iter().filter(usable).find(untried) {
            return Ok(credential);
        }
        match self.credentials.first() {
            Some(newest) if !self.credentials.iter().any(|credential| usable(&credential)) => {
                Err(AssertionError::CertificateNotValid {
                    certificate: newest.leaf.name.clone(),
                    not_before: newest.leaf.not_before,
                    not_after: newest.leaf.not_after,
                    now,
                })
            }
            _ => Err(AssertionError::Exhausted),
        }
    }

    fn facts(&self, leaf: &Leaf, claims: &Claims<'_>) -> Facts {
        Facts {
            issuer: Some(self.client_id.to_string()),
            subject: Some(self.client_id.to_string()),
            audience: Some(claims.aud.to_owned()),
            expires: Some(claims.exp),
            key_id: Some(leaf.thumbprint.base64url()),
            algorithm: Some(name(self.algorithm).to_owned()),
            kind: Some("JWT".to_owned()),
        }
    }
}

impl AssertionSource for CertificateSource {
    fn assertion<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Assertion, AssertionError>> {
        Box::pin(self.sign(wanted))
    }

    fn kind(&self) -> &'static str {
        "certificate"
    }
}

/// The JOSE header of contract A6: PS256 goes with `x5t#S256`, RS256 with `x5t` as older libraries send it.
#[must_use]
pub fn header(algorithm: Algorithm, leaf: &Leaf) -> jsonwebtoken::Header {
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

/// The claims of contract A6, all times as integers.
#[derive(Clone, Debug, Serialize)]
pub struct Claims<'a> {
    pub aud: &'a str,
    pub iss: &'a str,
    pub sub: &'a str,
    pub jti: String,
    pub nbf: u64,
    pub iat: u64,
    pub exp: u64,
}

impl<'a> Claims<'a> {
    /// For a request sent now to this token URL, with a fresh `jti`.
    #[must_use]
    pub fn at(now: u64, client_id: &'a Guid, token_url: &'a str) -> Self {
        let nbf = now.saturating_sub(SKEW);
        let id = client_id.as_str();
        Self { aud: token_url, iss: id, sub: id, jti: Guid::random().to_string(), nbf, iat: now, exp: nbf + LIFE }
    }
}

fn part(value: &impl Serialize) -> String {
    #[expect(clippy::expect_used, reason = "plain structs of text and numbers have nothing that JSON cannot hold")]
    let json = serde_json::to_vec(value).expect("a struct of text and numbers");
    URL_SAFE_NO_PAD.encode(json)
}
