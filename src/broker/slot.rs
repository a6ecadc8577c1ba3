//! One token: lock-free read, single flight, last good value.
//!
//! Who may have it was decided before; which slots exist is the roster's business. Easy to get wrong: a caller may hang
//! up at any `await`, so whatever must happen happens in the flight's own task; and a failure never touches the held
//! token, which is served to its end.

#![deny(clippy::disallowed_types)]

mod forced;
mod plane;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::timeout;

use self::forced::Forced;
use self::plane::{Errand, Plane};
use super::counts::{Counts, Tally};
use super::crew::Crew;
use super::flight::{Berth, Boarding, Landing, Pilot, Purpose, Ticket};
use super::schedule::{self, Share};
use super::table::Key;
use super::{MintError, Minted, mishap};
use crate::clock::{Deadline, Now};
use crate::secret::Fingerprint;

/// A slot that never held a token is let go when nobody asked for this long.
const EMPTY_LIFE: Duration = Duration::from_secs(600);

/// The place of one token.
pub(super) struct Slot {
    key: Key,
    /// Never let go. Set anew when a reload adopts the slot.
    prefetch: AtomicBool,
    share: Share,
    berth: Arc<Berth<Held, Trouble>>,
    /// The last forced refresh, if there was one.
    forced: Arc<ArcSwapOption<Forced>>,
    counts: Counts,
    /// Seconds on the monotonic clock when somebody last asked.
    used: AtomicU64,
}

/// A good token and what was planned when it came.
pub(super) struct Held {
    pub(super) minted: Arc<Minted>,
    /// By which a client names the token that it was refused.
    print: Fingerprint,
    life: Duration,
    margin: Duration,
    refresh: Deadline,
}

/// The last failure and what was planned when it came.
pub(super) struct Trouble {
    pub(super) error: MintError,
    /// When the first failure of this row came that replication may explain.
    spreading: Option<Now>,
    pub(super) consecutive: u32,
    /// Not asking again before this.
    until: Deadline,
}

impl Trouble {
    /// The error as it is answered now.
    fn answer(&self, now: Now) -> MintError {
        MintError { retry_in: Some(self.until.remaining(now)), ..self.error.clone() }
    }
}

/// What the keeper has to do with a slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Start a flight.
    Now,
    /// Look again then.
    In(Duration),
    /// Nothing until somebody asks or the flight lands.
    Nothing,
    /// Nobody has asked for a whole token life.
    LetGo,
}

impl Slot {
    pub(super) fn new(key: Key, prefetch: bool, now: Now) -> Self {
        Self {
            key,
            prefetch: AtomicBool::new(prefetch),
            share: Share::random(),
            berth: Arc::new(Berth::new()),
            forced: Arc::default(),
            counts: Counts::default(),
            used: AtomicU64::new(now.mono.as_secs()),
        }
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn is_prefetch(&self) -> bool {
        self.prefetch.load(Ordering::Relaxed)
    }

    pub(super) fn set_prefetch(&self, prefetch: bool) {
        self.prefetch.store(prefetch, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The hot path: the held token, if it is above its margin. No lock, no allocation, no `await`.
    pub(super) fn held(&self, now: Now) -> Option<Arc<Minted>> {
        let current = self.berth.current();
        let held = current.as_ref().filter(|held| held.minted.expires.remaining(now) > held.margin)?;
        self.counts.add(if held.refresh.is_past(now) { Tally::StaleHit } else { Tally::Hit });
        self.touch(now);
        Some(Arc::clone(&held.minted))
    }

    fn touch(&self, now: Now) {
        self.used.store(now.mono.as_secs(), Ordering::Relaxed);
    }

    /// A token, waiting for a flight if need be: at most `crew.wait`, or a moment when there is a held one to fall back on.
    pub(super) async fn token(&self, crew: &Arc<Crew>) -> Result<Arc<Minted>, MintError> {
        let now = crew.clock.now();
        if let Some(minted) = self.held(now) {
            return Ok(minted);
        }
        self.touch(now);
        let patience = if self.alive(now).is_some() { schedule::PATIENCE.min(crew.wait) } else { crew.wait };
        let error = match timeout(patience, self.flown(crew)).await {
            Ok(Ok(minted)) => return Ok(minted),
            Ok(Err(error)) => error,
            Err(_) => mishap::still_minting(patience),
        };
        self.alive(crew.clock.now()).ok_or(error)
    }

    /// What a flight brings, or what makes one needless.
    async fn flown(&self, crew: &Arc<Crew>) -> Result<Arc<Minted>, MintError> {
        loop {
            let boarding = self.berth.board(Purpose::Ordinary, || self.settled(crew.clock.now()));
            let ticket = match boarding {
                Boarding::Found(answer) => return answer,
                // What it was forced for may be refused, and that would be no answer to this caller.
                Boarding::Behind(ticket) => {
                    ticket.await;
                    continue;
                }
                Boarding::Joined(ticket) => self.joined(ticket),
                Boarding::Started(pilot, ticket) => {
                    self.counts.add(Tally::Miss);
                    self.launch(crew, pilot, Errand::ordinary());
                    ticket
                }
            };
            return answer(ticket.await, crew);
        }
    }

    fn joined(&self, ticket: Ticket<Held, Trouble>) -> Ticket<Held, Trouble> {
        self.counts.add(Tally::Coalesced);
        ticket
    }

    /// What can be answered without a flight: a token above its margin, or, while cooling, the dying one or the error.
    fn settled(&self, now: Now) -> Option<Result<Arc<Minted>, MintError>> {
        if let Some(minted) = self.held(now) {
            return Some(Ok(minted));
        }
        let cooling = self.cooling(now)?;
        let dying = self.alive(now);
        self.counts.add(if dying.is_some() { Tally::StaleHit } else { Tally::Miss });
        Some(dying.ok_or(cooling))
    }

    /// Why Entra is not asked now.
    fn cooling(&self, now: Now) -> Option<MintError> {
        let trouble = self.berth.trouble();
        trouble.as_ref().filter(|trouble| !trouble.until.is_past(now)).map(|trouble| trouble.answer(now))
    }

    /// The held token, be it below its margin, until its end.
    fn alive(&self, now: Now) -> Option<Arc<Minted>> {
        let current = self.berth.current();
        let held = current.as_ref().filter(|held| !held.minted.expires.is_past(now))?;
        Some(Arc::clone(&held.minted))
    }

    /// Starts a flight that nobody waits for, unless one is under way or not due any more.
    pub(super) fn refresh(&self, crew: &Arc<Crew>, now: Now) {
        let not_due = || (self.plan(now) != Due::Now).then_some(());
        if let Boarding::Started(pilot, _) = self.berth.board(Purpose::Ordinary, not_due) {
            self.launch(crew, pilot, Errand::ordinary());
        }
    }

    /// What the keeper should do now.
    pub(super) fn due(&self, now: Now) -> Due {
        if self.berth.is_aloft() { Due::Nothing } else { self.plan(now) }
    }

    fn plan(&self, now: Now) -> Due {
        let current = self.berth.current();
        let held = current.as_ref();
        let prefetch = self.is_prefetch();
        let idle = now.mono.saturating_sub(Duration::from_secs(self.used.load(Ordering::Relaxed)));
        let dead = held.is_none_or(|held| held.minted.expires.is_past(now));
        let refresh = held.map_or(Duration::ZERO, |held| held.refresh.remaining(now));
        let cooling = self.berth.trouble().as_ref().map_or(Duration::ZERO, |trouble| trouble.until.remaining(now));
        let wait = refresh.max(cooling);
        // Not while cooling: a slot that is opened anew knows nothing of Entra's `Retry-After`.
        if !prefetch && cooling.is_zero() && idle >= held.map_or(EMPTY_LIFE, |held| held.life) {
            return Due::LetGo;
        }
        match (prefetch || !dead, wait.is_zero()) {
            (true, true) => Due::Now,
            (true, false) => Due::In(wait),
            (false, _) => Due::Nothing,
        }
    }

    /// True when a stranger's ask may take this slot's place: nothing held, nothing flying, not ours to keep.
    pub(super) fn is_replaceable(&self, now: Now) -> bool {
        !self.is_prefetch() && !self.berth.is_aloft() && self.alive(now).is_none()
    }

    /// The exchange in its own task, and the mint in one of its own inside, so that its panic becomes an error.
    fn launch(&self, crew: &Arc<Crew>, pilot: Pilot<Held, Trouble>, errand: Errand) {
        let (berth, forced) = (Arc::clone(&self.berth), Arc::clone(&self.forced));
        let plane = Plane { key: self.key.clone(), errand, share: self.share, berth, forced };
        let crew = Arc::clone(crew);
        tokio::spawn(async move {
            let outcome = plane.fly(&crew).await;
            plane.land(&crew, pilot, outcome);
            crew.poke.notify_one();
        });
    }

    pub(super) fn view(&self, now: Now) -> View {
        let cooling = self.berth.trouble().as_ref().map(Arc::clone);
        let held = self.berth.current().as_ref().filter(|held| !held.minted.expires.is_past(now)).map(Arc::clone);
        View { held, cooling }
    }
}

/// What a landing is to its waiters.
fn answer(landing: Landing<Held, Trouble>, crew: &Crew) -> Result<Arc<Minted>, MintError> {
    match landing {
        Landing::Kept(held) => Ok(Arc::clone(&held.minted)),
        Landing::Failed(trouble) => Err(trouble.answer(crew.clock.now())),
        Landing::Lost => Err(mishap::lost()),
    }
}

/// What a slot shows to who only looks.
pub(super) struct View {
    pub(super) held: Option<Arc<Held>>,
    pub(super) cooling: Option<Arc<Trouble>>,
}

impl View {
    /// When the keeper will try next, seconds since 1970: the planned refresh, or the end of the pause after a failure.
    pub(super) fn next_try(&self) -> Option<u64> {
        let refresh = self.held.as_ref().map(|held| held.refresh.epoch());
        let pause = self.cooling.as_ref().map(|trouble| trouble.until.epoch());
        refresh.max(pause)
    }
}
