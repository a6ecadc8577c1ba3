//! `listen.doors`, seen with the identities: a door that somebody opened and that nobody can pass.
//!
//! Only for doors that the configuration names: the usual ones are open to whom they fit, and `imds` beside identities
//! that have keys alone is what most machines have.

use super::{Findings, Identity, Listen};
use crate::ids::Door;
use crate::policy::{CallerRule, Entry};

/// Warns of each. `socket`: callers can come over a Unix socket.
pub(super) fn admit_somebody(identities: &[Option<Identity>], listen: &Listen, socket: bool, findings: &mut Findings) {
    for door in listen.doors.iter() {
        let entries = identities.iter().flatten().map(|identity| &identity.entry);
        let why = if door == Door::TokenProxy && listen.https.is_none() {
            "its clients ask over https only, and `listen.https` is not set"
        } else if entries.clone().any(|entry| admits(entry, door, socket)) {
            continue;
        } else if door.carries_key() {
            "no identity has a caller rule that could match there"
        } else {
            "it carries no key, and no identity has `any_local_caller`, or a caller with uid or gid and a `listen.unix` \
             to come through"
        };
        findings.warn("listen.doors", &format!("opens `{door}`, which can admit nobody: {why}"));
    }
}

fn admits(entry: &Entry, door: Door, socket: bool) -> bool {
    let by_rule = |rule: &CallerRule| match rule {
        CallerRule::Key(_) => door.carries_key(),
        CallerRule::Uid(_) | CallerRule::Gid(_) => socket,
    };
    entry.any_local_caller || entry.callers.iter().any(by_rule)
}
