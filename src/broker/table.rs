//! The slots of one identity, found by borrowed key without a lock.
//!
//! Only the map; when slots come and go is the roster's business. Easy to get wrong: changes copy the map, so whoever
//! changes it must be alone (the roster's lock sees to that).

#![deny(clippy::disallowed_types)]

use std::sync::Arc;

use arc_swap::ArcSwap;
use hashbrown::{Equivalent, HashMap};

use super::slot::Slot;
use crate::ids::Resource;

/// What tells the slots of one identity apart. `fmi_path` would stand here too; what a challenge demands does not, since its
/// token replaces the one that was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) resource: Resource,
    /// Holds tokens that a challenge can revoke, for clients that understand one. They live for a day, so that nobody
    /// else may have them (contract A10).
    pub(super) capable: bool,
}

/// The same, borrowed from a request. Hashes as [`Key`] does.
#[derive(Clone, Copy, Hash)]
pub(super) struct Wanted<'a> {
    pub(super) resource: &'a str,
    pub(super) capable: bool,
}

impl<'a> Wanted<'a> {
    /// What prefetch and sinks hold, and whoever declares no capability.
    pub(super) fn ordinary(resource: &'a Resource) -> Self {
        Self { resource: resource.as_str(), capable: false }
    }
}

impl<'a> From<&'a Key> for Wanted<'a> {
    fn from(key: &'a Key) -> Self {
        Self { resource: key.resource.as_str(), capable: key.capable }
    }
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.capable == key.capable && self.resource == key.resource.as_str()
    }
}

/// The map.
pub(super) struct Table(ArcSwap<HashMap<Key, Arc<Slot>>>);

impl Table {
    pub(super) fn of(slots: impl IntoIterator<Item = Arc<Slot>>) -> Self {
        Self(ArcSwap::from_pointee(slots.into_iter().map(keyed).collect()))
    }

    /// Calls `use_it` with the slot, without taking a count on it: the hot path.
    pub(super) fn with<T>(&self, wanted: Wanted<'_>, use_it: impl FnOnce(&Slot) -> Option<T>) -> Option<T> {
        self.0.load().get(&wanted).and_then(|slot| use_it(slot))
    }

    pub(super) fn find(&self, wanted: Wanted<'_>) -> Option<Arc<Slot>> {
        self.0.load().get(&wanted).map(Arc::clone)
    }

    pub(super) fn len(&self) -> usize {
        self.0.load().len()
    }

    /// Every slot, in no order.
    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.0.load().values().map(Arc::clone).collect()
    }

    /// Puts slots in, replacing those of the same key.
    pub(super) fn insert(&self, slots: impl IntoIterator<Item = Arc<Slot>>) {
        let mut map = HashMap::clone(&self.0.load());
        map.extend(slots.into_iter().map(keyed));
        self.0.store(Arc::new(map));
    }

    pub(super) fn remove(&self, slots: &[Arc<Slot>]) {
        let mut map = HashMap::clone(&self.0.load());
        for slot in slots {
            map.remove(&Wanted::from(slot.key()));
        }
        self.0.store(Arc::new(map));
    }
}

fn keyed(slot: Arc<Slot>) -> (Key, Arc<Slot>) {
    (slot.key().clone(), slot)
}
