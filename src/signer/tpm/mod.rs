//! Keys in a TPM 2.0, through libtss2's ESAPI.
//!
//! `line` is the way to one TPM (threads, limits, backoff), `chip` one connection and its commands, `load` puts a key within
//! reach, `signing` signs, `making` makes keys; `key`, `tss2` and `codes` only read. Not for policies, sealed data or
//! attestation. Easy to get wrong: all keys of a TPM share one counter of wrong values, with every other user of the machine.

mod chip;
mod codes;
mod key;
mod line;
mod load;
mod making;
mod signing;
mod tss2;

use std::sync::Arc;
use std::time::Duration;

use line::Line;
use making::TpmDevice;
use signing::{Logins, TpmSigner};

use super::{Attempts, Device, SignError, Signer, TpmPlace, TpmUri};
use crate::clock::Clock;

/// One TPM, for all keys in it.
#[derive(Debug)]
pub(super) struct Tpm {
    line: Arc<Line>,
    logins: Arc<Logins>,
}

impl Tpm {
    /// Describes; connects to nothing. `limit` is for one call.
    pub(super) fn new(tcti: &str, limit: Duration, attempts: Attempts, force: bool, clock: Arc<dyn Clock>) -> Self {
        Self { line: Arc::new(Line::new(tcti, limit, clock)), logins: Arc::new(Logins::new(attempts, force)) }
    }

    pub(super) fn signer(&self, key: &TpmUri) -> Arc<dyn Signer> {
        Arc::new(TpmSigner { line: Arc::clone(&self.line), logins: Arc::clone(&self.logins), key: key.clone() })
    }

    pub(super) fn device(&self, key: &TpmUri) -> Arc<dyn Device> {
        Arc::new(TpmDevice { line: Arc::clone(&self.line), key: key.clone() })
    }
}

/// As the configuration names it, without the source of its value.
fn named(place: &TpmPlace) -> String {
    TpmUri { place: place.clone(), auth: None }.to_string()
}

fn unfit(place: &TpmPlace, why: impl Into<String>) -> SignError {
    SignError::TpmKeyUnfit { key: named(place), why: why.into() }
}
