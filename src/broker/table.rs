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

/// What tells the slots of one identity apart. Client capabilities and `fmi_path` will stand here too.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    resource: Resource,
}

/// The same, borrowed from a request. Hashes as [`Key`] does.
#[derive(Hash)]
struct Wanted<'a> {
    resource: &'a str,
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.resource == key.resource.as_str()
    }
}

/// The map.
pub(super) struct Table(ArcSwap<HashMap<Key, Arc<Slot>>>);

impl Table {
    pub(super) fn of(slots: impl IntoIterator<Item = Arc<Slot>>) -> Self {
        Self(ArcSwap::from_pointee(slots.into_iter().map(keyed).collect()))
    }

    /// Calls `use_it` with the slot, without taking a count on it: the hot path.
    pub(super) fn with<T>(&self, resource: &str, use_it: impl FnOnce(&Slot) -> Option<T>) -> Option<T> {
        self.0.load().get(&Wanted { resource }).and_then(|slot| use_it(slot))
    }

    pub(super) fn find(&self, resource: &str) -> Option<Arc<Slot>> {
        self.0.load().get(&Wanted { resource }).map(Arc::clone)
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
            map.remove(&Wanted { resource: slot.resource().as_str() });
        }
        self.0.store(Arc::new(map));
    }
}

fn keyed(slot: Arc<Slot>) -> (Key, Arc<Slot>) {
    (Key { resource: slot.resource().clone() }, slot)
}
