//! Assertions that we sign ourselves, with keys whose certificates the application registration lists (contract A6).
//!
//! Signed anew for every request, never kept. Several certificates may be configured, newest first, so that a new one
//! can be rolled out before Entra knows it everywhere. Easy to get wrong: the audience is the token URL the assertion
//! is posted to, and the thumbprint is base64url without padding.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_core::future::BoxFuture;
use serde::Serialize;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo};

use super::{Assertion, AssertionError, AssertionSource, Leaf, Wanted};
use crate::clock::Clock;
use crate::facts::Facts;
use crate::ids::Guid;
use crate::secret::{Fingerprint, Secret};
use crate::signer::{Algorithm, FileSigner, KeyUri, Signer, Signers};

/// How far Entra's clock may be behind ours.
const SKEW: u64 = 60;
/// With the skew before it, the most from `nbf` to `exp` that contract A6 documents: ten minutes.
const LIFE: Duration = Duration::from_secs(600 - SKEW);

/// A certificate and the key that signs for it.
#[derive(Debug)]
pub struct Credential {
    pub leaf: Leaf,
    pub signer: Arc<dyn Signer>,
    /// What an operator should hear, such as a key file that others can read.
    pub warning: Option<String>,
}

impl Credential {
    /// Reads the certificate and opens its key. Does not compare the two: [`CertificateSource::open`] does. May take a
    /// second, so not on the runtime's thread.
    pub fn open(certificate: &Path, key: &KeyUri, signers: &Signers) -> Result<Self, AssertionError> {
        let password_file = match key {
            KeyUri::File { password_file, .. } => password_file.as_deref(),
            KeyUri::Pkcs11(_) | KeyUri::Tpm(_) => None,
        };
        let leaf = Leaf::open(certificate, password_file)?;
        let signer = signers.open(key, Some(&leaf.public_key)).map_err(|source| AssertionError::Sign { source })?;
        let warning = signer.warning().map(str::to_owned);
        Ok(Self { leaf, signer, warning })
    }

    /// The same for two files; `password_file` is for PKCS#12.
    pub fn from_files(certificate: &Path, key: &Path, password_file: Option<&Path>) -> Result<Self, AssertionError> {
        let leaf = Leaf::open(certificate, password_file)?;
        let signer = FileSigner::open(key, password_file).map_err(|source| AssertionError::Sign { source })?;
        let warning = signer.warning().map(str::to_owned);
        Ok(Self { leaf, signer: Arc::new(signer), warning })
    }

    /// The key must be the certificate's, and what it signs must verify: a TPM may salt PSS in a way JWA forbids.
    async fn prove(&self, algorithm: Algorithm) -> Result<(), AssertionError> {
        let key = self.signer.public_key().await.map_err(|source| AssertionError::Sign { source })?;
        let key = SubjectPublicKeyInfo::from_der(&key);
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

    async fn sign(&self, wanted: Wanted<'_>, life: Duration) -> Result<Assertion, AssertionError> {
        let now = self.clock.now().epoch();
        let Credential { leaf, signer, .. } = self.choose(wanted.refused, now)?;
        let claims = Claims::at(now, life.as_secs(), &self.client_id, wanted.token_url);
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
        Box::pin(self.sign(wanted, LIFE))
    }

    /// Contract A6: Entra sets no ceiling on `exp`.
    fn lasting<'a>(&'a self, wanted: Wanted<'a>, life: Duration) -> BoxFuture<'a, Result<Assertion, AssertionError>> {
        Box::pin(self.sign(wanted, life))
    }

    fn kind(&self) -> &'static str {
        "certificate"
    }
}

/// The JOSE header of contract A6: PS256 goes with `x5t#S256`, RS256 with `x5t` as older libraries send it.
pub(super) fn header(algorithm: Algorithm, leaf: &Leaf) -> jsonwebtoken::Header {
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

impl<'a> Claims<'a> {
    /// For requests sent to this token URL from now on, with a fresh `jti`.
    fn at(now: u64, life: u64, client_id: &'a Guid, token_url: &'a str) -> Self {
        let nbf = now.saturating_sub(SKEW);
        let id = client_id.as_str();
        Self {
            aud: token_url,
            iss: id,
            sub: id,
            jti: Guid::random().to_string(),
            nbf,
            iat: now,
            exp: now.saturating_add(life),
        }
    }
}

pub(super) fn part(value: &impl Serialize) -> String {
    #[expect(clippy::expect_used, reason = "plain structs of text and numbers have nothing that JSON cannot hold")]
    let json = serde_json::to_vec(value).expect("a struct of text and numbers");
    URL_SAFE_NO_PAD.encode(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::problem::{Problem as _, chain};
    use serde_json::{Value, json};
    use std::fs;
    use std::sync::LazyLock;

    const NOW: u64 = 1_800_000_000;
    const TOKEN_URL: &str = "https://login.microsoftonline.com/t/oauth2/v2.0/token";
    const WANTED: Wanted<'_> = Wanted { token_url: TOKEN_URL, refused: &[] };

    /// Made once: an RSA key costs a good part of a second.
    static KEYS: LazyLock<[rcgen::KeyPair; 2]> = LazyLock::new(|| {
        [0, 1].map(|_| rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap())
    });

    fn client_id() -> Guid {
        Guid::parse("33333333-dddd-4eee-8fff-444444444444").unwrap()
    }

    /// A certificate over key `owner`, with the file of key `key`, valid for these years.
    fn credential(owner: usize, key: usize, years: (i32, i32)) -> Credential {
        let dir = tempfile::tempdir().unwrap();
        let (certificate_file, key_file) = (dir.path().join("app.pem"), dir.path().join("app.key"));
        let mut params = rcgen::CertificateParams::new(vec!["app".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        fs::write(&certificate_file, params.self_signed(&KEYS[owner]).unwrap().pem()).unwrap();
        fs::write(&key_file, KEYS[key].serialize_pem()).unwrap();
        Credential::from_files(&certificate_file, &key_file, None).unwrap()
    }

    async fn source(algorithm: Algorithm, credentials: Vec<Credential>) -> Result<CertificateSource, AssertionError> {
        CertificateSource::open(client_id(), algorithm, credentials, Arc::new(ManualClock::standing(NOW))).await
    }

    fn decoded(jwt: &str) -> Vec<Value> {
        jwt.split('.')
            .take(2)
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect()
    }

    #[tokio::test]
    async fn an_assertion_is_as_the_contract_says_to_the_letter() {
        let credential = credential(0, 0, (2020, 2090));
        let leaf = credential.leaf.clone();
        let source = source(Algorithm::Ps256, vec![credential]).await.unwrap();
        let assertion = source.assertion(WANTED).await.unwrap();
        let jwt = assertion.jwt.expose();
        let parts = decoded(jwt);
        assert_eq!(parts[0], json!({"typ": "JWT", "alg": "PS256", "x5t#S256": leaf.thumbprint.base64url()}));
        let (id, jti) = (client_id().to_string(), parts[1]["jti"].clone());
        let (nbf, exp) = (NOW - 60, NOW + 540);
        assert_eq!(
            parts[1],
            json!({"aud": TOKEN_URL, "iss": id, "sub": id, "jti": jti, "nbf": nbf, "iat": NOW, "exp": exp})
        );
        let (message, signature) = jwt.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(verification(Algorithm::Ps256), &leaf.public_key)
            .verify(message.as_bytes(), &signature)
            .unwrap();
        let again = decoded(source.assertion(WANTED).await.unwrap().jwt.expose());
        assert_ne!(again[1]["jti"], parts[1]["jti"]);
    }

    #[tokio::test]
    async fn rs256_goes_with_the_old_thumbprint() {
        let credential = credential(0, 0, (2020, 2090));
        let sha1 = credential.leaf.sha1.clone();
        let source = source(Algorithm::Rs256, vec![credential]).await.unwrap();
        let header = decoded(source.assertion(WANTED).await.unwrap().jwt.expose()).remove(0);
        assert_eq!(header, json!({"typ": "JWT", "alg": "RS256", "x5t": sha1}));
        assert_eq!(URL_SAFE_NO_PAD.decode(sha1).unwrap().len(), 20);
    }

    #[tokio::test]
    async fn a_key_of_another_certificate_is_named_with_both_hashes() {
        let mixed = credential(0, 1, (2020, 2090));
        let (thumbprint, wanted) = (mixed.leaf.thumbprint.hex(), Fingerprint::of(&mixed.leaf.public_key).hex());
        let problem = source(Algorithm::Ps256, vec![mixed]).await.unwrap_err();
        assert_eq!(problem.code(), "key-certificate-mismatch");
        let line = chain(&problem);
        assert!(line.contains(&thumbprint) && line.contains(&wanted) && line.contains("app.pem"), "{line}");
    }

    #[tokio::test]
    async fn a_refused_certificate_gives_way_to_the_next() {
        let credentials = vec![credential(0, 0, (2020, 2090)), credential(1, 1, (2020, 2090))];
        let source = source(Algorithm::Ps256, credentials).await.unwrap();
        let newest = source.assertion(WANTED).await.unwrap().mark;
        let older = source.assertion(Wanted { refused: &[newest], ..WANTED }).await.unwrap().mark;
        assert_ne!(newest, older);
        let none = source.assertion(Wanted { refused: &[newest, older], ..WANTED }).await;
        assert!(matches!(none, Err(AssertionError::Exhausted)));
    }

    #[tokio::test]
    async fn a_certificate_out_of_its_time_is_passed_over_and_named_when_none_is_left() {
        let (future, past) = ((2080, 2090), (2000, 2010));
        let credentials = vec![credential(0, 0, future), credential(1, 1, (2020, 2090))];
        let second = credentials[1].leaf.thumbprint;
        let one_good = source(Algorithm::Ps256, credentials).await.unwrap();
        assert_eq!(one_good.assertion(WANTED).await.unwrap().mark, second);
        let none_good = source(Algorithm::Ps256, vec![credential(0, 0, past)]).await.unwrap();
        let problem = none_good.assertion(WANTED).await.unwrap_err();
        assert_eq!(problem.code(), "certificate-not-valid");
        assert!(problem.to_string().ends_with("now is 1800000000"), "{problem}");
    }
}
