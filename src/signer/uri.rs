//! `key = "…"`: which private key is meant, in one line of text.
//!
//! Three schemes: `file:`, `pkcs11:` (RFC 7512) and `tpm:`. Pure: nothing is opened. Easy to get wrong: attributes are
//! percent-encoded bytes, and a slot number is no name of a token, since modules number slots anew at every start.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use super::PinSource;
use crate::problem::{Blame, Problem};

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

/// What a text may refer to without holding it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// The modules among which `module-name` chooses, absolute.
    pub modules: &'a [PathBuf],
    /// systemd's `$CREDENTIALS_DIRECTORY`, for `credential:NAME`.
    pub credentials: Option<&'a Path>,
}

/// Why a text names no key, or none that may be used here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key {what}")]
pub struct KeyUriError {
    pub fault: KeyUriFault,
    /// What is wrong, fit to follow the setting's name: `has …`, `must …`.
    pub what: String,
    /// A thing to do.
    pub remedy: String,
}

/// What kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUriFault {
    Malformed,
    ModuleNotAllowed,
    FeatureMissing,
}

impl KeyUriError {
    fn malformed(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fault: KeyUriFault::Malformed, what: what.into(), remedy: remedy.into() }
    }

    /// For a module that is not on the list.
    #[must_use]
    pub fn module_not_allowed(module: &Path, allowed: &[PathBuf]) -> Self {
        let allowed: Vec<_> = allowed.iter().map(|path| path.display().to_string()).collect();
        Self {
            fault: KeyUriFault::ModuleNotAllowed,
            what: format!("names the module `{}`, which is not in `pkcs11.modules`", module.display()),
            remedy: format!("name one that is ({}), or add it there", allowed.join(", ")),
        }
    }

    /// For a key that this build has no backend for.
    #[must_use]
    pub fn feature_missing(feature: &'static str) -> Self {
        Self {
            fault: KeyUriFault::FeatureMissing,
            what: format!("is in a TPM, and this build was made without the cargo feature `{feature}`"),
            remedy: "use the Debian or RPM package, or the container image whose tag ends in `-tpm`".to_owned(),
        }
    }
}

impl Problem for KeyUriError {
    fn code(&self) -> &'static str {
        match self.fault {
            KeyUriFault::Malformed => "key-uri-malformed",
            KeyUriFault::ModuleNotAllowed => "key-module-not-allowed",
            KeyUriFault::FeatureMissing => "key-feature-missing",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Configuration
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.remedy))
    }
}

impl KeyUri {
    /// Reads one line of text.
    pub fn parse(text: &str, _around: Surroundings<'_>) -> Result<Self, KeyUriError> {
        match text.strip_prefix("file:") {
            Some(rest) => file(rest),
            None if text.starts_with('/') && !text.contains(char::is_whitespace) => {
                Err(KeyUriError::malformed("must begin with `file:`", format!("write `file:{text}`")))
            }
            None => Err(KeyUriError::malformed(
                "must begin with `file:`, `pkcs11:` or `tpm:`",
                "write `file:/etc/unsecret/billing.key`, for example",
            )),
        }
    }
}

impl KeyUri {
    /// The files it is read from, each with what it is. Not a module: that is loaded, and elsewhere judged.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let files = match self {
            Self::File { path, password_file } => {
                [Some(("key file", path.as_path())), password_file.as_deref().map(|path| ("password file", path))]
            }
            Self::Pkcs11(key) => [None, pin_file(key.pin.as_ref())],
            Self::Tpm(key) => match &key.place {
                TpmPlace::File(path) => [Some(("key file", path.as_path())), pin_file(key.auth.as_ref())],
                TpmPlace::Handle(_) => [None, pin_file(key.auth.as_ref())],
            },
        };
        files.into_iter().flatten()
    }
}

fn pin_file(source: Option<&PinSource>) -> Option<(&'static str, &Path)> {
    match source {
        Some(PinSource::File(path)) => Some(("PIN file", path)),
        _ => None,
    }
}

/// `/x.key`, `/x.pfx?password-source=file:/x.password`: as they stand, without percent-encoding.
fn file(rest: &str) -> Result<KeyUri, KeyUriError> {
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    if path.is_empty() {
        return Err(KeyUriError::malformed("names no file", "write `file:/etc/unsecret/billing.key`, for example"));
    }
    let password_file = match query {
        None => None,
        Some(query) => match query.strip_prefix("password-source=file:").filter(|source| !source.is_empty()) {
            Some(source) => Some(PathBuf::from(source)),
            // Not shown: it may be the password.
            None => {
                let remedy = "write `file:/etc/unsecret/a.pfx?password-source=file:/etc/unsecret/a.password`";
                return Err(KeyUriError::malformed("may have only `?password-source=file:PATH`", remedy));
            }
        },
    };
    Ok(KeyUri::File { path: PathBuf::from(path), password_file })
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, password_file } => {
                write!(f, "file:{}", path.display())?;
                match password_file {
                    Some(password) => write!(f, "?password-source=file:{}", password.display()),
                    None => Ok(()),
                }
            }
            Self::Pkcs11(_) | Self::Tpm(_) => Ok(()),
        }
    }
}
