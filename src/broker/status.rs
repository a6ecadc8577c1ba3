//! What the broker shows to who only looks: the admin pages and the metrics.
//!
//! A snapshot without tokens; times are seconds since 1970. Easy to get wrong: what a caller asked for may become a label
//! only if the configuration names it, hence `listed`.

use super::MintError;
use super::counts::Tally;
use super::probe::Probed;
use super::slot::Slot;
use super::table::Key;
use crate::clock::Now;
use crate::ids::{IdentityName, Resource};
use crate::problem::{self, Trouble};

/// Every identity, in the order of the configuration.
#[derive(Debug)]
pub struct Status {
    /// When this was read.
    pub at: u64,
    /// Every required identity is ready.
    pub ready: bool,
    pub identities: Vec<IdentityStatus>,
}

#[derive(Debug)]
pub struct IdentityStatus {
    pub name: IdentityName,
    pub required: bool,
    /// Every prefetch is held, or, with none, an assertion can be obtained.
    pub ready: bool,
    /// How many asks were answered how, in the order of [`Tally::ALL`]; never goes back.
    pub answered: [u64; Tally::ALL.len()],
    /// In the order of their resources.
    pub slots: Vec<SlotStatus>,
    /// Why no assertion can be obtained, for an identity that holds nothing and prefetches nothing.
    pub probe_failure: Option<Trouble>,
}

#[derive(Debug)]
pub struct SlotStatus {
    pub resource: Resource,
    /// For clients that understand a claims challenge; such a slot stands beside the ordinary one of its resource.
    pub capable: bool,
    /// The configuration names the resource, so it may be a metric label.
    pub listed: bool,
    pub prefetch: bool,
    pub held: Option<HeldStatus>,
    /// The last failure, if no token has come since.
    pub trouble: Option<Trouble>,
    /// When the keeper will refresh, or a caller may cause the next try.
    pub next_try: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldStatus {
    pub received: u64,
    pub expires: u64,
}

impl SlotStatus {
    pub(super) fn of(slot: &Slot, listed: bool, now: Now) -> Self {
        let view = slot.view(now);
        let held = view
            .held
            .as_ref()
            .map(|held| HeldStatus { received: held.minted.received.epoch(), expires: held.minted.expires.epoch() });
        let trouble = view.cooling.as_ref().map(|cooling| trouble(&cooling.error, cooling.consecutive));
        let (Key { resource, capable }, prefetch) = (slot.key().clone(), slot.is_prefetch());
        Self { resource, capable, listed, prefetch, held, trouble, next_try: view.next_try() }
    }
}

pub(super) fn trouble_of_probe(probed: &Probed) -> Option<Trouble> {
    probed.failure.as_ref().map(|error| trouble(error, probed.consecutive))
}

fn trouble(error: &MintError, consecutive: u32) -> Trouble {
    Trouble { chain: problem::chain(error), ..Trouble::of(&*error.problem, consecutive) }
}
