//! Lines about grants that are passed on.
//!
//! Who had one passed on for the first time, and what failed on our side. Entra's no to a caller's own grant is the caller's
//! concern and told at the level of debugging. Easy to get wrong: nothing of the grant itself is known here, and must not be.

use tracing::{debug, info, warn};

use super::Audit;
use crate::observe::Event;

impl Audit {
    pub(super) fn relayed(&self, event: &Event<'_>) {
        match *event {
            Event::Relayed { identity, grant, dialect, peer, outcome, first: true, .. } => {
                info!(identity = identity.as_str(), grant, dialect, peer, outcome, "grant relayed");
            }
            Event::Relayed { identity, grant, dialect, peer, outcome, aadsts, .. } => {
                debug!(identity = identity.as_str(), grant, dialect, peer, outcome, aadsts, "grant relayed");
            }
            Event::RelayFailed { identity, grant, code, chain, remedy, aadsts, correlation_id, trace_id } => {
                let failure = (identity.as_str().into(), grant, code, aadsts);
                if let Some(count) = self.seen().relay_failures.told(failure) {
                    let identity = identity.as_str();
                    warn!(
                        identity,
                        grant, code, remedy, aadsts, correlation_id, trace_id, count, "relay failed: {chain}"
                    );
                }
            }
            _ => {}
        }
    }
}
