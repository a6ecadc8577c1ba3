//! Whether an identity without prefetch could get a token, asked of its assertion source now and then.
//!
//! Such an identity holds nothing until the first caller comes, so readiness needs another sign. The last outcome
//! stands until the next one. Not for identities that hold a token: that is sign enough. Easy to get wrong: a source
//! that hangs or panics must become an outcome, or its identity would stay as it was for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::timeout;

use super::crew::Crew;
use super::schedule::{Failure, Share};
use super::{MintError, mishap};
use crate::clock::{Deadline, Now};

/// How long a good outcome stands before it is asked again.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// A source that hangs must not keep an identity unready after it has come back.
const LONGEST_PROBE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Probe {
    last: ArcSwapOption<Probed>,
    running: AtomicBool,
}

/// How the last probe ended.
pub(super) struct Probed {
    pub(super) failure: Option<MintError>,
    pub(super) consecutive: u32,
    pub(super) again: Deadline,
}

impl Probe {
    pub(super) fn last(&self) -> Option<Arc<Probed>> {
        self.last.load_full()
    }

    pub(super) fn is_good(&self) -> bool {
        self.last.load().as_ref().is_some_and(|last| last.failure.is_none())
    }

    /// Takes over what an earlier configuration's probe found.
    pub(super) fn adopt(&self, old: &Self) {
        self.last.store(old.last());
    }

    /// How long until it has to run; `None` while it runs.
    pub(super) fn due(&self, now: Now) -> Option<Duration> {
        if self.running.load(Ordering::Relaxed) {
            return None;
        }
        Some(self.last.load().as_ref().map_or(Duration::ZERO, |last| last.again.remaining(now)))
    }

    /// Runs it in its own task. Only the keeper calls this, so there is one at a time.
    pub(super) fn start(self: &Arc<Self>, crew: &Arc<Crew>) {
        self.running.store(true, Ordering::Relaxed);
        let (probe, crew) = (Arc::clone(self), Arc::clone(crew));
        let mint = Arc::clone(&crew.mint);
        // In a task of its own, so that a panic becomes an outcome.
        let mut asked = tokio::spawn(async move { mint.probe().await });
        tokio::spawn(async move {
            let outcome = if let Ok(answered) = timeout(LONGEST_PROBE, &mut asked).await {
                answered.unwrap_or_else(|_| Err(mishap::crashed()))
            } else {
                asked.abort();
                Err(mishap::unanswered(LONGEST_PROBE))
            };
            let probed = probe.judge(outcome, crew.clock.now());
            probe.last.store(Some(Arc::new(probed)));
            probe.running.store(false, Ordering::Relaxed);
            crew.poke.notify_one();
        });
    }

    fn judge(&self, outcome: Result<(), MintError>, now: Now) -> Probed {
        let Err(error) = outcome else {
            return Probed { failure: None, consecutive: 0, again: Deadline::after(now, GOOD_FOR) };
        };
        let before = self.last().filter(|last| last.failure.is_some());
        let consecutive = before.map_or(0, |last| last.consecutive).saturating_add(1);
        let failure = Failure {
            class: error.class,
            local: error.local,
            client_loop: false,
            retry_after: error.retry_after,
            consecutive,
            // An assertion source knows nothing of Entra's replication.
            spreading: Duration::ZERO,
            remaining: None,
        };
        let again = Deadline::after(now, failure.next_try(Share::random()));
        Probed { failure: Some(error), consecutive, again }
    }
}
