//! Certificates that are passed over for a while, because Entra refused them or their key failed.
//!
//! Easy to get wrong: when the time is up, one exchange tries the certificate again, not all that are under way.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Deadline, Now};
use crate::secret::Fingerprint;

/// Longer than an exchange may take: until then the one that tries has said how it went.
const TRIAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Rests {
    pause: Duration,
    /// A handful at most: as many as there are certificates.
    resting: Mutex<Vec<Rest>>,
}

#[derive(Debug)]
struct Rest {
    mark: Fingerprint,
    until: Deadline,
}

impl Rests {
    /// Each for this long.
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, resting: Mutex::default() }
    }

    /// Not this one from now on.
    pub(super) fn add(&self, mark: Fingerprint, now: Now) {
        let mut resting = self.resting();
        resting.retain(|rest| rest.mark != mark);
        resting.push(Rest { mark, until: Deadline::after(now, self.pause) });
    }

    /// It is good again. True if it rested, or was being tried.
    pub(super) fn end(&self, mark: Fingerprint) -> bool {
        let mut resting = self.resting();
        let before = resting.len();
        resting.retain(|rest| rest.mark != mark);
        resting.len() < before
    }

    pub(super) fn has(&self, mark: Fingerprint) -> bool {
        self.resting().iter().any(|rest| rest.mark == mark)
    }

    /// Whether to try it now. Who is told yes about one that rested is the only one for a while.
    pub(super) fn lets(&self, mark: Fingerprint, now: Now) -> bool {
        let mut resting = self.resting();
        match resting.iter_mut().find(|rest| rest.mark == mark) {
            None => true,
            Some(rest) if rest.until.is_past(now) => {
                rest.until = Deadline::after(now, TRIAL);
                true
            }
            Some(_) => false,
        }
    }

    /// When it may be tried again, in seconds since 1970.
    pub(super) fn until(&self, mark: Fingerprint) -> Option<u64> {
        self.resting().iter().find(|rest| rest.mark == mark).map(|rest| rest.until.epoch())
    }

    /// Whole at any time, so a poisoned lock is no reason to stop.
    fn resting(&self) -> MutexGuard<'_, Vec<Rest>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Now {
        Now { mono: Duration::from_secs(seconds), wall: Duration::from_secs(seconds) }
    }

    #[test]
    fn after_its_pause_one_exchange_tries_it_and_the_others_wait_for_the_outcome() {
        let (rests, mark) = (Rests::new(Duration::from_secs(300)), Fingerprint::of(b"a"));
        assert!(rests.lets(mark, at(0)));
        rests.add(mark, at(0));
        assert!(!rests.lets(mark, at(299)));
        assert!(rests.lets(mark, at(300)), "the first to come tries it");
        assert!(!rests.lets(mark, at(300)) && !rests.lets(mark, at(359)), "and nobody else");
        assert!(rests.lets(mark, at(360)), "unless nothing was heard of it");
        assert!(rests.end(mark) && !rests.end(mark));
        assert!(rests.lets(mark, at(360)) && rests.lets(mark, at(360)));
    }
}
