//! How long a connection may keep us waiting for the head of a request, at the price of a few stores per request.
//!
//! hyper arms a timer anew for every head. Given tokio's timer, it allocates a `Sleep` each time and goes through the
//! runtime's timer wheel and its lock twice: more than all that a held token costs besides (docs/performance.md). Here
//! hyper's `sleep_until` only notes the deadline, and one tokio timer for the whole connection looks at the note when an
//! earlier deadline has come. Easy to get wrong: the `Sleep` that hyper gets never wakes, so whoever hands a [`Patience`]
//! to hyper must end the connection when [`Patience::lost`] says so, and must say when we, and no longer the peer, keep it
//! waiting. And hyper waits for no head while it has an answer that the peer does not take.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

/// We are at work.
const NONE: u64 = u64::MAX;
/// There is an answer, and hyper has not waited for the next head since. To read the clock each time would be dear.
const ANSWERED: u64 = u64::MAX - 1;

/// The deadline of one connection; its clones share it.
#[derive(Clone, Debug)]
pub(super) struct Patience(Arc<Note>);

#[derive(Debug)]
struct Note {
    /// What `due` counts from, in milliseconds. Everything happens in the connection's own task; it is atomic only
    /// because hyper wants to share its timer.
    start: Instant,
    due: AtomicU64,
    idle: Duration,
}

impl Patience {
    /// `idle` is what hyper is told as `header_read_timeout`.
    pub(super) fn new(idle: Duration) -> Self {
        Self(Arc::new(Note { start: TokioTimer::new().now(), due: AtomicU64::new(NONE), idle }))
    }

    /// From now on the peer waits for us.
    pub(super) fn answer_begins(&self) {
        self.0.due.store(NONE, Ordering::Relaxed);
    }

    /// And now we wait for it, to take the answer first of all.
    pub(super) fn answer_ends(&self) {
        self.0.due.store(ANSWERED, Ordering::Relaxed);
    }

    /// Ends when a head has not come in time, or an answer was not taken within twice that.
    pub(super) async fn lost(&self) {
        loop {
            let now = self.now();
            let later = now + self.0.idle;
            let wake = match self.0.due.load(Ordering::Relaxed) {
                // The next deadline is at least `idle` away.
                NONE => later,
                ANSWERED => {
                    self.note(later);
                    later
                }
                due => self.0.start + Duration::from_millis(due),
            };
            if wake <= now {
                return;
            }
            tokio::time::sleep_until(wake.into()).await;
        }
    }

    fn note(&self, deadline: Instant) {
        let due = u64::try_from(deadline.saturating_duration_since(self.0.start).as_millis()).unwrap_or(NONE);
        self.0.due.store(due, Ordering::Relaxed);
    }
}

impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.note(deadline);
        // A box of nothing is no allocation.
        Box::pin(Never)
    }

    fn reset(&self, _: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        self.note(deadline);
    }

    fn now(&self) -> Instant {
        TokioTimer::new().now()
    }
}

struct Never;

impl Future for Never {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for Never {}
