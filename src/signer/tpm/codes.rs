//! What the result codes of the TPM and of the way to it mean for us.
//!
//! Easy to get wrong: the crate names a code without looking at its layer, so that "the connection broke" (TCTI) may read
//! like an answer of the TPM. The number itself decides here. TPM 2.0 Library, part 2, 6.6; TSS 2.0 overview, 3.

use std::sync::Arc;

use tss_esapi::Error;
use tss_esapi::constants::response_code::Tss2ResponseCode;

use crate::signer::SignError;

/// A call that ended with an error.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) place: Arc<str>,
    pub(super) function: &'static str,
    pub(super) error: Error,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The authorisation value is wrong, and counted where the key is protected against guessing.
    WrongAuth,
    /// No key that is protected against guessing may be used for now.
    Lockout,
    /// All slots for keys or sessions are taken.
    Full,
    /// Nothing is at that handle.
    NotThere,
    /// The TPM did not make this file's key, or was cleared since.
    Foreign,
    /// The TPM or the key cannot do what was asked.
    CannotDo,
    /// The connection or the TPM's state is gone.
    Gone,
    Other,
}

/// Results of the TPM itself, and of the kernel's resource manager in its name.
const TPM_LAYERS: [u32; 2] = [0, 0xb_0000];
const LAYER: u32 = 0xff_0000;
const TCTI_LAYER: u32 = 0xa_0000;

impl Failed {
    pub(super) fn meaning(&self) -> Meaning {
        let raw = number(self.error);
        if raw & LAYER == TCTI_LAYER {
            return Meaning::Gone;
        }
        if !TPM_LAYERS.contains(&(raw & LAYER)) {
            return Meaning::Other;
        }
        if raw & 0x80 != 0 { about_an_argument(raw & 0x3f) } else { about_itself(raw & 0xfff) }
    }

    fn text(&self) -> String {
        match (number(self.error), self.meaning()) {
            (0, _) => self.error.to_string(),
            (raw, Meaning::Gone) if raw & LAYER == TCTI_LAYER => format!("the connection broke ({raw:#x})"),
            (raw, _) => format!("{} ({raw:#x})", self.error),
        }
    }
}

/// Format one: which handle, session or parameter it was is in the other bits.
fn about_an_argument(number: u32) -> Meaning {
    match number {
        // AUTH_FAIL, BAD_AUTH
        0x0e | 0x22 => Meaning::WrongAuth,
        // HANDLE
        0x0b => Meaning::NotThere,
        // INTEGRITY, BINDING
        0x1f | 0x25 => Meaning::Foreign,
        // ASYMMETRIC, HASH, VALUE, KEY_SIZE, SCHEME, SYMMETRIC, KEY, CURVE
        0x01 | 0x03 | 0x04 | 0x07 | 0x12 | 0x16 | 0x1c | 0x26 => Meaning::CannotDo,
        _ => Meaning::Other,
    }
}

/// Format zero.
fn about_itself(number: u32) -> Meaning {
    match number {
        0x921 => Meaning::Lockout,
        // OBJECT_MEMORY, SESSION_MEMORY, MEMORY, SESSION_HANDLES, OBJECT_HANDLES
        0x902..=0x906 => Meaning::Full,
        // INITIALIZE, FAILURE, REBOOT: it was reset. CONTEXT_GAP and REFERENCE_…: what we had loaded is no longer there.
        0x100 | 0x101 | 0x130 | 0x901 | 0x910..=0x91e => Meaning::Gone,
        _ => Meaning::Other,
    }
}

/// The crate keeps the number to itself, but prints it.
fn number(error: Error) -> u32 {
    let text = match error {
        Error::Tss2Error(Tss2ResponseCode::FormatZero(code)) => code.to_string(),
        Error::Tss2Error(Tss2ResponseCode::FormatOne(code)) => code.to_string(),
        _ => return 0,
    };
    text.rsplit_once("0x").and_then(|(_, digits)| u32::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

impl From<Failed> for SignError {
    fn from(failed: Failed) -> Self {
        let (place, function, code) = (failed.place.to_string(), failed.function, failed.text());
        match failed.meaning() {
            Meaning::Full => Self::TpmFull { tcti: place, code },
            Meaning::Gone => Self::SessionLost { place, function, code },
            _ => Self::Device { place, function, code },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem as _;

    fn failed(raw: u32) -> Failed {
        Failed { place: "swtpm".into(), function: "TPM2_Sign", error: Error::Tss2Error(raw.into()) }
    }

    #[test]
    fn a_code_means_the_same_whichever_session_or_parameter_it_names() {
        for (raw, meaning) in [
            (0x98e, Meaning::WrongAuth),
            (0xa8e, Meaning::WrongAuth),
            (0x9a2, Meaning::WrongAuth),
            (0x921, Meaning::Lockout),
            (0x902, Meaning::Full),
            (0x18b, Meaning::NotThere),
            (0x1df, Meaning::Foreign),
            (0x2d2, Meaning::CannotDo),
            (0x100, Meaning::Gone),
            (0x910, Meaning::Gone),
            (0xb_0902, Meaning::Full),
            (0x922, Meaning::Other),
        ] {
            assert_eq!(failed(raw).meaning(), meaning, "{raw:#x}");
        }
    }

    /// 0xa000a would be TPM_RC_NV_… to a reader who forgets the layer, and 0x70008 a code of the ESAPI.
    #[test]
    fn the_layer_tells_a_broken_connection_from_an_answer() {
        assert_eq!(failed(0xa_000a).meaning(), Meaning::Gone);
        assert_eq!(failed(0x7_000b).meaning(), Meaning::Other);
        let error = SignError::from(failed(0xa_000a));
        assert_eq!(error.code(), "signer-session-lost");
        assert_eq!(error.to_string(), "call `TPM2_Sign` in `swtpm`: the connection broke (0xa000a)");
    }
}
