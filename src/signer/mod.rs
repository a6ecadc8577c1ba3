//! A private key that it will not give out.
//!
//! Not a keystore and not a JWT library: `assertion::certificate` builds what is signed. A key is named by a [`KeyUri`];
//! [`Signers`] opens it where it lives: a file, a PKCS#11 module (in a child process), a TPM (on its own thread). Easy
//! to get wrong: signing may block or hang, so it is asynchronous and the work happens elsewhere; and hardware that is
//! not there is no error of opening, since it may come back.

mod attempts;
mod device;
mod error;
mod file;
mod key_file;
mod pin;
pub mod pkcs11;
pub mod pkcs12;
mod ring;
#[cfg(feature = "tpm")]
mod tpm;
mod uri;

use std::fmt;

use futures_core::future::BoxFuture;

pub use attempts::{Attempt, Attempts, Standing};
pub use device::{Device, Found, Login, Place};
pub use error::SignError;
pub use file::FileSigner;
pub use key_file::KeyFile;
pub use pin::{Pin, PinSource};
pub use ring::{Settings, Signers};
pub use uri::{KeyUri, KeyUriError, KeyUriFault, Pkcs11Uri, Surroundings, TpmPlace, TpmUri, Whereabouts};

/// JOSE algorithms that Entra takes in a certificate assertion (contract A6). RSA only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PSS, SHA-256, salt of 32 bytes.
    #[default]
    Ps256,
    /// RSASSA-PKCS1-v1_5, SHA-256.
    Rs256,
}

impl Algorithm {
    /// As JOSE spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }
}

/// Signs with a key that it holds.
///
/// Cancel-safe: a dropped future may still sign, to no effect. On failure nothing changes, and the next call tries anew:
/// hardware that was away is opened again by itself, with a backoff during which the last error is given at once.
pub trait Signer: Send + Sync + fmt::Debug {
    /// The signature over `message` (not over its digest). [`SignError::Unsupported`] where the key cannot do
    /// `algorithm`, which a caller may answer by asking for another.
    fn sign<'a>(&'a self, algorithm: Algorithm, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>>;

    /// DER `SubjectPublicKeyInfo` of the key, asked of the hardware where that holds it.
    fn public_key(&self) -> BoxFuture<'_, Result<Vec<u8>, SignError>>;

    /// `file`, `pkcs11`, `tpm`: the metric label `backend`.
    fn kind(&self) -> &'static str;

    /// How often it was opened anew after trouble, since the process began.
    fn reopened(&self) -> u64 {
        0
    }

    /// What an operator should hear now, such as a key file or a PIN file that others can read.
    fn warning(&self) -> Option<String> {
        None
    }
}
