//! One flight of a slot: the mint in a task of its own, and what becomes of its outcome.
//!
//! Who may start one is the berth's business. Easy to get wrong: what a mint does (panic, hang, give a dead token) must
//! become an outcome, or the slot would stay in the air for ever.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::timeout;

use super::{Forced, Held, Trouble};
use crate::broker::crew::Crew;
use crate::broker::flight::{Berth, Pilot};
use crate::broker::schedule::{self, Failure, Share};
use crate::broker::table::Key;
use crate::broker::{Fresh, MintError, Minted, Order, mishap};
use crate::claims::{Challenge, Claims};
use crate::clock::{Deadline, Now};
use crate::observe::Event;
use crate::problem;

/// A mint has its own, shorter deadlines; this one makes sure that a defect in them cannot hold a slot for ever.
const LONGEST_FLIGHT: Duration = Duration::from_secs(120);

/// What a flight takes along of its slot.
pub(super) struct Plane {
    pub(super) key: Key,
    pub(super) errand: Errand,
    pub(super) share: Share,
    pub(super) berth: Arc<Berth<Held, Trouble>>,
    pub(super) forced: Arc<ArcSwapOption<Forced>>,
}

/// What sets one flight apart from the others of its slot.
pub(super) struct Errand {
    pub(super) challenge: Option<Challenge>,
    /// Of a flight that a caller forced.
    pub(super) forced: Option<Arc<Forced>>,
}

impl Errand {
    pub(super) fn ordinary() -> Self {
        Self { challenge: None, forced: None }
    }
}

impl Plane {
    pub(super) async fn fly(&self, crew: &Crew) -> Result<Fresh, MintError> {
        let claims = Claims { capable: self.key.capable, challenge: self.errand.challenge.clone() };
        let (mint, order) = (Arc::clone(&crew.mint), Order { resource: self.key.resource.clone(), claims });
        let mut exchange = tokio::spawn(async move { mint.mint(order).await });
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
    pub(super) fn land(&self, crew: &Crew, pilot: Pilot<Held, Trouble>, outcome: Result<Fresh, MintError>) {
        let now = crew.clock.now();
        match outcome {
            Ok(fresh) => {
                let held = Arc::new(self.keep(crew, fresh, now));
                self.note(now, None);
                pilot.land(Ok(Arc::clone(&held)));
                crew.observer.on(&Event::Minted {
                    identity: &crew.identity,
                    resource: self.key.resource.as_str(),
                    capable: self.key.capable,
                    received: now.epoch(),
                    expires: held.minted.expires.epoch(),
                    next_refresh: held.refresh.epoch(),
                });
            }
            Err(error) => {
                // Entra may have refused just what the challenge demands: no reason to keep the others waiting.
                let alone = self.errand.challenge.is_some() && !error.class.is_passing();
                let trouble = Arc::new(self.cool(error, now));
                self.note(now, Some(&trouble));
                if alone {
                    pilot.fail_alone(Arc::clone(&trouble));
                } else {
                    pilot.land(Err(Arc::clone(&trouble)));
                }
                self.report(crew, &trouble, now);
            }
        }
    }

    /// Before the landing: whoever boards after it must find when the next forced refresh may be.
    fn note(&self, now: Now, failure: Option<&Arc<Trouble>>) {
        if let Some(forced) = &self.errand.forced {
            self.forced.store(Some(Arc::new(forced.landed(now, failure.cloned()))));
        }
    }

    fn keep(&self, crew: &Crew, fresh: Fresh, now: Now) -> Held {
        let life = fresh.expires_in;
        let refresh = schedule::refresh_after(life, fresh.refresh_in, self.share);
        Held {
            print: fresh.access_token.fingerprint(),
            minted: Arc::new(Minted::new(fresh, crew.client_id.clone(), self.key.resource.clone(), now)),
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
            resource: self.key.resource.as_str(),
            capable: self.key.capable,
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
