//! Forced refreshes: for a caller for whom the held token will not do (contract A10, B8).
//!
//! The held token is skipped and never discarded: other callers go on getting it until the new one is in hand, and keep it
//! if none comes. Easy to get wrong: a resource that refuses every token, or a caller that asks in a loop, must not become a
//! loop against Entra, so a slot is refreshed by force at most once in 30 s, however many ask and whatever they show.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::plane::Errand;
use super::{Held, Slot, Trouble, answer};
use crate::broker::counts::Tally;
use crate::broker::crew::Crew;
use crate::broker::flight::{Boarding, Pilot, Purpose};
use crate::broker::{MintError, Minted, mishap};
use crate::clock::{Deadline, Now};
use crate::observe::Event;
use crate::policy::Renew;
use crate::secret::Fingerprint;

/// Contract B8: at most one forced refresh per slot in this time.
const PAUSE: Duration = Duration::from_secs(30);

/// The last forced refresh of a slot.
#[derive(Clone)]
pub(super) struct Forced {
    /// When it began.
    since: Now,
    /// The token that would not do. Not told from the new one by its time: clocks have their grain.
    skipped: Option<Fingerprint>,
    /// Not another one before this; `None` while it is under way.
    again: Option<Deadline>,
    /// Why it brought nothing.
    failure: Option<Arc<Trouble>>,
}

impl Forced {
    pub(super) fn landed(&self, now: Now, failure: Option<Arc<Trouble>>) -> Self {
        Self { again: Some(Deadline::after(now, PAUSE)), failure, ..self.clone() }
    }

    /// How long until there may be another one, while there may not.
    fn pause(&self, now: Now) -> Option<Duration> {
        self.again.map(|again| again.remaining(now)).filter(|left| !left.is_zero())
    }

    /// What is told within the pause to who was refused even the newest token.
    fn refusal(&self, pause: Duration, now: Now) -> MintError {
        match &self.failure {
            Some(trouble) => MintError { retry_in: Some(pause), ..trouble.error.clone() },
            None => mishap::just_replaced(now.mono.saturating_sub(self.since.mono), pause),
        }
    }
}

impl Slot {
    /// A token that is newer than the one that will not do, waiting at most `crew.wait` for it.
    pub(in crate::broker) async fn anew(&self, crew: &Arc<Crew>, renew: &Renew) -> Result<Arc<Minted>, MintError> {
        self.touch(crew.clock.now());
        let waited = timeout(crew.wait, self.replaced(crew, renew)).await;
        waited.unwrap_or_else(|_| Err(mishap::still_minting(crew.wait)))
    }

    async fn replaced(&self, crew: &Arc<Crew>, renew: &Renew) -> Result<Arc<Minted>, MintError> {
        loop {
            let boarding = self.berth.board(Purpose::Forced, || self.newer(renew, crew.clock.now()));
            let ticket = match boarding {
                Boarding::Found(answer) => return answer,
                // It may have begun before the token was revoked, and answers no challenge.
                Boarding::Behind(ticket) => {
                    ticket.await;
                    continue;
                }
                Boarding::Joined(ticket) => self.joined(ticket),
                Boarding::Started(pilot, ticket) => {
                    self.counts.add(Tally::Miss);
                    self.force(crew, pilot, renew);
                    ticket
                }
            };
            return answer(ticket.await, crew);
        }
    }

    /// What can be answered without a flight of one's own: a newer token than the refused one, or why there is none now.
    fn newer(&self, renew: &Renew, now: Now) -> Option<Result<Arc<Minted>, MintError>> {
        let last = self.forced.load();
        let pause = last.as_ref().and_then(|last| Some((last, last.pause(now)?)));
        let is_newer = |held: &&Arc<Held>| match renew {
            // The caller has an older one.
            Renew::Refused(print) => held.print != *print,
            // Which one it has is not known; what came since the last time somebody asked so will do.
            Renew::Claims(_) | Renew::Bypass => pause.is_some_and(|(last, _)| last.skipped != Some(held.print)),
        };
        let current = self.berth.current();
        let held = current.as_ref().filter(|held| !held.minted.expires.is_past(now));
        if let Some(held) = held.filter(is_newer) {
            self.counts.add(Tally::Hit);
            return Some(Ok(Arc::clone(&held.minted)));
        }
        let refusal = self.cooling(now).or_else(|| pause.map(|(last, pause)| last.refusal(pause, now)))?;
        self.counts.add(Tally::Miss);
        Some(Err(refusal))
    }

    fn force(&self, crew: &Arc<Crew>, pilot: Pilot<Held, Trouble>, renew: &Renew) {
        let skipped = self.berth.current().as_ref().map(|held| held.print);
        let forced = Arc::new(Forced { since: crew.clock.now(), skipped, again: None, failure: None });
        self.forced.store(Some(Arc::clone(&forced)));
        let challenge = if let Renew::Claims(challenge) = renew { Some(challenge.clone()) } else { None };
        self.launch(crew, pilot, Errand { challenge, forced: Some(forced) });
        crew.observer.on(&Event::Forced {
            identity: &crew.identity,
            resource: self.key.resource.as_str(),
            capable: self.key.capable,
            reason: renew.reason(),
        });
    }
}
