//! The lines about files that are kept fresh.
//!
//! A repeat of the same failure is counted by its `consecutive` and told at 10, 100 …. Easy to get wrong: the command's
//! words may hold what its operator wrote into them, so only its program is named, by the error.

use std::path::Path;

use tracing::{info, warn};

use super::is_round;
use crate::ids::IdentityName;
use crate::observe::Event;

pub(super) fn failed(event: &Event<'_>) {
    let Event::SinkFailed { identity, file, code, chain, remedy, consecutive, retry_in, lasts } = *event else {
        return;
    };
    if is_round(u64::from(consecutive)) {
        warn!(
            identity = identity.as_str(),
            file = %file.display(),
            code,
            remedy,
            consecutive,
            retry_in_s = retry_in.as_secs(),
            good_for_s = lasts.map(|left| left.as_secs()),
            "sink not written, its file stays as it is: {chain}"
        );
    }
}

/// After every write: a program that was not told goes on with the old token.
pub(super) fn reloaded(
    identity: &IdentityName,
    file: &Path,
    problem: Option<(&'static str, &str)>,
    remedy: Option<&str>,
) {
    let (identity, file) = (identity.as_str(), file.display());
    match problem {
        None => info!(identity, %file, outcome = "success", "command run after a write"),
        Some((code, chain)) => warn!(identity, %file, code, remedy, "the file is written all the same: {chain}"),
    }
}
