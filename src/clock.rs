//! Both clocks, and deadlines that keep both.
//!
//! The monotonic clock stops while a machine sleeps; the wall clock can be set back. Neither alone can say that a token
//! is still good, so a [`Deadline`] keeps both and the earlier wins. Not for measuring how fast something is. Easy to
//! get wrong: `Instant::now` and `SystemTime::now` are banned everywhere else, so that tests can move time.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since an arbitrary start in this process; never goes back, stops while the machine sleeps.
    pub mono: Duration,
    /// Since 1970-01-01T00:00:00Z; may jump either way.
    pub wall: Duration,
}

impl Now {
    /// Whole seconds since 1970, as JWT claims and `expires_on` count them.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.wall.as_secs()
    }
}

/// Where "now" comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Reads both clocks. Never fails; called on the hot path, so it must not lock for long.
    fn now(&self) -> Now;
}

/// A point in time on both clocks; past when either says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    mono: Duration,
    wall: Duration,
}

impl Deadline {
    /// The point `life` after `now`.
    #[must_use]
    pub fn after(now: Now, life: Duration) -> Self {
        Self { mono: now.mono.saturating_add(life), wall: now.wall.saturating_add(life) }
    }

    /// What is left by the less generous clock; zero when past.
    #[must_use]
    pub fn remaining(&self, now: Now) -> Duration {
        self.mono.saturating_sub(now.mono).min(self.wall.saturating_sub(now.wall))
    }

    /// True when either clock has reached the point.
    #[must_use]
    pub fn is_past(&self, now: Now) -> bool {
        now.mono >= self.mono || now.wall >= self.wall
    }

    /// The wall-clock side, in whole seconds since 1970.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.wall.as_secs()
    }
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a clock has a start; Default would hide that reading it is an act")]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Now {
        Now { mono: self.start.elapsed(), wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }
}

/// A clock that a test (or the demo's story) moves by hand. It runs along with `base` and adds an offset.
#[derive(Debug)]
pub struct ManualClock {
    base: Box<dyn Clock>,
    offset: Mutex<Offset>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Offset {
    mono: Duration,
    wall: Duration,
    wall_back: Duration,
}

impl ManualClock {
    /// Starts at the machine's time and goes on with it.
    #[must_use]
    pub fn running() -> Self {
        Self::over(Box::new(SystemClock::new()))
    }

    /// Stands still at `epoch` seconds after 1970 until it is moved.
    #[must_use]
    pub fn standing(epoch: u64) -> Self {
        Self::over(Box::new(Standing(Now { mono: Duration::from_secs(1_000), wall: Duration::from_secs(epoch) })))
    }

    fn over(base: Box<dyn Clock>) -> Self {
        Self { base, offset: Mutex::default() }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        self.change(|offset| {
            offset.mono += by;
            offset.wall += by;
        });
    }

    /// Moves only the wall clock forward, as when the machine slept.
    pub fn sleep_machine(&self, by: Duration) {
        self.change(|offset| offset.wall += by);
    }

    /// Sets only the wall clock back, as a careless administrator does.
    pub fn set_wall_back(&self, by: Duration) {
        self.change(|offset| offset.wall_back += by);
    }

    fn change(&self, how: impl FnOnce(&mut Offset)) {
        how(&mut self.offset.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        let base = self.base.now();
        let offset = *self.offset.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Now { mono: base.mono + offset.mono, wall: (base.wall + offset.wall).saturating_sub(offset.wall_back) }
    }
}

#[derive(Debug)]
struct Standing(Now);

impl Clock for Standing {
    fn now(&self) -> Now {
        self.0
    }
}

/// Follows tokio's clock, so that paused time moves both clocks. For tests with scripted parts only.
#[derive(Debug)]
pub struct TokioClock {
    start: tokio::time::Instant,
    wall: Duration,
}

impl TokioClock {
    /// Call inside a runtime; the wall clock starts at `epoch` seconds after 1970.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "tokio's clock, which tests pause")]
    pub fn starting_at(epoch: u64) -> Self {
        Self { start: tokio::time::Instant::now(), wall: Duration::from_secs(epoch) }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Now {
        let mono = self.start.elapsed();
        Now { mono: mono + Duration::from_secs(1_000), wall: self.wall + mono }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_past_when_the_machine_slept_through_it() {
        let clock = ManualClock::standing(1_000_000);
        let deadline = Deadline::after(clock.now(), Duration::from_secs(60));
        clock.sleep_machine(Duration::from_secs(61));
        assert!(deadline.is_past(clock.now()));
    }

    #[test]
    fn setting_the_wall_clock_back_does_not_lengthen_a_life() {
        let clock = ManualClock::standing(1_000_000);
        let deadline = Deadline::after(clock.now(), Duration::from_secs(60));
        clock.set_wall_back(Duration::from_secs(3_600));
        clock.advance(Duration::from_secs(59));
        assert_eq!(deadline.remaining(clock.now()), Duration::from_secs(1));
    }
}
