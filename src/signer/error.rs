//! Why a key could not be opened or would not sign, each with what to do.
//!
//! Easy to get wrong: a PIN problem must say that nothing will be tried again by itself, and what changes that.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Algorithm;
use crate::problem::{Blame, Problem};

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
    #[error("read PIN file `{path}`")]
    PinUnreadable { path: PathBuf, source: io::Error },
    /// Nothing was tried. A person at a terminal is asked for it (`key` verbs).
    #[error("log in to `{token}`: it wants a PIN, and none is given")]
    PinMissing { token: String },
    /// Refused by the token now or earlier; not tried again.
    #[error("log in to `{token}`: the PIN was refused")]
    PinRefused { token: String },
    #[error("log in to `{token}`: not tried, since one more wrong PIN locks it")]
    PinFinalTry { token: String },
    #[error("log in to `{token}`: not tried, since it counts failed attempts of others")]
    PinCountLow { token: String },
    #[error("log in to `{token}`: it is locked after too many wrong PINs")]
    PinLocked { token: String },
    /// An attempt with this PIN was cut short more than once: the token may have counted it as wrong.
    #[error("log in to `{token}`: not tried, since the end of earlier attempts with this PIN is unknown")]
    PinInterrupted { token: String },
    #[error("record a login in `{path}`")]
    StateUnwritable { path: PathBuf, source: io::Error },
    /// Nobody knows what was tried: that is no leave to try.
    #[error("read what is recorded of logins in `{path}`: {why}")]
    StateDamaged { path: PathBuf, why: String },
    #[error("find token `{token}`: it is not there")]
    TokenAbsent { token: String },
    #[error("find token `{token}`: {found} fit")]
    TokenAmbiguous { token: String, found: String },
    #[error("find key `{key}`: none fits")]
    KeyAbsent { key: String },
    #[error("find key `{key}`: several fit ({found})")]
    KeyAmbiguous { key: String, found: String },
    /// Neither the token nor a certificate tells its public half.
    #[error("read key `{key}`: the token does not show its public half")]
    KeyHidden { key: String },
    #[error("create key `{key}`: it has no label")]
    KeyUnnamed { key: String },
    #[error("create key `{key}`: there is one already")]
    KeyExists { key: String },
    #[error("create a key of {bits} bits: {place} makes only those of {offered}")]
    SizeUnsupported { bits: u32, place: String, offered: String },
    #[error("create key file `{path}`")]
    Uncreatable { path: PathBuf, source: io::Error },
    #[error("load PKCS#11 module `{path}`: {why}")]
    ModuleUnloadable { path: PathBuf, why: String },
    #[error("call `{function}` in `{place}`: no answer within {limit:?}")]
    Hung { place: String, function: &'static str, limit: Duration },
    #[error("call `{function}` in `{place}`: it died")]
    Died { place: String, function: &'static str },
    /// The session or the login is gone; opening anew helps.
    #[error("call `{function}` in `{place}`: {code}")]
    SessionLost { place: String, function: &'static str, code: String },
    #[error("call `{function}` in `{place}`: {code}")]
    Device { place: String, function: &'static str, code: String },
    #[error("the key cannot sign with {}", .algorithm.name())]
    Unsupported { algorithm: Algorithm },
    #[error("reach the TPM at `{tcti}`: {why}")]
    TpmAbsent { tcti: String, why: String },
    /// Too many keys or sessions are loaded, by us or by others.
    #[error("load a key into the TPM at `{tcti}`: {code}")]
    TpmFull { tcti: String, code: String },
    #[error("make the primary key in the TPM at `{tcti}`: its owner hierarchy has a password")]
    TpmOwned { tcti: String },
    #[error("use key `{key}`: {why}")]
    TpmKeyUnfit { key: String, why: String },
    #[error("read TPM key file `{path}`: {why}")]
    TpmFileDamaged { path: PathBuf, why: String },
    /// The same as before, told to who asked during the backoff.
    #[error(transparent)]
    Cooling(Arc<SignError>),
}

impl SignError {
    /// Whether it stays so until somebody changes the configuration or a key file; hardware may come back.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        matches!(
            self,
            Self::Unreadable { .. }
                | Self::PasswordUnreadable { .. }
                | Self::NoKey { .. }
                | Self::Encrypted { .. }
                | Self::NotRsa { .. }
                | Self::TooSmall { .. }
                | Self::Damaged { .. }
                | Self::Pkcs12 { .. }
                | Self::Unsupported { .. }
        )
    }

    /// The metric label `outcome` of `unsecret_signer_operations_total`.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::PinUnreadable { .. }
            | Self::PinMissing { .. }
            | Self::PinRefused { .. }
            | Self::PinFinalTry { .. }
            | Self::PinCountLow { .. }
            | Self::PinLocked { .. }
            | Self::PinInterrupted { .. } => "pin_error",
            Self::TokenAbsent { .. } | Self::TpmAbsent { .. } => "token_absent",
            Self::SessionLost { .. } => "session_lost",
            Self::Unsupported { .. } => "unsupported",
            Self::Cooling(earlier) => earlier.outcome(),
            _ => "device_error",
        }
    }
}

#[cfg(feature = "tpm")]
impl SignError {
    /// The same, if it says that the TPM itself or the way to it is in trouble: the next attempt is put off.
    pub(super) fn trouble(&self) -> Option<Self> {
        Some(match self {
            Self::TpmAbsent { tcti, why } => Self::TpmAbsent { tcti: tcti.clone(), why: why.clone() },
            Self::Hung { place, function, limit } => Self::Hung { place: place.clone(), function, limit: *limit },
            Self::Died { place, function } => Self::Died { place: place.clone(), function },
            Self::SessionLost { place, function, code } => {
                Self::SessionLost { place: place.clone(), function, code: code.clone() }
            }
            _ => return None,
        })
    }
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
            Self::PinUnreadable { .. } => "pin-unreadable",
            Self::PinMissing { .. } => "pin-missing",
            Self::PinRefused { .. } => "pin-refused",
            Self::PinFinalTry { .. } => "pin-final-try",
            Self::PinCountLow { .. } => "pin-count-low",
            Self::PinLocked { .. } => "pin-locked",
            Self::PinInterrupted { .. } => "pin-interrupted",
            Self::StateUnwritable { .. } => "state-unwritable",
            Self::StateDamaged { .. } => "state-damaged",
            Self::TokenAbsent { .. } => "token-absent",
            Self::TokenAmbiguous { .. } => "token-ambiguous",
            Self::KeyAbsent { .. } => "key-absent",
            Self::KeyAmbiguous { .. } => "key-ambiguous",
            Self::KeyHidden { .. } => "key-hidden",
            Self::KeyUnnamed { .. } => "key-unnamed",
            Self::KeyExists { .. } => "key-exists",
            Self::SizeUnsupported { .. } => "key-size-unsupported",
            Self::Uncreatable { .. } => "key-uncreatable",
            Self::ModuleUnloadable { .. } => "module-unloadable",
            Self::Hung { .. } => "signer-hung",
            Self::Died { .. } => "signer-died",
            Self::SessionLost { .. } => "signer-session-lost",
            Self::Device { .. } => "signer-device-error",
            Self::Unsupported { .. } => "key-algorithm-unsupported",
            Self::TpmAbsent { .. } => "tpm-absent",
            Self::TpmFull { .. } => "tpm-full",
            Self::TpmOwned { .. } => "tpm-owned",
            Self::TpmKeyUnfit { .. } => "tpm-key-unfit",
            Self::TpmFileDamaged { .. } => "tpm-file-damaged",
            Self::Cooling(earlier) => earlier.code(),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Backend { .. }
            | Self::TokenAbsent { .. }
            | Self::TpmAbsent { .. }
            | Self::TpmFull { .. }
            | Self::Hung { .. }
            | Self::Died { .. }
            | Self::SessionLost { .. }
            | Self::Device { .. } => Blame::Platform,
            Self::Cooling(earlier) => earlier.blame(),
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
            Self::PinUnreadable { .. } => {
                "make `pin-source` name a file that holds the PIN, and that this process may read".into()
            }
            Self::PinMissing { .. } => {
                "put the PIN into a file, and `pin-source=file:/…` into the key (`auth-source=` for a TPM)".into()
            }
            Self::PinRefused { .. } => {
                "write the right PIN to its file: it is taken up by itself, and the refused one is not tried again"
                    .into()
            }
            Self::PinFinalTry { token } | Self::PinLocked { token } if token.starts_with("tpm:") => {
                "wait until the TPM forgives, or have its owner do so: tpm2_dictionarylockout --clear-lockout; then write \
                 the right value to its file"
                    .into()
            }
            Self::PinFinalTry { .. } | Self::PinLocked { .. } => {
                "have the token's officer reset the counter with the SO PIN, then write the right PIN to its file"
                    .into()
            }
            Self::PinCountLow { .. } | Self::PinInterrupted { .. } => {
                "make sure that the PIN is right, then try it once by hand: unsecret key test --force …".into()
            }
            Self::StateUnwritable { .. } => {
                "make `state_dir` name a directory that this process may write: a wrong PIN must not be tried twice"
                    .into()
            }
            Self::StateDamaged { path, .. } => format!(
                "make sure that the PINs are right, then delete {}, and what stands beside it if that is `key`",
                path.display()
            )
            .into(),
            Self::TokenAbsent { .. } => {
                "plug the token in or start its service; `unsecret key list` shows what the module has".into()
            }
            Self::TokenAmbiguous { .. } => "add `serial=…` to the key, as `unsecret key list` shows it".into(),
            Self::KeyAbsent { .. } => "name a key that is there: `unsecret key list` shows them".into(),
            Self::KeyAmbiguous { .. } => "add `id=…` to the key, as `unsecret key list` shows it".into(),
            Self::KeyHidden { .. } => "import its certificate or its public key into the token, with the id of the key".into(),
            Self::KeyUnnamed { .. } => "add `object=…` to the key, with the label that it shall have".into(),
            Self::KeyExists { .. } => "choose another label, handle or file: keys are never overwritten".into(),
            Self::SizeUnsupported { .. } => "choose one of those with --bits: 2048 is enough for Entra".into(),
            Self::Uncreatable { .. } => "name a file in a directory that this user may write to".into(),
            Self::ModuleUnloadable { .. } => {
                "check `module-path`; a hardened unit may also need the drop-in 10-pkcs11-compat.conf".into()
            }
            Self::Hung { .. } | Self::Died { .. } | Self::SessionLost { .. } | Self::Device { .. } => {
                "see the device's own log; it is opened again by itself".into()
            }
            Self::Unsupported { .. } => "leave `algorithm` out, or set the one that the key can do".into(),
            Self::TpmAbsent { .. } => {
                "check `tpm.tcti`, and that this process is in the group of the device (`tss`)".into()
            }
            Self::TpmFull { .. } => {
                "reach it through a resource manager: tpm.tcti = \"device:/dev/tpmrm0\", not /dev/tpm0".into()
            }
            Self::TpmOwned { .. } => {
                "make the key with tpm2_create under a persistent parent, and name its file or its handle".into()
            }
            Self::TpmKeyUnfit { .. } => "make another one: unsecret key create tpm:handle=…".into(),
            Self::TpmFileDamaged { .. } => "compare the file with its original, or make another key".into(),
            Self::Cooling(earlier) => return earlier.remedy().map(|text| text.into_owned().into()),
        })
    }
}
