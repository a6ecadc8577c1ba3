//! What the key verbs do with a token or a TPM beside signing: look around, make a key.

use std::fmt;

use futures_core::future::BoxFuture;

use super::{KeyUri, SignError, Standing};

/// A key that was found on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How to name it in the configuration, without the PIN source.
    pub uri: String,
    /// Label of the token, or the TPM.
    pub place: String,
    pub label: Option<String>,
    pub id: Option<Vec<u8>>,
    /// Modulus length; `None` where the device does not show it.
    pub bits: Option<u32>,
    /// Whether the device says that the private part can leave it.
    pub extractable: Option<bool>,
    /// What it can sign with, as the device names it (`RSA-PKCS-PSS`, `rsapss`).
    pub mechanisms: Vec<String>,
}

/// A token, as it shows itself to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// How to name it in a key, without key and PIN source.
    pub uri: String,
    pub label: String,
    pub serial: String,
    pub manufacturer: String,
    pub model: String,
    pub initialized: bool,
    /// How it is logged in to, if it wants that.
    pub login: Option<Login>,
    /// What it says of failed logins.
    pub standing: Standing,
}

/// How a person proves to a token that they may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    Pin,
    KeyPad,
}

/// A token or a TPM, as named by a [`KeyUri`].
///
/// Nothing here overwrites or deletes. Slow: a real device makes an RSA key in seconds to minutes.
pub trait Device: Send + Sync + fmt::Debug {
    /// The tokens that the URI allows, without a login; none where keys are in no tokens.
    fn places(&self) -> BoxFuture<'_, Result<Vec<Place>, SignError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// The private RSA keys that the URI allows, with a login where the URI names a PIN.
    fn keys(&self) -> BoxFuture<'_, Result<Vec<Found>, SignError>>;

    /// Makes a key that cannot leave the device, of so many bits, where the URI says; refused where one is there already.
    fn create(&self, bits: u32) -> BoxFuture<'_, Result<KeyUri, SignError>>;
}
