//! What is done beside signing: files looked at, keys tested, ends told.
//!
//! Whoever runs the source calls it now and then; nothing here has a task or a timer of its own. Easy to get wrong: it may be dropped
//! at any `await`, so an appointment is made anew only after it was kept.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use super::CertificateSource;
use crate::clock::{Deadline, Now};
use crate::observe::{Certificate, Event};
use crate::secret::Fingerprint;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const DAY: u64 = 86_400;
/// With how many days left an operator is warned; not for a certificate that never had more.
const WARNED_AT: [u64; 2] = [30, 7];

/// What [`CertificateSource::tend`] does when.
#[derive(Debug)]
pub(super) struct Agenda {
    look: Deadline,
    test: Option<Deadline>,
    /// Certificates that end, and the days left at which that was told.
    warned: Vec<(Fingerprint, u64)>,
}

impl Agenda {
    /// The first look is due at once: an end that is near is told at the start.
    pub(super) fn starting(now: Now, test_every: Option<Duration>) -> Self {
        let test = test_every.map(|every| Deadline::after(now, every));
        Self { look: Deadline::after(now, Duration::ZERO), test, warned: Vec::new() }
    }
}

impl CertificateSource {
    /// What is to be done now and then: looks at the files, signs test messages, warns of what ends. Says how long there
    /// is nothing more to do. Cancel-safe: what was not done is done the next time.
    pub async fn tend(&self) -> Duration {
        let now = self.crew.clock.now();
        let (look, test) = {
            let agenda = self.agenda();
            (agenda.look.is_past(now), agenda.test.is_some_and(|test| test.is_past(now)))
        };
        if look {
            self.look().await;
            self.warn_of_ends();
            self.agenda().look = Deadline::after(self.crew.clock.now(), LOOK_EVERY);
        }
        if test {
            self.test().await;
            let now = self.crew.clock.now();
            self.agenda().test = self.test_every.map(|every| Deadline::after(now, every));
        }
        let (now, agenda) = (self.crew.clock.now(), self.agenda());
        let test = agenda.test.map(|test| test.remaining(now));
        agenda.look.remaining(now).min(test.unwrap_or(Duration::MAX))
    }

    async fn look(&self) {
        let mut other = false;
        for place in &self.places {
            other |= place.look(&self.crew).await;
        }
        if other {
            let in_use: Vec<_> = self.leaves().iter().map(Certificate::from).collect();
            self.crew.observer.on(&Event::Certificates { identity: &self.crew.identity, in_use: &in_use });
        }
    }

    async fn test(&self) {
        for credential in self.credentials() {
            let mark = credential.leaf.thumbprint;
            match credential.test(&self.crew).await {
                Ok(()) => {
                    self.failed.end(mark);
                }
                Err(_) => self.failed.add(mark, self.crew.clock.now()),
            }
        }
    }

    /// Once for each certificate and number of days.
    fn warn_of_ends(&self) {
        let now = self.crew.clock.now().epoch();
        for credential in self.credentials() {
            let leaf = &credential.leaf;
            let life = leaf.not_after.saturating_sub(leaf.not_before) / DAY;
            let left = leaf.not_after.saturating_sub(now) / DAY;
            let reached = |days: &&u64| left < **days && life > **days;
            let Some(&days) = WARNED_AT.iter().rev().find(reached) else { continue };
            let warning = (leaf.thumbprint, days);
            {
                let mut agenda = self.agenda();
                if agenda.warned.contains(&warning) {
                    continue;
                }
                agenda.warned.push(warning);
            }
            self.crew.observer.on(&Event::CertificateEnding {
                identity: &self.crew.identity,
                certificate: &leaf.name,
                thumbprint: &leaf.thumbprint.hex(),
                not_after: leaf.not_after,
                days_left: left,
                warned_at: days,
            });
        }
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
