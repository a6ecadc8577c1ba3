//! What is known of one token's logins, and what follows from it.
//!
//! Pure: no file, no lock. Easy to get wrong: the order of the questions. A token that would lock is left alone whatever
//! else is known, and a PIN that was refused is refused although the token's count would say something milder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Standing;
use crate::signer::SignError;

/// Hashes of refused PINs that are kept, the newest: with that many, no token is left that would not have locked.
const KEPT: usize = 256;
/// Attempts with one PIN that may end without a verdict, where the token says that it counts none.
const CHANCES: u32 = 2;

/// One token's record, as its file holds it. A field that is not known is damage: a newer version may mean by it that
/// nothing must be tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// Hashes of PINs that the token refused, oldest first.
    refused: Vec<String>,
    /// How many failures the token may count, one that was cut short included, while all of them are ours; more than one
    /// where some are of others.
    ours: u32,
    /// Attempts without a verdict, by PIN; the one under way is among them.
    interrupted: BTreeMap<String, u32>,
}

impl Record {
    /// Nothing that must be remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.interrupted.is_empty()
    }

    /// A token that counts no failure has forgotten ours: what it counts later is of others.
    pub(super) fn heed(&mut self, standing: Standing) {
        match standing {
            Standing::Clear => self.ours = 0,
            // Remembered, since a forced attempt that fails now is not the only one that it counts.
            _ if self.ours == 0 => self.ours = 2,
            _ => {}
        }
    }

    /// Whether this PIN may be tried now.
    pub(super) fn judge(&self, token: &str, print: &str, standing: Standing, force: bool) -> Result<(), SignError> {
        let token = || token.to_owned();
        match standing {
            Standing::Locked => return Err(SignError::PinLocked { token: token() }),
            Standing::FinalTry => return Err(SignError::PinFinalTry { token: token() }),
            Standing::Clear | Standing::CountLow => {}
        }
        if self.refused.iter().any(|known| known == print) {
            return Err(SignError::PinRefused { token: token() });
        }
        if force {
            return Ok(());
        }
        let low = standing == Standing::CountLow;
        match self.interrupted.get(print) {
            // The token may have counted it, and the PIN may be wrong.
            Some(times) if low || *times >= CHANCES => return Err(SignError::PinInterrupted { token: token() }),
            _ => {}
        }
        // One failure of our own explains the count: another PIN was given, and gets its one try.
        if low && self.ours != 1 {
            return Err(SignError::PinCountLow { token: token() });
        }
        Ok(())
    }

    /// Before the login: interrupted, should nobody see its end.
    pub(super) fn begun(mut self, print: &str) -> Self {
        *self.interrupted.entry(print.to_owned()).or_default() += 1;
        self.ours = self.ours.saturating_add(1);
        self
    }

    /// The token counts no failure any more, whosever it was.
    pub(super) fn accepted(mut self) -> Self {
        self.ours = 0;
        self.interrupted.clear();
        self
    }

    pub(super) fn refused(mut self, print: &str) -> Self {
        self.interrupted.remove(print);
        self.refused.push(print.to_owned());
        let old = self.refused.len().saturating_sub(KEPT);
        self.refused.drain(..old);
        self.ours = self.ours.saturating_add(1);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_does_not_grow_without_bound_and_forgets_the_oldest() {
        let mut record = Record::default();
        for n in 0..KEPT + 2 {
            record = record.refused(&n.to_string());
        }
        assert_eq!((record.refused.len(), record.refused[0].as_str()), (KEPT, "2"));
    }
}
