//! On-behalf-of answers that are held: found by what was asked, given until shortly before their end.
//!
//! Bounded, whoever asks: the least recently used goes when there are too many. Nothing of it outlives the configuration it
//! was asked under: a reload begins with an empty table, since a held answer costs one request to have again. Easy to get
//! wrong: one place per question without its `claims`. An answer for a client that can take challenges is not one for a
//! client that cannot, and what was refused with a challenge must be gone for both; so the newest takes the place, and is
//! given only to who asks with the same capability.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Mutex as Turn;

use super::times::Timed;
use super::{Form, LARGEST_HELD, MOST_HELD, Relayed};
use crate::authority::Endpoint;
use crate::broker::schedule;
use crate::clock::Now;
use crate::ids::IdentityName;

/// What was asked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(in crate::broker) struct Key {
    pub(super) identity: IdentityName,
    pub(super) endpoint: Endpoint,
    /// SHA-256 of the fields, the user's token among them.
    pub(super) form: [u8; 32],
}

/// The table, and who is asking for what.
#[derive(Default)]
pub(in crate::broker) struct Answers(Mutex<Table>);

#[derive(Default)]
struct Table {
    held: HashMap<Key, Held>,
    /// True inside: somebody has asked already.
    flights: HashMap<Key, Weak<Turn<bool>>>,
    uses: u64,
}

struct Held {
    answer: Timed,
    capable: bool,
    margin: Duration,
    /// The number of the last use.
    used: u64,
}

impl Held {
    fn is_good(&self, now: Now) -> bool {
        self.answer.remaining(now) > self.margin
    }
}

impl Answers {
    /// Whose turn it is to ask this.
    pub(super) fn flight(&self, key: &Key) -> Arc<Turn<bool>> {
        let mut table = self.table();
        if let Some(flight) = table.flights.get(key).and_then(Weak::upgrade) {
            return flight;
        }
        // Of those that ended only empty places are left.
        table.flights.retain(|_, flight| flight.strong_count() > 0);
        let flight = Arc::new(Turn::new(false));
        table.flights.insert(key.clone(), Arc::downgrade(&flight));
        flight
    }

    /// The answer to this question, if one is held that is good yet and will do.
    pub(super) fn find(&self, key: &Key, form: &Form, now: Now) -> Option<Relayed> {
        if form.claims.challenge.is_some() {
            return None;
        }
        let mut table = self.table();
        table.uses += 1;
        let used = table.uses;
        let held = table.held.get_mut(key).filter(|held| held.capable == form.claims.capable && held.is_good(now))?;
        held.used = used;
        Some(Relayed { status: 200, body: held.answer.written(now), aadsts: None, held: true })
    }

    /// Holds an answer, if it is one to hold; it takes the place of what was there.
    pub(super) fn keep(&self, key: Key, form: &Form, relayed: &Relayed, now: Now) {
        if relayed.status != 200 || relayed.body.len() > LARGEST_HELD {
            return;
        }
        let Some(answer) = Timed::read(&relayed.body, now) else { return };
        let margin = schedule::margin(answer.remaining(now));
        let mut table = self.table();
        table.uses += 1;
        let held = Held { answer, capable: form.claims.capable, margin, used: table.uses };
        if !held.is_good(now) {
            return;
        }
        if table.held.len() >= MOST_HELD && !table.held.contains_key(&key) {
            table.held.retain(|_, held| held.is_good(now));
            table.drop_oldest();
        }
        table.held.insert(key, held);
    }

    /// Wipes what nobody will be given any more.
    pub(in crate::broker) fn sweep(&self, now: Now) {
        self.table().held.retain(|_, held| held.is_good(now));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn drop_oldest(&mut self) {
        if self.held.len() < MOST_HELD {
            return;
        }
        let oldest = self.held.iter().min_by_key(|(_, held)| held.used).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.held.remove(&oldest);
        }
    }
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("held", &self.table().held.len()).finish()
    }
}
