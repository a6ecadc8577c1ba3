//! `key = "…"` of a certificate: which private key is meant.
//!
//! The form is `signer`'s business; here it meets the rest of the configuration. Easy to get wrong: what stands in a
//! wrong key may be a PIN, so only the words of `KeyUriError` are told, never the text.

use crate::config::HardwareSettings;
use crate::config::findings::Findings;
use crate::config::problems::Mistake;
use crate::signer::{KeyUri, KeyUriFault};

pub(super) fn check(text: &str, path: &str, hardware: &HardwareSettings, findings: &mut Findings) -> Option<KeyUri> {
    let wrong = hardware.key(text).map_err(|wrong| {
        let mistake = match wrong.fault {
            KeyUriFault::FeatureMissing => Mistake::FeatureMissing,
            KeyUriFault::Malformed | KeyUriFault::ModuleNotAllowed => Mistake::WrongValue,
        };
        findings.add(mistake, path, wrong.what, wrong.remedy);
    });
    wrong.ok()
}
