//! Follows one object of the cluster, for as long as the process lives.
//!
//! Easy to get wrong: what went while no watch was open is told by none, so every new watch begins with a list.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::cluster::{Api, Change, ClusterError, Collection, Listed};
use crate::problem::{Problem, chain};

/// Waits longer after every failure, and tells of the 1st, 2nd, 4th, 8th ….
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
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
}

/// A server that comes back is not to be met by everybody a minute late.
const LONGEST: Duration = Duration::from_secs(20);

/// Tells how the object is, again whenever that changes.
pub(super) async fn follow(api: &Api, of: &Collection, seen: &watch::Sender<Option<Value>>) {
    let mut backoff = Backoff::default();
    loop {
        let wait = match once(api, of, seen).await {
            Ok(()) => {
                backoff = Backoff::default();
                Duration::from_millis(200)
            }
            Err(error) => backoff.after(&error, "an object cannot be watched; it counts as it was seen last"),
        };
        tokio::time::sleep(wait).await;
    }
}

async fn once(api: &Api, of: &Collection, seen: &watch::Sender<Option<Value>>) -> Result<(), ClusterError> {
    // Listed first, as everybody does: a watch that begins with what there is, some servers cannot give.
    let Listed { objects, version } = api.list(of).await?;
    seen.send_if_modified(|known| {
        let now = objects.into_iter().next();
        let other = *known != now;
        *known = now;
        other
    });
    let mut changes = api.watch(of, &version).await?;
    while let Some((change, _)) = changes.next().await? {
        match change {
            Change::Now(object) => seen.send_replace(Some(object)),
            Change::Gone(_) => seen.send_replace(None),
            Change::Mark => continue,
        };
    }
    Ok(())
}
