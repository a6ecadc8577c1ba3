//! `key = "…"`: which private key is meant, in one line of text.
//!
//! Three schemes: `file:`, `pkcs11:` (RFC 7512) and `tpm:`. Pure: nothing is opened. Easy to get wrong: attributes are
//! percent-encoded bytes, and a slot number is no name of a token, since modules number slots anew at every start. What
//! is written must read back as the same key, and a PIN never appears in a text or an error.

mod attribute;
mod error;
mod pin_source;
mod pkcs11;
#[cfg(test)]
mod tests;
mod tpm;

use std::fmt;
use std::path::{Path, PathBuf};

use super::PinSource;

pub use error::{KeyUriError, KeyUriFault};
pub use pkcs11::{Pkcs11Uri, Whereabouts};
pub use tpm::{TpmPlace, TpmUri};

/// A key, by where it is.
#[expect(clippy::large_enum_variant, reason = "a configuration has a handful of keys")]
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

/// What a text may refer to without holding it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// The modules among which `module-name` chooses, absolute.
    pub modules: &'a [PathBuf],
    /// systemd's `$CREDENTIALS_DIRECTORY`, for `credential:NAME`.
    pub credentials: Option<&'a Path>,
}

impl KeyUri {
    /// Reads one line of text. The scheme may be in any case (RFC 3986), the rest may not.
    pub fn parse(text: &str, around: Surroundings<'_>) -> Result<Self, KeyUriError> {
        let (scheme, rest) = text.split_once(':').unwrap_or_default();
        match scheme.to_ascii_lowercase().as_str() {
            "file" => file(rest),
            "pkcs11" => pkcs11::parse(rest, around).map(Self::Pkcs11),
            "tpm" => tpm::parse(rest, around).map(Self::Tpm),
            // With an attribute in it, it is no path, and the attribute may be a PIN.
            _ if text.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || c == '=') => {
                Err(KeyUriError::malformed("must begin with `file:`", format!("write `file:{text}`")))
            }
            // Not shown: it may be anything.
            _ => Err(KeyUriError::malformed(
                "must begin with `file:`, `pkcs11:` or `tpm:`",
                "write `file:/etc/unsecret/billing.key`, for example",
            )),
        }
    }

    /// The files it is read from, each with what it is. Not a module: that is loaded, and judged elsewhere.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let files = match self {
            Self::File { path, password_file } => {
                [Some(("key file", path.as_path())), password_file.as_deref().map(|path| ("password file", path))]
            }
            Self::Pkcs11(key) => [None, pin_file(key.pin.as_ref())],
            Self::Tpm(TpmUri { place: TpmPlace::File(path), auth }) => {
                [Some(("key file", path.as_path())), pin_file(auth.as_ref())]
            }
            Self::Tpm(TpmUri { place: TpmPlace::Handle(_), auth }) => [None, pin_file(auth.as_ref())],
        };
        files.into_iter().flatten()
    }

    /// Where its PIN or authorisation value comes from.
    #[must_use]
    pub fn pin(&self) -> Option<&PinSource> {
        match self {
            Self::File { .. } => None,
            Self::Pkcs11(key) => key.pin.as_ref(),
            Self::Tpm(key) => key.auth.as_ref(),
        }
    }

    /// The same key with another PIN source, as when a person types one in. No change to a file.
    #[must_use]
    pub fn with_pin(mut self, pin: Option<PinSource>) -> Self {
        match &mut self {
            Self::File { .. } => {}
            Self::Pkcs11(key) => key.pin = pin,
            Self::Tpm(key) => key.auth = pin,
        }
        self
    }
}

fn pin_file(source: Option<&PinSource>) -> Option<(&'static str, &Path)> {
    Some(("PIN file", source?.path()?))
}

/// `/x.key`, `/x.pfx?password-source=file:/x.password`: as they stand, without percent-encoding.
fn file(rest: &str) -> Result<KeyUri, KeyUriError> {
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    if path.is_empty() {
        return Err(KeyUriError::malformed("names no file", "write `file:/etc/unsecret/billing.key`, for example"));
    }
    let Some(query) = query else { return Ok(KeyUri::File { path: path.into(), password_file: None }) };
    match query.strip_prefix("password-source=file:").filter(|source| !source.is_empty()) {
        Some(source) => Ok(KeyUri::File { path: path.into(), password_file: Some(source.into()) }),
        // Not shown: it may be the password.
        None => Err(KeyUriError::malformed(
            "may have only `?password-source=file:PATH`",
            "write `file:/etc/unsecret/a.pfx?password-source=file:/etc/unsecret/a.password`",
        )),
    }
}

/// As it may stand in a configuration. A PIN that was typed in is left out.
impl KeyUri {
    /// The file with the password of a PKCS#12 file.
    #[must_use]
    pub fn password_file(&self) -> Option<&Path> {
        match self {
            Self::File { password_file, .. } => password_file.as_deref(),
            Self::Pkcs11(_) | Self::Tpm(_) => None,
        }
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, password_file: None } => write!(f, "file:{}", path.display()),
            Self::File { path, password_file: Some(password) } => {
                write!(f, "file:{}?password-source=file:{}", path.display(), password.display())
            }
            Self::Pkcs11(key) => key.fmt(f),
            Self::Tpm(key) => key.fmt(f),
        }
    }
}
