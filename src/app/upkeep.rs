//! Has every source of signed assertions do what it does beside signing: one task each, until dropped.
//!
//! Easy to get wrong: one key may hang for as long as its limit, and must not keep others waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::assertion::CertificateSource;

/// The tasks of one configuration.
#[derive(Debug)]
pub(super) struct Upkeep {
    poke: watch::Sender<()>,
    _tasks: JoinSet<()>,
}

impl Upkeep {
    /// None sleeps longer than `tick`, since both clocks may jump.
    pub(super) fn start(sources: &[Arc<CertificateSource>], tick: Duration) -> Self {
        let poke = watch::Sender::new(());
        let mut tasks = JoinSet::new();
        for source in sources {
            let (source, mut poked) = (Arc::clone(source), poke.subscribe());
            tasks.spawn(async move {
                loop {
                    let wait = source.tend().await;
                    // Errs only when the time is up, which is as good as a poke.
                    let _ = timeout(wait.min(tick), poked.changed()).await;
                }
            });
        }
        Self { poke, _tasks: tasks }
    }

    /// For who has just moved a clock by hand.
    pub(super) fn poke(&self) {
        self.poke.send_replace(());
    }
}
