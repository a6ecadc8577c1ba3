//! A certificate as an assertion needs it: its thumbprints, its time, its public key.
//!
//! Not a chain builder: Entra knows the certificate itself (contract A6) and wants no `x5c`. Easy to get wrong: a
//! thumbprint is over the DER, not over the PEM text.

use std::fs;
use std::path::Path;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::AssertionError;
use crate::secret::Fingerprint;
use crate::signer::pkcs12;

/// The first certificate of a file.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// What it is called in errors: its path.
    pub name: String,
    /// SHA-256 over the DER.
    pub thumbprint: Fingerprint,
    /// SHA-1 over the DER in base64url, for `x5t`.
    pub sha1: String,
    /// Seconds since 1970.
    pub not_before: u64,
    /// Seconds since 1970.
    pub not_after: u64,
    /// The `subjectPublicKey` bits: for RSA a DER `RSAPublicKey`.
    pub public_key: Vec<u8>,
}

impl Leaf {
    /// Reads PEM, leaf first, or PKCS#12.
    pub fn open(path: &Path, password_file: Option<&Path>) -> Result<Self, AssertionError> {
        let unreadable = |source| AssertionError::CertificateUnreadable { path: path.to_owned(), source };
        let bytes = fs::read(path).map_err(unreadable)?;
        let invalid = |why| AssertionError::CertificateInvalid { path: path.to_owned(), why };
        if !pkcs12::is_der(&bytes) {
            let der = CertificateDer::from_pem_slice(&bytes).map_err(|_| invalid("no PEM certificate in it"))?;
            return Self::of(path, &der);
        }
        if X509Certificate::from_der(&bytes).is_ok() {
            return Self::of(path, &bytes);
        }
        let sign = |source| AssertionError::Sign { source };
        let password = pkcs12::password(password_file).map_err(sign)?;
        let bundle = pkcs12::open(path, &bytes, &password).map_err(sign)?;
        Self::of(path, bundle.certificates.first().ok_or_else(|| invalid("no certificate in it"))?)
    }

    /// One certificate, as DER; `path` is for the errors.
    pub fn of(path: &Path, der: &[u8]) -> Result<Self, AssertionError> {
        let invalid = |why| AssertionError::CertificateInvalid { path: path.to_owned(), why };
        let (_, parsed) = X509Certificate::from_der(der).map_err(|_| invalid("its certificate cannot be parsed"))?;
        let seconds = |time: i64| u64::try_from(time).unwrap_or_default();
        Ok(Self {
            name: path.display().to_string(),
            thumbprint: Fingerprint::of(der),
            sha1: URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der)),
            not_before: seconds(parsed.validity().not_before.timestamp()),
            not_after: seconds(parsed.validity().not_after.timestamp()),
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
        })
    }

    /// Whether `now`, in seconds since 1970, lies within its validity.
    #[must_use]
    pub fn is_valid_at(&self, now: u64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}
