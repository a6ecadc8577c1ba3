//! A private key that it will not give out.
//!
//! Not a keystore and not a JWT library: `assertion::certificate` builds what is signed. Later signers (PKCS#11, TPM)
//! are a file each. Easy to get wrong: signing may block or hang, so it is asynchronous and the work happens elsewhere.

use std::fmt;

use futures_core::future::BoxFuture;

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
}
