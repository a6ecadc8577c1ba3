//! How long a connection may keep us waiting, at the price of two stores per request.
//!
//! Not hyper's `header_read_timeout`: it reads the clock and arms a timer anew for every head. Here a connection says when
//! we are at work and when it is the peer's turn, and one tokio timer for the whole connection looks now and then for how
//! many looks it has been the peer's turn. It covers an answer that the peer does not take, too, for which hyper has no
//! time limit. Easy to get wrong: whoever makes a [`Patience`] must end the connection when [`Patience::lost`] says so, and
//! must say when we, and no longer the peer, keep it waiting.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Looks in `idle`: a peer has at most one of them more, for it had its turn somewhere between two.
const LOOKS: u32 = 4;
/// We are at work.
const OURS: u32 = u32::MAX;

/// For one connection. Everything happens in its own task; it is atomic only because tasks may move between threads.
#[derive(Debug)]
pub(super) struct Patience {
    idle: Duration,
    /// For how many looks it has been the peer's turn.
    looks: AtomicU32,
}

impl Patience {
    /// The peer begins, and has `idle` for its first head.
    pub(super) fn new(idle: Duration) -> Self {
        Self { idle, looks: AtomicU32::new(1) }
    }

    /// From now on the peer waits for us.
    pub(super) fn answer_begins(&self) {
        self.looks.store(OURS, Ordering::Relaxed);
    }

    /// And now we wait for it: to take the answer, and to send its next head.
    pub(super) fn answer_ends(&self) {
        self.looks.store(0, Ordering::Relaxed);
    }

    /// Ends when it has been the peer's turn for `idle`, or for a quarter longer.
    pub(super) async fn lost(&self) {
        loop {
            tokio::time::sleep(self.idle / LOOKS).await;
            match self.looks.load(Ordering::Relaxed) {
                OURS => {}
                LOOKS.. => return,
                looks => self.looks.store(looks + 1, Ordering::Relaxed),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::clock::{Clock as _, TokioClock};

    const IDLE: Duration = Duration::from_secs(120);

    #[tokio::test(start_paused = true)]
    async fn a_first_head_that_does_not_come_is_waited_for_so_long() {
        let clock = TokioClock::starting_at(0);
        let begun = clock.now();
        Patience::new(IDLE).lost().await;
        // tokio's timers are exact to the millisecond.
        assert_eq!(clock.now().mono.saturating_sub(begun.mono).as_secs(), IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn our_own_time_does_not_count_and_each_answer_begins_anew() {
        let clock = TokioClock::starting_at(0);
        for ours in (1..=60).map(Duration::from_secs) {
            let patience = Patience::new(IDLE);
            let busy = async {
                for time in [ours, 10 * IDLE, ours] {
                    sleep(IDLE.saturating_sub(ours)).await;
                    patience.answer_begins();
                    sleep(time).await;
                    patience.answer_ends();
                }
                clock.now()
            };
            let ((), served) = tokio::join!(patience.lost(), busy);
            let waited = clock.now().mono.saturating_sub(served.mono);
            assert!(waited >= IDLE && waited <= IDLE * 5 / 4 + Duration::from_secs(1), "{waited:?}");
        }
    }
}
