//! Why a text names no key, or none that may be used here.
//!
//! Easy to get wrong: what stands in a wrong text may be a PIN, so only names and single characters of it are told,
//! and values only of attributes that are no place for a PIN.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::problem::{Blame, Problem};

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
    pub(super) fn malformed(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fault: KeyUriFault::Malformed, what: what.into(), remedy: remedy.into() }
    }

    /// For a module that is not on the list.
    #[must_use]
    pub fn module_not_allowed(module: &Path, allowed: &[PathBuf]) -> Self {
        Self {
            fault: KeyUriFault::ModuleNotAllowed,
            what: format!("names the module {}, which is not in `pkcs11.modules`", shown(&module.to_string_lossy())),
            remedy: format!("name one that is ({}), or add it there", listed(allowed)),
        }
    }

    /// For a key that this build has no backend for.
    #[must_use]
    pub fn feature_missing(feature: &'static str) -> Self {
        Self {
            fault: KeyUriFault::FeatureMissing,
            what: format!("is in a TPM, and this build was made without the cargo feature `{feature}`"),
            remedy: "install the package `unsecret-tpm`, or use the container image whose tag ends in `-tpm`"
                .to_owned(),
        }
    }
}

/// A value as messages show it. With a `=` in it, it has swallowed an attribute for want of a separator, which may be a PIN.
pub(super) fn shown(value: &str) -> String {
    if value.contains('=') { "…".to_owned() } else { format!("{value:?}") }
}

/// Paths in one line.
pub(super) fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
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
