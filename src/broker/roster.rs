//! The slots of one identity: opened when first asked for, let go when unused, adopted on reload.
//!
//! Easy to get wrong: an allowed caller with `scopes = ["*"]` can ask for any number of resources, so the number of
//! slots is bounded; and counters must not go back when a slot is let go, so a reading and a folding exclude each other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counts::{self, Tally};
use super::crew::Crew;
use super::probe::Probe;
use super::slot::{Due, Slot};
use super::status::{self, IdentityStatus, SlotStatus};
use super::table::{Key, Table, Wanted};
use super::{Identity, MintError, Minted, Prefetched, Relay, mishap};
use crate::clock::Now;
use crate::ids::{IdentityName, Resource, same_resource};
use crate::observe::Event;
use crate::policy::{Allowed, Renew};
use crate::secret::Fingerprint;

/// More than any application needs, and a bound on what one can make us hold.
const MOST_SLOTS: usize = 1_024;

pub(super) struct Roster {
    crew: Arc<Crew>,
    required: bool,
    allowed: Allowed,
    prefetch: Vec<Resource>,
    mark: Fingerprint,
    table: Table,
    probe: Arc<Probe>,
    relay: Option<Arc<dyn Relay>>,
    /// What let-go slots had counted; its lock is also the right to change the table.
    totals: Mutex<[u64; Tally::ALL.len()]>,
}

impl Roster {
    pub(super) fn new(identity: Identity, crew: Arc<Crew>, now: Now) -> Self {
        let key = |resource: &Resource| Key { resource: resource.clone(), capable: false };
        let slots = identity.prefetch.iter().map(|resource| Arc::new(Slot::new(key(resource), true, now)));
        Self {
            crew,
            required: identity.required,
            allowed: identity.allowed,
            table: Table::of(slots),
            prefetch: identity.prefetch,
            mark: identity.mark,
            probe: Arc::default(),
            relay: identity.relay,
            totals: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &IdentityName {
        &self.crew.identity
    }

    /// `None` where nothing is passed on.
    pub(super) fn relay(&self) -> Option<&dyn Relay> {
        self.relay.as_deref()
    }

    /// The hot path.
    pub(super) fn held(&self, wanted: Wanted<'_>, now: Now) -> Option<Arc<Minted>> {
        self.table.with(wanted, |slot| slot.held(now))
    }

    pub(super) async fn token(&self, wanted: Wanted<'_>, renew: Option<&Renew>) -> Result<Arc<Minted>, MintError> {
        let slot = self.open(wanted)?;
        match renew {
            None => slot.token(&self.crew).await,
            Some(renew) => slot.anew(&self.crew, renew).await,
        }
    }

    /// What is held for a resource that the configuration wants held; `None` for any other.
    pub(super) fn prefetched(&self, resource: &Resource, now: Now) -> Option<Prefetched> {
        let slot = self.table.find(Wanted::ordinary(resource)).filter(|slot| slot.is_prefetch())?;
        let view = slot.view(now);
        let failure = view.cooling.map(|trouble| trouble.error.clone());
        Some(Prefetched { held: view.held.map(|held| Arc::clone(&held.minted)), failure })
    }

    /// The slot of what is wanted, made if need be.
    fn open(&self, wanted: Wanted<'_>) -> Result<Arc<Slot>, MintError> {
        if let Some(slot) = self.table.find(wanted) {
            return Ok(slot);
        }
        let now = self.crew.clock.now();
        let resource = Resource::parse(wanted.resource).map_err(mishap::malformed)?;
        let mut totals = self.changing();
        if let Some(slot) = self.table.find(wanted) {
            return Ok(slot);
        }
        if self.table.len() >= MOST_SLOTS {
            let place = self.table.slots().into_iter().find(|slot| slot.is_replaceable(now));
            let place = place.ok_or_else(|| mishap::crowded(self.name(), MOST_SLOTS))?;
            self.drop_slots(&mut totals, &[place]);
        }
        let slot = Arc::new(Slot::new(Key { resource, capable: wanted.capable }, false, now));
        self.table.insert([Arc::clone(&slot)]);
        drop(totals);
        // The keeper plans its refresh from now on.
        self.crew.poke.notify_one();
        Ok(slot)
    }

    fn drop_slots(&self, totals: &mut [u64; Tally::ALL.len()], slots: &[Arc<Slot>]) {
        self.table.remove(slots);
        for slot in slots {
            counts::fold(totals, slot.counts().read());
            self.tell_dropped(slot);
        }
    }

    fn tell_dropped(&self, slot: &Slot) {
        let Key { resource, capable } = slot.key();
        let (identity, capable) = (self.name(), *capable);
        self.crew.observer.on(&Event::SlotDropped { identity, resource: resource.as_str(), capable });
    }

    /// Does what is due and says how long nothing else will be. `None`: nothing until somebody asks.
    pub(super) fn tend(&self, now: Now) -> Option<Duration> {
        let mut next: Option<Duration> = None;
        let mut soonest = |wait: Duration| next = Some(next.map_or(wait, |known| known.min(wait)));
        let mut unused = Vec::new();
        for slot in self.table.slots() {
            match slot.due(now) {
                Due::Now => slot.refresh(&self.crew, now),
                Due::In(wait) => soonest(wait),
                Due::Nothing => {}
                Due::LetGo => unused.push(slot),
            }
        }
        if !unused.is_empty() {
            self.drop_slots(&mut self.changing(), &unused);
        }
        if self.needs_probe(now) {
            match self.probe.due(now) {
                Some(Duration::ZERO) => self.probe.start(&self.crew),
                Some(wait) => soonest(wait),
                None => {}
            }
        }
        next
    }

    fn needs_probe(&self, now: Now) -> bool {
        self.prefetch.is_empty() && !self.holds_any(now)
    }

    fn holds_any(&self, now: Now) -> bool {
        self.table.slots().iter().any(|slot| slot.view(now).held.is_some())
    }

    /// True when every prefetch is held, or, with none, when an assertion can be obtained.
    fn is_ready(&self, now: Now) -> bool {
        let held =
            |resource: &Resource| self.table.with(Wanted::ordinary(resource), |slot| slot.view(now).held).is_some();
        if self.prefetch.is_empty() {
            self.probe.is_good() || self.holds_any(now)
        } else {
            self.prefetch.iter().all(held)
        }
    }

    /// True when readiness does not wait for this identity, or need not any more.
    pub(super) fn lets_ready(&self, now: Now) -> bool {
        !self.required || self.is_ready(now)
    }

    /// Takes over the slots of the same, unchanged identity, as far as they are still allowed.
    pub(super) fn adopt(&self, old: &Self) {
        if self.mark != old.mark {
            return;
        }
        // Both locks: the old keeper may still be at it, and must not let a slot go between the look and the count.
        let (mut totals, old_totals) = (self.changing(), old.changing());
        let (kept, withdrawn): (Vec<_>, Vec<_>) =
            old.table.slots().into_iter().partition(|slot| self.is_listed(&slot.key().resource, true));
        for slot in &kept {
            let Key { resource, capable } = slot.key();
            slot.set_prefetch(!capable && self.prefetch.contains(resource));
        }
        self.table.insert(kept);
        counts::fold(&mut totals, *old_totals);
        for slot in withdrawn {
            counts::fold(&mut totals, slot.counts().read());
        }
        self.probe.adopt(&old.probe);
    }

    /// Tells which slots did not make it into `new`.
    pub(super) fn leave_to(&self, new: Option<&Self>) {
        for slot in self.table.slots() {
            if new.is_none_or(|new| new.table.find(slot.key().into()).is_none()) {
                self.tell_dropped(&slot);
            }
        }
    }

    /// True when the configuration names this resource; `any` is the answer where it allows any.
    fn is_listed(&self, resource: &Resource, any: bool) -> bool {
        let named = |listed: &Resource| same_resource(listed.as_str(), resource.as_str());
        self.prefetch.iter().any(named)
            || match &self.allowed {
                Allowed::Any => any,
                Allowed::Listed(listed) => listed.iter().any(named),
            }
    }

    pub(super) fn status(&self, now: Now) -> IdentityStatus {
        let mut answered = *self.changing();
        let mut slots = Vec::new();
        for slot in self.table.slots() {
            counts::fold(&mut answered, slot.counts().read());
            slots.push(SlotStatus::of(&slot, self.is_listed(&slot.key().resource, false), now));
        }
        slots.sort_by(|one, other| (&one.resource, one.capable).cmp(&(&other.resource, other.capable)));
        let probe = self.probe.last().filter(|_| self.needs_probe(now));
        IdentityStatus {
            name: self.name().clone(),
            required: self.required,
            ready: self.is_ready(now),
            answered,
            slots,
            probe_failure: probe.and_then(|probe| status::trouble_of_probe(&probe)),
        }
    }

    /// A counter is whole at any time, so a poisoned lock is no reason to stop.
    fn changing(&self) -> MutexGuard<'_, [u64; Tally::ALL.len()]> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
