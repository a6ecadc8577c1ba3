//! A private key that it will not give out.
//!
//! Not a keystore and not a JWT library: `assertion::certificate` builds what is signed. Later signers (PKCS#11, TPM)
//! are a file each. Easy to get wrong: signing may block or hang, so it is asynchronous and the work happens elsewhere.

mod file;
pub mod pkcs12;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use futures_core::future::BoxFuture;

use crate::problem::{Blame, Problem};

pub use file::FileSigner;

/// JOSE algorithms that Entra takes in a certificate assertion (contract A6). RSA only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PSS, SHA-256, salt of 32 bytes.
    #[default]
    Ps256,
    /// RSASSA-PKCS1-v1_5, SHA-256.
    Rs256,
}

/// Signs with a key that it holds.
///
/// Cancel-safe: a dropped future may still sign, to no effect. On failure nothing changes.
pub trait Signer: Send + Sync + fmt::Debug {
    /// The signature over `message` (not over its digest).
    fn sign<'a>(&'a self, algorithm: Algorithm, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>>;

    /// DER `SubjectPublicKeyInfo` of the key.
    fn public_key(&self) -> &[u8];

    /// `file`, later `pkcs11`, `tpm`: the metric label `backend`.
    fn kind(&self) -> &'static str;
}

/// Why a key could not be opened or would not sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The backend failed; its own words.
    #[error("sign with the {kind} key")]
    Backend { kind: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("read key file `{path}`")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("read password file `{path}`")]
    PasswordUnreadable { path: PathBuf, source: io::Error },
    #[error("open key file `{path}`: no private key in it")]
    NoKey { path: PathBuf },
    #[error("open key file `{path}`: the key in it is encrypted, which only PKCS#12 may be")]
    Encrypted { path: PathBuf },
    #[error("open key file `{path}`: it holds {found}, not an RSA key")]
    NotRsa { path: PathBuf, found: &'static str },
    #[error("open key file `{path}`: its RSA key is too small, not 2048 bits or more")]
    TooSmall { path: PathBuf },
    #[error("open key file `{path}`: its key is damaged ({why})")]
    Damaged { path: PathBuf, why: String },
    #[error("open PKCS#12 file `{path}`: the password does not fit, or the file is damaged")]
    Pkcs12 { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
}

impl Problem for SignError {
    fn code(&self) -> &'static str {
        match self {
            Self::Backend { .. } => "sign-failed",
            Self::Unreadable { .. } => "key-unreadable",
            Self::PasswordUnreadable { .. } => "key-password-unreadable",
            Self::NoKey { .. } => "key-missing",
            Self::Encrypted { .. } => "key-encrypted",
            Self::NotRsa { .. } => "key-not-rsa",
            Self::TooSmall { .. } => "key-too-small",
            Self::Damaged { .. } => "key-damaged",
            Self::Pkcs12 { .. } => "key-pkcs12-not-opened",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Backend { .. } => Blame::Platform,
            _ => Blame::Configuration,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Backend { .. } => return None,
            Self::Unreadable { .. } => "name a file that exists and that this process may read".into(),
            Self::PasswordUnreadable { .. } => "make `password-source` name a file that this process may read".into(),
            Self::NoKey { .. } => "put the private key there as PEM (PKCS#8 or PKCS#1) or as PKCS#12".into(),
            Self::Encrypted { path } => format!(
                "decrypt it: openssl pkcs8 -in {0} -out {0}.plain, and protect the result with mode 0600",
                path.display()
            )
            .into(),
            Self::NotRsa { .. } => "use an RSA key: Entra takes no other in a certificate assertion".into(),
            Self::TooSmall { .. } => "make a new key and certificate: openssl req -x509 -newkey rsa:2048 …".into(),
            Self::Damaged { .. } => "compare the file with its original: openssl rsa -check -noout -in …".into(),
            Self::Pkcs12 { .. } => "check the password: openssl pkcs12 -noout -in …".into(),
        })
    }
}
