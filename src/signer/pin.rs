//! PINs and authorisation values: where they are read, when needed, and wiped after.
//!
//! Easy to get wrong: a PIN is bytes, not text (`user:password`, softcards, umlauts in some code page), and only the line
//! end that an editor leaves is cut off.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::SignError;

/// What unlocks a token or a TPM key. Never prints; wiped on drop.
#[derive(Clone)]
pub struct Pin(Zeroizing<Vec<u8>>);

impl Pin {
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one place that hands them to the hardware.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}

/// Where a PIN comes from. Read anew at every login, so that a changed file is taken up.
#[derive(Clone, Debug)]
pub enum PinSource {
    /// A file that holds it, with or without a line end.
    File(PathBuf),
    /// Typed in by a person, for the key verbs.
    Given(Pin),
}

impl PinSource {
    /// Reads it.
    pub fn read(&self) -> Result<Pin, SignError> {
        match self {
            Self::Given(pin) => Ok(pin.clone()),
            Self::File(path) => {
                let bytes = fs::read(path).map(Zeroizing::new);
                let bytes = bytes.map_err(|source| SignError::PinUnreadable { path: path.clone(), source })?;
                let end = bytes.strip_suffix(b"\n").map_or(bytes.len(), <[u8]>::len);
                let end = bytes[..end].strip_suffix(b"\r").map_or(end, <[u8]>::len);
                Ok(Pin(Zeroizing::new(bytes[..end].to_vec())))
            }
        }
    }
}

impl PartialEq for PinSource {
    /// By place; a PIN that was typed in equals none.
    fn eq(&self, other: &Self) -> bool {
        matches!((self, other), (Self::File(one), Self::File(other)) if one == other)
    }
}

impl Eq for PinSource {}
