//! One token: lock-free read, single flight, last good value.
//!
//! Who may have it was decided before; which slots exist is the roster's business. Easy to get wrong: a caller may hang
//! up at any `await`, so whatever must happen happens in the flight's own task; and a failure never touches the held
//! token, which is served to its end.

#![deny(clippy::disallowed_types)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use super::counts::{Counts, Tally};
use super::crew::Crew;
use super::flight::{Berth, Boarding, Landing, Pilot};
use super::schedule::{self, Failure, Share};
use super::{Fresh, MintError, Minted, mishap};
use crate::clock::{Deadline, Now};
use crate::ids::Resource;
use crate::observe::Event;
use crate::problem;

/// A slot that never held a token is let go when nobody asked for this long.
const EMPTY_LIFE: Duration = Duration::from_secs(600);
/// A mint has its own, shorter deadlines; this one makes sure that a defect in them cannot hold a slot for ever.
const LONGEST_FLIGHT: Duration = Duration::from_secs(120);

/// The place of one token.
pub(super) struct Slot {
    resource: Resource,
    /// Never let go. Set anew when a reload adopts the slot.
    prefetch: AtomicBool,
    share: Share,
    berth: Arc<Berth<Held, Trouble>>,
    counts: Counts,
    /// Seconds on the monotonic clock when somebody last asked.
    used: AtomicU64,
}

/// A good token and what was planned when it came.
pub(super) struct Held {
    pub(super) minted: Arc<Minted>,
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
    pub(super) fn new(resource: Resource, prefetch: bool, now: Now) -> Self {
        Self {
            resource,
            prefetch: AtomicBool::new(prefetch),
            share: Share::random(),
            berth: Arc::new(Berth::new()),
            counts: Counts::default(),
            used: AtomicU64::new(now.mono.as_secs()),
        }
    }

    pub(super) fn resource(&self) -> &Resource {
        &self.resource
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
        self.used.store(now.mono.as_secs(), Ordering::Relaxed);
        Some(Arc::clone(&held.minted))
    }

    /// A token, waiting for a flight if need be: at most `crew.wait`, or a moment when there is a held one to fall back on.
    pub(super) async fn token(&self, crew: &Arc<Crew>) -> Result<Arc<Minted>, MintError> {
        let now = crew.clock.now();
        if let Some(minted) = self.held(now) {
            return Ok(minted);
        }
        self.used.store(now.mono.as_secs(), Ordering::Relaxed);
        let ticket = match self.berth.board(|| self.settled(now)) {
            Boarding::Found(answer) => return answer,
            Boarding::Joined(ticket) => {
                self.counts.add(Tally::Coalesced);
                ticket
            }
            Boarding::Started(pilot, ticket) => {
                self.counts.add(Tally::Miss);
                self.launch(crew, pilot);
                ticket
            }
        };
        let patience = if self.alive(now).is_some() { schedule::PATIENCE.min(crew.wait) } else { crew.wait };
        let landing = timeout(patience, ticket).await;
        let now = crew.clock.now();
        let error = match landing {
            Ok(Landing::Kept(held)) => return Ok(Arc::clone(&held.minted)),
            Ok(Landing::Failed(trouble)) => trouble.answer(now),
            Ok(Landing::Lost) => mishap::lost(),
            Err(_) => mishap::still_minting(patience),
        };
        self.alive(now).ok_or(error)
    }

    /// What can be answered without a flight: a token above its margin, or, while cooling, the dying one or the error.
    fn settled(&self, now: Now) -> Option<Result<Arc<Minted>, MintError>> {
        if let Some(minted) = self.held(now) {
            return Some(Ok(minted));
        }
        let trouble = self.berth.trouble();
        let cooling = trouble.as_ref().filter(|trouble| !trouble.until.is_past(now))?;
        let dying = self.alive(now);
        self.counts.add(if dying.is_some() { Tally::StaleHit } else { Tally::Miss });
        Some(dying.ok_or_else(|| cooling.answer(now)))
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
        if let Boarding::Started(pilot, _) = self.berth.board(not_due) {
            self.launch(crew, pilot);
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
    fn launch(&self, crew: &Arc<Crew>, pilot: Pilot<Held, Trouble>) {
        let plane = Plane { resource: self.resource.clone(), share: self.share, berth: Arc::clone(&self.berth) };
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

/// What a flight takes along of its slot.
struct Plane {
    resource: Resource,
    share: Share,
    berth: Arc<Berth<Held, Trouble>>,
}

impl Plane {
    async fn fly(&self, crew: &Crew) -> Result<Fresh, MintError> {
        let (mint, resource) = (Arc::clone(&crew.mint), self.resource.clone());
        let mut exchange = tokio::spawn(async move { mint.mint(resource).await });
        match timeout(LONGEST_FLIGHT, &mut exchange).await {
            // Kept, it would be dead at once, and every ask would cause another exchange.
            Ok(Ok(Ok(fresh))) if fresh.expires_in.is_zero() => Err(mishap::lifeless()),
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(mishap::crashed()),
            Err(_) => {
                exchange.abort();
                Err(mishap::hung(LONGEST_FLIGHT))
            }
        }
    }

    /// Lands first and tells afterwards: no observer stands between the token and its waiters.
    fn land(&self, crew: &Crew, pilot: Pilot<Held, Trouble>, outcome: Result<Fresh, MintError>) {
        let now = crew.clock.now();
        match outcome {
            Ok(fresh) => {
                let held = Arc::new(self.keep(crew, fresh, now));
                pilot.land(Ok(Arc::clone(&held)));
                crew.observer.on(&Event::Minted {
                    identity: &crew.identity,
                    resource: self.resource.as_str(),
                    received: now.epoch(),
                    expires: held.minted.expires.epoch(),
                    next_refresh: held.refresh.epoch(),
                });
            }
            Err(error) => {
                let trouble = Arc::new(self.cool(error, now));
                pilot.land(Err(Arc::clone(&trouble)));
                self.report(crew, &trouble, now);
            }
        }
    }

    fn keep(&self, crew: &Crew, fresh: Fresh, now: Now) -> Held {
        let life = fresh.expires_in;
        let refresh = schedule::refresh_after(life, fresh.refresh_in, self.share);
        Held {
            minted: Arc::new(Minted::new(fresh, crew.client_id.clone(), self.resource.clone(), now)),
            life,
            margin: schedule::margin(life),
            refresh: Deadline::after(now, refresh),
        }
    }

    fn cool(&self, mut error: MintError, now: Now) -> Trouble {
        let before = self.berth.trouble();
        let (spreading, earlier) =
            before.as_ref().map_or((None, 0), |trouble| (trouble.spreading, trouble.consecutive));
        let spreading = spreading.or_else(|| schedule::may_be_spreading(error.class).then_some(now));
        let consecutive = earlier.saturating_add(1);
        let remaining = self.berth.current().as_ref().map(|held| held.minted.expires.remaining(now));
        let failure = Failure {
            class: error.class,
            local: error.local,
            client_loop: error.numbers.contains(&schedule::CLIENT_LOOP),
            retry_after: error.retry_after,
            consecutive,
            spreading: spreading.map_or(Duration::ZERO, |first| now.mono.saturating_sub(first.mono)),
            remaining: remaining.filter(|left| !left.is_zero()),
        };
        let pause = failure.next_try(Share::random());
        error.class = failure.class();
        error.retry_in = Some(pause);
        Trouble { error, spreading, consecutive, until: Deadline::after(now, pause) }
    }

    fn report(&self, crew: &Crew, trouble: &Trouble, now: Now) {
        let error = &trouble.error;
        let held = self.berth.current().as_ref().map(|held| held.minted.expires.remaining(now));
        crew.observer.on(&Event::MintFailed {
            identity: &crew.identity,
            resource: self.resource.as_str(),
            code: error.problem.code(),
            chain: &problem::chain(error),
            remedy: error.problem.remedy().as_deref(),
            aadsts: error.numbers.first().copied(),
            correlation_id: error.correlation_id.as_deref(),
            trace_id: error.trace_id.as_deref(),
            consecutive: trouble.consecutive,
            retry_in: error.retry_in.unwrap_or_default(),
            held: held.filter(|left| !left.is_zero()),
        });
    }
}
