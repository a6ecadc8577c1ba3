//! The record of logins: a wrong PIN is tried once, by whatever process, until another PIN is given.
//!
//! One small file for each token in the state directory. It is written before a login and rewritten after, under a
//! lock that the login holds too, so that two processes never try at once. Easy to get wrong: a login whose end nobody
//! saw may have been counted by the token, so what is on disk before the login must already say so.
//!
//! Names and PINs stand there as HMAC-SHA256 under a random key in the same directory: a copied record alone tells
//! nothing. Whoever has the key too can guess at short PINs, but a PIN that was accepted leaves no trace. Without the
//! key the records mean nothing, so records without their key are damage and not a fresh start.

mod folder;
mod record;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use aws_lc_rs::hmac;

use self::folder::{Folder, Lock};
use self::record::Record;
use super::{Pin, SignError};
use crate::problem::chain;

/// The record, in one directory.
#[derive(Clone, Debug)]
pub struct Attempts {
    directory: PathBuf,
}

/// What the token itself says about earlier attempts (`CKF_USER_PIN_…`, a TPM's lockout counter).
///
/// From good to bad. [`Standing::CountLow`] stands for a count that a success clears. A TPM's is not cleared by one: say
/// `Clear` there while many attempts are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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

/// A login that may be tried now. Dropped without a verdict it stays on record as interrupted. A verdict writes to the
/// disk and waits for it.
#[must_use = "tell how the login ended"]
pub struct Attempt {
    folder: Folder,
    token: String,
    /// The record's file, without its ending.
    name: String,
    /// This PIN of this token.
    print: String,
    before: Record,
    /// Held to the end, so that nobody else tries meanwhile.
    lock: Lock,
}

impl Attempts {
    /// In this directory, which is made when first needed.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Permission to log in to `token` (its serial number, or what else is its own for ever) with `pin`, once. `force`
    /// overrides [`Standing::CountLow`] and an earlier interruption, never a refusal of this PIN, a final try or a lock.
    ///
    /// Blocks while another process tries the same token, and on the disk: call it where blocking is allowed.
    pub fn begin(&self, token: &str, pin: &Pin, standing: Standing, force: bool) -> Result<Attempt, SignError> {
        let folder = Folder::open(&self.directory)?;
        let key = folder.key()?;
        let name = print(&key, b"token", token, b"");
        let print = print(&key, b"pin", token, pin.expose());
        let lock = folder.lock(&name)?;
        let mut before = folder.read(&name)?;
        before.heed(standing);
        if let Err(refusal) = before.judge(token, &print, standing, force) {
            // A token that is refused for what it says itself leaves no lock file behind.
            if before.is_empty() {
                folder.forget(&name);
            }
            return Err(refusal);
        }
        folder.write(&name, &before.clone().begun(&print))?;
        Ok(Attempt { folder, token: token.to_owned(), name, print, before, lock })
    }
}

/// Keyed hash of what a token or a PIN of it is; `kind` keeps the two apart.
fn print(key: &hmac::Key, kind: &[u8], token: &str, pin: &[u8]) -> String {
    let mut hash = hmac::Context::with_key(key);
    for part in [kind, token.as_bytes(), pin] {
        // The length before, so that no two sequences of parts run together to the same bytes.
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.sign().as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Attempt {
    /// The token took it: no hash of this PIN stays on disk.
    pub fn accepted(mut self) {
        let after = std::mem::take(&mut self.before).accepted();
        self.end(&after);
    }

    /// The token said that this PIN is wrong.
    pub fn refused(mut self) {
        let after = std::mem::take(&mut self.before).refused(&self.print);
        self.end(&after);
    }

    /// The token failed before it judged the PIN (absent, broken): the attempt does not count.
    pub fn unjudged(mut self) {
        let after = std::mem::take(&mut self.before);
        self.end(&after);
    }

    /// What cannot be written leaves the attempt interrupted, which allows one more at most.
    fn end(self, after: &Record) {
        let _held = &self.lock;
        if after.is_empty() {
            self.folder.forget(&self.name);
        } else if let Err(problem) = self.folder.write(&self.name, after) {
            tracing::error!("the verdict on a login to `{}` is not on record: {}", self.token, chain(&problem));
        }
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("token", &self.token).finish_non_exhaustive()
    }
}
