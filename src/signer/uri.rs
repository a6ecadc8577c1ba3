//! `key = "…"`: which private key is meant, in one line of text.
//!
//! Three schemes: `file:`, `pkcs11:` (RFC 7512) and `tpm:`. Pure: nothing is opened. Easy to get wrong: attributes are
//! percent-encoded bytes, and a slot number is no name of a token, since modules number slots anew at every start.

use std::path::PathBuf;

use super::PinSource;

/// A key, by where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyUri {
    /// PEM PKCS#8 or PKCS#1, or PKCS#12 (`file:/x.pfx?password-source=file:/…`).
    File {
        path: PathBuf,
        password_file: Option<PathBuf>,
    },
    Pkcs11(Pkcs11Uri),
    Tpm(TpmUri),
}

/// `pkcs11:token=prod;object=billing?module-path=/usr/lib/…&pin-source=file:/…` (RFC 7512). What is `None` matches
/// everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// `CKA_LABEL` of the token, without the blanks that pad it.
    pub token: Option<String>,
    pub serial: Option<String>,
    pub manufacturer: Option<String>,
    pub model: Option<String>,
    /// `CKA_LABEL` of the key.
    pub object: Option<String>,
    /// `CKA_ID` of the key.
    pub id: Option<Vec<u8>>,
    /// The module, absolute: from `module-path`, or found for `module-name`.
    pub module: PathBuf,
    /// `None` where the token needs no login, or has a key pad.
    pub pin: Option<PinSource>,
}

/// `tpm:handle=0x81010042` or `tpm:file=/etc/unsecret/billing.tss`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TpmUri {
    pub place: TpmPlace,
    /// The key's authorisation value, where it has one.
    pub auth: Option<PinSource>,
}

/// Where a TPM key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TpmPlace {
    /// A persistent handle, `0x81000000` to `0x81ffffff`.
    Handle(u32),
    /// A TSS2 PEM file (`-----BEGIN TSS2 PRIVATE KEY-----`).
    File(PathBuf),
}

/// Why a text names no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct KeyUriError {
    /// What is wrong, fit to follow the setting's name: `has …`, `must …`.
    pub what: String,
    /// A thing to do.
    pub remedy: String,
}
