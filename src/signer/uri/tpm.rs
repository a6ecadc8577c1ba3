//! `tpm:handle=0x81010042` and `tpm:file=/etc/unsecret/billing.tss`, each with `?auth-source=file:/…`.
//!
//! Our own form, made like RFC 7512's. Easy to get wrong: only a persistent handle is there after a reboot.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::attribute::{Attributes, Part, encoded, written};
use super::error::{KeyUriError, shown};
use super::{Surroundings, pin_source};
use crate::signer::PinSource;

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

pub(super) fn parse(rest: &str, around: Surroundings<'_>) -> Result<TpmUri, KeyUriError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (mut path, mut query) = (Attributes::read(path, Part::Path)?, Attributes::read(query, Part::Query)?);
    let place = match (path.text("handle", 32)?, path.path("file")?) {
        (Some(text), None) => TpmPlace::Handle(handle(&text)?),
        (None, Some(file)) => TpmPlace::File(file),
        (Some(_), Some(_)) => {
            return Err(KeyUriError::malformed("has both `handle` and `file`", "keep the one where the key is"));
        }
        (None, None) => {
            path.end(&["handle", "file"])?;
            let remedy = "write `tpm:handle=0x81010042` or `tpm:file=/etc/unsecret/billing.tss`, for example";
            return Err(KeyUriError::malformed("says neither `handle` nor `file`", remedy));
        }
    };
    let auth = pin_source::take(&mut query, "auth-source", around)?;
    path.end(&["handle", "file"])?;
    query.end(&["auth-source"])?;
    Ok(TpmUri { place, auth })
}

fn handle(text: &str) -> Result<u32, KeyUriError> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).filter(|digits| !digits.starts_with('+'));
    let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    number.filter(|number| (0x8100_0000..=0x81ff_ffff).contains(number)).ok_or_else(|| {
        let what = format!("has {} as `handle`, which is no persistent one (0x81000000 to 0x81ffffff)", shown(text));
        KeyUriError::malformed(what, "write `handle=0x81010042`, for example")
    })
}

impl fmt::Display for TpmUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.place {
            TpmPlace::Handle(handle) => ("handle", format!("{handle:#010x}")),
            // A slash stands for itself here: the form is ours.
            TpmPlace::File(path) => ("file", encoded(path.as_os_str().as_bytes(), Part::Query)),
        };
        let auth = pin_source::written(self.auth.as_ref()).map(|source| ("auth-source", source));
        write!(f, "tpm:{}", written(&[place], auth.as_slice()))
    }
}
