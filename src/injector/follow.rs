//! Follows one object of the cluster, for as long as the process lives.
//!
//! Easy to get wrong: what went while no watch was open is told by none, so every new watch begins with a list.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::cluster::{Api, Change, ClusterError, Collection};
use crate::problem::{Problem, chain};

/// Waits longer after every failure, and tells of the 1st, 2nd, 4th, 8th ….
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// Watches one after the other that told nothing.
    silent: u32,
}

impl Backoff {
    /// How long to wait after this one.
    pub(super) fn after(&mut self, problem: &dyn Problem, consequence: &'static str) -> Duration {
        self.failures = self.failures.saturating_add(1);
        if self.failures.is_power_of_two() {
            let remedy = problem.remedy().unwrap_or_default();
            tracing::warn!(
                code = problem.code(),
                remedy = &*remedy,
                failures = self.failures,
                "{consequence}: {}",
                chain(problem)
            );
        }
        LONGEST.min(Duration::from_millis(500) * 2_u32.pow(self.failures.min(6)))
    }

    /// How long to wait after a watch that the server ended. It sends bookmarks, so one that told nothing was ended early, and the
    /// next may be ended at once.
    pub(super) fn after_end(&mut self, told: bool) -> Duration {
        self.failures = 0;
        self.silent = if told { 0 } else { self.silent.saturating_add(1) };
        LONGEST.min(Duration::from_millis(200) * 2_u32.pow(self.silent.min(7)))
    }

    /// Several failures, and nothing between them.
    pub(super) fn is_long(&self) -> bool {
        self.failures >= 3
    }
}

/// A server that comes back is not to be met by everybody a minute late.
const LONGEST: Duration = Duration::from_secs(20);

/// Tells how the object is, again whenever that changes.
pub(super) async fn follow(api: &Api, of: &Collection, seen: &watch::Sender<Option<Value>>) {
    let mut backoff = Backoff::default();
    loop {
        let wait = match once(api, of, seen).await {
            Ok(told) => backoff.after_end(told),
            Err(error) => backoff.after(&error, "an object cannot be watched; it counts as it was seen last"),
        };
        tokio::time::sleep(wait).await;
    }
}

/// Until the server ends the watch. Says whether it told anything.
async fn once(api: &Api, of: &Collection, seen: &watch::Sender<Option<Value>>) -> Result<bool, ClusterError> {
    // Listed first, as everybody does: a watch that begins with what there is, some servers cannot give.
    let mut now = None;
    let version = api.list(of, |object| now = Some(object)).await?;
    seen.send_if_modified(|known| {
        let other = *known != now;
        *known = now;
        other
    });
    let (mut changes, mut told) = (api.watch(of, &version).await?, false);
    while let Some((change, _)) = changes.next().await? {
        told = true;
        match change {
            Change::Now(object) => seen.send_replace(Some(object)),
            Change::Gone(_) => seen.send_replace(None),
            Change::Mark => continue,
        };
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_that_are_ended_at_once_come_ever_more_slowly() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.after_end(false)).collect();
        assert!(waits.is_sorted() && waits[0] < Duration::from_secs(1) && waits[8] == LONGEST, "{waits:?}");
        assert!(backoff.after_end(true) < Duration::from_secs(1));
    }

    #[test]
    fn a_watch_that_came_to_its_end_forgets_earlier_failures() {
        let mut backoff = Backoff::default();
        let first = backoff.after(&ClusterError::Stopped, "");
        (0..5).for_each(|_| _ = backoff.after(&ClusterError::Stopped, ""));
        assert!(backoff.is_long());
        backoff.after_end(true);
        assert!(!backoff.is_long());
        assert_eq!(backoff.after(&ClusterError::Stopped, ""), first);
    }
}
