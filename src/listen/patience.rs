//! How long a connection may keep us waiting for the head of a request, at the price of one store per request.
//!
//! hyper arms a timer anew for every head. Given tokio's timer, it allocates a `Sleep` each time and goes through the
//! runtime's timer wheel and its lock twice: more than all that a held token costs besides (docs/performance.md). Here hyper's `sleep_until` only
//! notes the deadline, and one tokio timer for the whole connection looks at the note when an earlier deadline has come.
//! Easy to get wrong: the `Sleep` that hyper gets never wakes, so whoever hands a [`Patience`] to hyper must end the
//! connection when [`Patience::lost`] says so, and must say [`Patience::head_is_there`] when a request begins.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

/// No head is being waited for.
const NONE: u64 = u64::MAX;

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

    /// A request begins: the connection is not idle until hyper waits for the next head.
    pub(super) fn head_is_there(&self) {
        self.0.due.store(NONE, Ordering::Relaxed);
    }

    /// Ends when a head has not come in time.
    pub(super) async fn lost(&self) {
        loop {
            let now = self.now();
            // While a request is being answered there is no deadline, and the next one is at least `idle` away.
            let wake = self.due().unwrap_or(now + self.0.idle);
            if wake <= now {
                return;
            }
            tokio::time::sleep_until(wake.into()).await;
        }
    }

    fn due(&self) -> Option<Instant> {
        let due = self.0.due.load(Ordering::Relaxed);
        (due != NONE).then(|| self.0.start + Duration::from_millis(due))
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
