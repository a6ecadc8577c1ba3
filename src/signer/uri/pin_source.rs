//! `pin-source` and `auth-source`: `file:/path`, or `credential:NAME` under systemd.
//!
//! Easy to get wrong: who writes the PIN itself there must be told so without its being repeated.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::Surroundings;
use super::attribute::{Attributes, Part, encoded};
use super::error::KeyUriError;
use crate::signer::PinSource;

/// Takes the source out of the query; refuses a value of the PIN itself, wherever it stands.
pub(super) fn take(
    query: &mut Attributes<'_>,
    name: &str,
    around: Surroundings<'_>,
) -> Result<Option<PinSource>, KeyUriError> {
    let Some(bytes) = query.bytes(name)? else { return Ok(None) };
    let source = if let Some(credential) = bytes.strip_prefix(b"credential:") {
        credential_file(name, credential, around)?
    } else if let Some(path) = bytes.strip_prefix(b"file:") {
        // `file:///path` is the same file; between `//` and `/path` a host could stand (RFC 8089).
        PinSource::File(PathBuf::from(OsStr::from_bytes(path.strip_prefix(b"//").unwrap_or(path))))
    } else if bytes.starts_with(b"|") {
        let what = format!("has a command in `{name}`, and none is run for it");
        return Err(KeyUriError::malformed(what, right(name)));
    } else {
        let what = format!("must have `file:` or `credential:` at the beginning of `{name}`");
        return Err(KeyUriError::malformed(what, right(name)));
    };
    if source.path().is_none_or(|path| !path.is_absolute() || path.as_os_str().as_bytes().contains(&0)) {
        return Err(KeyUriError::malformed(format!("must have an absolute path in `{name}`"), right(name)));
    }
    Ok(Some(source))
}

fn right(name: &str) -> String {
    format!("write `{name}=file:/…`, and the PIN into that file")
}

/// `$CREDENTIALS_DIRECTORY/NAME`.
fn credential_file(name: &str, credential: &[u8], around: Surroundings<'_>) -> Result<PinSource, KeyUriError> {
    let is_plain = !credential.is_empty() && !credential.contains(&b'/') && !matches!(credential, b"." | b"..");
    let Some(credential) = std::str::from_utf8(credential).ok().filter(|_| is_plain) else {
        let what = format!("must have a plain name after `credential:` in `{name}`");
        return Err(KeyUriError::malformed(what, format!("write `{name}=credential:pin`, for example")));
    };
    let Some(directory) = around.credentials else {
        let what = format!("has a credential in `{name}`, but the variable CREDENTIALS_DIRECTORY is not set");
        let remedy = format!(
            "start it under systemd with `LoadCredential={credential}:…` in the unit, or write `{name}=file:/…`"
        );
        return Err(KeyUriError::malformed(what, remedy));
    };
    Ok(PinSource::Credential { name: credential.to_owned(), path: directory.join(credential) })
}

/// As it goes back into a URI; a PIN that was typed in does not.
pub(super) fn written(source: Option<&PinSource>) -> Option<String> {
    match source {
        Some(PinSource::File(path)) => {
            let host = if path.as_os_str().as_bytes().starts_with(b"//") { "//" } else { "" };
            Some(format!("file:{host}{}", encoded(path.as_os_str().as_bytes(), Part::Query)))
        }
        // By its name: what is printed by a verb is to be true for the service, too.
        Some(PinSource::Credential { name, .. }) => {
            Some(format!("credential:{}", encoded(name.as_bytes(), Part::Query)))
        }
        Some(PinSource::Given(_)) | None => None,
    }
}
