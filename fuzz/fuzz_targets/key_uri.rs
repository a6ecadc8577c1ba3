//! Covers: src/signer/uri/mod.rs src/signer/uri/attribute.rs src/signer/uri/error.rs src/signer/uri/pin_source.rs src/signer/uri/pkcs11.rs src/signer/uri/tpm.rs
//!
//! The name of a key. What is read can be written and read again, to the same key, in letters that any configuration can
//! hold; what is refused says what to do, and repeats no PIN that stands where a PIN might be put.
#![no_main]

use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use unsecret::problem::{Blame, Problem as _};
use unsecret::signer::{KeyUri, KeyUriError, KeyUriFault, Surroundings, Whereabouts};
use unsecret_fuzz::{CANARY, assert_silent};

const PLACES: [&str; 5] = ["pin-value=", "pin-source=", "auth-source=", "password-source=", "pin-source=file:"];

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let text = text.trim_end();
    let modules = ["/usr/lib/softhsm/libsofthsm2.so", "/a/libtwin.so", "/b/libtwin.so"].map(PathBuf::from);
    let around = Surroundings { modules: &modules, credentials: Some(Path::new("/run/credentials/u")) };
    match KeyUri::parse(text, around) {
        Ok(key) => {
            let written = key.to_string();
            assert_eq!(KeyUri::parse(&written, around).as_ref(), Ok(&key), "{written}");
            accepted(&key, &written);
            used(&key);
        }
        Err(wrong) => {
            assert_eq!((wrong.fault, wrong.code()), (KeyUriFault::Malformed, "key-uri-malformed"));
            assert_eq!(wrong.blame(), Blame::Configuration);
            assert!(!wrong.what.is_empty() && wrong.remedy().is_some_and(|remedy| !remedy.is_empty()));
            // Only where an attribute may begin: behind anything else it is part of some other value.
            let begins = |(at, _): &(usize, &str)| text[..*at].ends_with([':', '?', ';', '&']);
            let count = |place| text.match_indices(&format!("{place}{CANARY}")).filter(begins).count();
            let as_pin: usize = PLACES.into_iter().map(count).sum();
            if as_pin == text.matches(CANARY).count() {
                assert_silent(&format!("{wrong} {wrong:?}"));
            }
        }
    }
});

fn accepted(key: &KeyUri, written: &str) {
    if let KeyUri::Pkcs11(key) = key {
        let mut attributes = written.split(['?', ';', '&']);
        assert!(key.module.is_absolute() && !attributes.any(|attribute| attribute.starts_with("pin-value=")));
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (token, serial, model) = (text(&key.token), text(&key.serial), text(&key.model));
        let (manufacturer, library, described) =
            (text(&key.manufacturer), text(&key.library_manufacturer), text(&key.library_description));
        let (slot, slot_described) = (text(&key.slot_manufacturer), text(&key.slot_description));
        let itself = Whereabouts {
            library_manufacturer: &library,
            library_description: &described,
            library_version: key.library_version.unwrap_or_default(),
            slot_manufacturer: &slot,
            slot_description: &slot_described,
            token: &token,
            serial: &serial,
            manufacturer: &manufacturer,
            model: &model,
        };
        assert!(key.fits(itself), "{written} does not fit what it names");
    }
    if !matches!(key, KeyUri::File { .. }) {
        assert!(written.bytes().all(|c| c.is_ascii_graphic() && !b"\"\\,'`<>".contains(&c)), "{written}");
    }
}

/// What a start does with a key that was read: finds its files, may refuse it, may ask a person for its PIN.
fn used(key: &KeyUri) {
    assert!(key.files().all(|(what, path)| !what.is_empty() && !path.as_os_str().is_empty()));
    assert!(key.password_file().is_none_or(|password| key.files().any(|(_, path)| path == password)));
    assert!(key.clone().with_pin(None).pin().is_none());
    assert_eq!(key.clone().with_pin(key.pin().cloned()), *key);
    let refused = match key {
        KeyUri::File { .. } => return,
        KeyUri::Pkcs11(key) => KeyUriError::module_not_allowed(&key.module, &[]),
        KeyUri::Tpm(_) => KeyUriError::feature_missing("tpm"),
    };
    assert_ne!(refused.code(), "key-uri-malformed");
    // A path that has swallowed an attribute may hold a PIN.
    if matches!(key, KeyUri::Pkcs11(key) if key.module.to_string_lossy().contains('=')) {
        assert_silent(&refused.to_string());
    }
}
