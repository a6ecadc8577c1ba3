//! Has every source of signed assertions do what it does beside signing, and tells of sources that die: one task each, until
//! dropped.
//!
//! Easy to get wrong: one key may hang for as long as its limit, and must not keep others waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::wire::Tools;
use crate::assertion::{AssertionSource, CertificateSource};
use crate::clock::Clock;
use crate::ids::IdentityName;
use crate::observe::{Event, Observer};

/// How long before a source dies its operator hears of it: time to finish a step.
const WARNED_BEFORE: u64 = 15 * 60;

/// The tasks of one configuration.
#[derive(Debug)]
pub(super) struct Upkeep {
    poke: watch::Sender<()>,
    _tasks: JoinSet<()>,
}

impl Upkeep {
    /// None sleeps longer than `tick`, since both clocks may jump.
    pub(super) fn start(
        signing: &[Arc<CertificateSource>],
        mortal: Vec<Mortal>,
        tools: &Tools,
        tick: Duration,
    ) -> Self {
        let poke = watch::Sender::new(());
        let mut tasks = JoinSet::new();
        for source in signing {
            let (source, mut poked) = (Arc::clone(source), poke.subscribe());
            tasks.spawn(async move {
                loop {
                    let wait = source.tend().await;
                    // Errs only when the time is up, which is as good as a poke.
                    let _ = timeout(wait.min(tick), poked.changed()).await;
                }
            });
        }
        for source in mortal {
            let (clock, observer, poked) = (tools.clock.clone(), tools.observer.clone(), poke.subscribe());
            tasks.spawn(async move { source.warn(&*clock, &*observer, tick, poked).await });
        }
        Self { poke, _tasks: tasks }
    }

    /// For who has just moved a clock by hand.
    pub(super) fn poke(&self) {
        self.poke.send_replace(());
    }
}

/// A source that dies, such as GitHub's request token, which nobody can renew from inside this process.
#[derive(Debug)]
pub(super) struct Mortal {
    identity: IdentityName,
    source: &'static str,
    ends: u64,
}

impl Mortal {
    /// Nothing for a source that says of no end.
    pub(super) fn of(identity: &IdentityName, source: &Arc<dyn AssertionSource>) -> Option<Self> {
        Some(Self { identity: identity.clone(), source: source.kind(), ends: source.source_expires()? })
    }

    async fn warn(&self, clock: &dyn Clock, observer: &dyn Observer, tick: Duration, mut poked: watch::Receiver<()>) {
        loop {
            let left = self.ends.saturating_sub(clock.now().epoch());
            if left <= WARNED_BEFORE {
                let &Self { ref identity, source, ends } = self;
                return observer.on(&Event::SourceEnding { identity, source, ends, left: Duration::from_secs(left) });
            }
            let _ = timeout(Duration::from_secs(left - WARNED_BEFORE).min(tick), poked.changed()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::clock::ManualClock;

    const TICK: Duration = Duration::from_secs(15);

    #[derive(Debug, Default)]
    struct Ends(Mutex<Vec<Duration>>);

    impl Observer for Ends {
        fn on(&self, event: &Event<'_>) {
            if let Event::SourceEnding { left, .. } = event {
                self.0.lock().unwrap().push(*left);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_source_is_told_once_a_quarter_of_an_hour_before() {
        let (clock, heard, poke) = (ManualClock::standing(1_000), Ends::default(), watch::Sender::new(()));
        let mortal = Mortal { identity: IdentityName::parse("job").unwrap(), source: "github", ends: 4_600 };
        let mut warning = Box::pin(mortal.warn(&clock, &heard, TICK, poke.subscribe()));
        for left in [3_600, 901] {
            clock.advance(Duration::from_secs(4_600 - left - clock.now().epoch()));
            assert!(timeout(TICK * 3, &mut warning).await.is_err(), "{left} s are no reason yet");
        }
        clock.advance(Duration::from_secs(1));
        timeout(TICK * 3, warning).await.unwrap();
        assert_eq!(*heard.0.lock().unwrap(), [Duration::from_secs(900)]);
    }

    #[tokio::test]
    async fn the_end_of_a_dead_source_is_told_at_once() {
        let (clock, heard, poke) = (ManualClock::standing(5_000), Ends::default(), watch::Sender::new(()));
        let mortal = Mortal { identity: IdentityName::parse("job").unwrap(), source: "github", ends: 4_600 };
        mortal.warn(&clock, &heard, TICK, poke.subscribe()).await;
        assert_eq!(*heard.0.lock().unwrap(), [Duration::ZERO]);
    }
}
