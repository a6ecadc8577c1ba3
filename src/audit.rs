//! Writes what happened to the log: one structured line for each thing an operator wants to know once.
//!
//! A line per first use of a token by a caller and per kind of refusal, per new failure, per reload; repeats are counted
//! and told at 10, 100, 1,000 …. Not on the hot path: events are rare, and the front tells a first use only once. Easy to
//! get wrong: what is remembered is chosen by strangers (addresses, resources), so the memory is bounded.

mod certificates;
mod relays;
mod sinks;
mod sources;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{debug, info, warn};

use crate::fault;
use crate::observe::{Event, Observer};

/// Different uses and refusals that are told apart; when full, everything is forgotten and told anew.
const MOST_REMEMBERED: usize = 4_096;

/// The observer that writes lines.
#[derive(Debug, Default)]
pub struct Audit {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    uses: Counted<Use>,
    refusals: Counted<Refusal>,
    /// Ends of certificates: identity, thumbprint, days left when it was told.
    ends: Counted<(Box<str>, Box<str>, u64)>,
    /// Identity, grant, code, number.
    relay_failures: Counted<(Box<str>, &'static str, &'static str, Option<u32>)>,
    /// The failure that each slot is in.
    failures: HashMap<Place, Failure>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    identity: Box<str>,
    resource: Box<str>,
    capable: bool,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Use {
    place: Place,
    dialect: &'static str,
    peer: Box<str>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Refusal {
    dialect: &'static str,
    reason: &'static str,
    code: &'static str,
    peer: Box<str>,
    withheld: Option<Place>,
}

#[derive(Debug, PartialEq, Eq)]
struct Failure {
    code: &'static str,
    aadsts: Option<u32>,
}

/// How often each key has come.
#[derive(Debug)]
struct Counted<K>(HashMap<K, u64>);

impl<K> Default for Counted<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq> Counted<K> {
    /// The count, when it is one to tell: 1, 10, 100, 1,000 ….
    fn told(&mut self, key: K) -> Option<u64> {
        if self.0.len() >= MOST_REMEMBERED && !self.0.contains_key(&key) {
            self.0.clear();
        }
        let count = self.0.entry(key).or_default();
        *count += 1;
        is_round(*count).then_some(*count)
    }
}

fn is_round(count: u64) -> bool {
    10u64.checked_pow(count.ilog10()) == Some(count)
}

impl Place {
    fn new(identity: &str, resource: &str) -> Self {
        Self { identity: identity.into(), resource: resource.into(), capable: false }
    }

    /// Of the slot that stands beside the ordinary one for clients that understand challenges.
    fn of_slot(identity: &str, resource: &str, capable: bool) -> Self {
        Self { capable, ..Self::new(identity, resource) }
    }
}

impl Audit {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when this failure is not the one that the slot was in already.
    fn is_new_failure(&self, place: Place, failure: Failure) -> bool {
        let mut seen = self.seen();
        if seen.failures.len() >= MOST_REMEMBERED && !seen.failures.contains_key(&place) {
            seen.failures.clear();
        }
        let same = seen.failures.get(&place) == Some(&failure);
        seen.failures.insert(place, failure);
        !same
    }

    fn minted(&self, place: &Place, expires: u64, next_refresh: u64) {
        let recovered = self.seen().failures.remove(place).is_some();
        let Place { identity, resource, capable } = place;
        info!(identity, resource, capable, outcome = "success", expires, next_refresh, recovered, "token minted");
    }

    fn refused(&self, refusal: Refusal, correlation_id: &str) {
        let Refusal { dialect, reason, code, .. } = refusal;
        let (peer, withheld) = (refusal.peer.clone(), refusal.withheld.clone());
        if let Some(count) = self.seen().refusals.told(refusal) {
            let (identity, resource) = withheld.map(|Place { identity, resource, .. }| (identity, resource)).unzip();
            warn!(dialect, reason, code, identity, resource, peer, correlation_id, count, "request refused");
        }
    }

    fn first_use(&self, identity: &str, resource: &str, dialect: &'static str, peer: &str) {
        let place = Place::new(identity, resource);
        let count = self.seen().uses.told(Use { place, dialect, peer: peer.into() });
        if let Some(count) = count {
            info!(identity, resource, dialect, peer, count, "token handed out");
        }
    }
}

impl Observer for Audit {
    fn on(&self, event: &Event<'_>) {
        match *event {
            Event::Minted { identity, resource, capable, expires, next_refresh, .. } => {
                self.minted(&Place::of_slot(identity.as_str(), resource, capable), expires, next_refresh);
            }
            Event::Forced { identity, resource, capable, reason } => {
                info!(
                    identity = identity.as_str(),
                    resource, capable, reason, "held token will not do, asking for a new one"
                );
            }
            Event::MintFailed { .. } => self.failed(event),
            Event::Refused { dialect, reason, peer, code, correlation_id, withheld } => {
                let withheld = withheld.map(|(identity, resource)| Place::new(identity.as_str(), resource));
                self.refused(Refusal { dialect, reason, code, peer: peer.into(), withheld }, correlation_id);
            }
            Event::FirstUse { identity, resource, dialect, peer } => {
                self.first_use(identity.as_str(), resource, dialect, peer);
            }
            Event::Relayed { .. } | Event::RelayFailed { .. } => self.relayed(event),
            Event::SlotDropped { identity, resource, capable } => {
                self.seen().failures.remove(&Place::of_slot(identity.as_str(), resource, capable));
                debug!(identity = identity.as_str(), resource, capable, "slot let go");
            }
            Event::CertificateEnding { identity, thumbprint, warned_at, .. } => {
                let end = (identity.as_str().into(), thumbprint.into(), warned_at);
                if self.seen().ends.told(end) == Some(1) {
                    certificates::ending(event);
                }
            }
            // The keeper of that certificate says itself where it comes from.
            // A request passed through is counted, and logged where it is done: whose page it was is nobody's business.
            Event::HttpsCertificate { .. } | Event::PassedThrough { .. } => {}
            Event::Certificates { .. }
            | Event::Signed { .. }
            | Event::KeyProven { .. }
            | Event::KeyFailed { .. }
            | Event::CertificatePassedOver { .. }
            | Event::CertificateAccepted { .. }
            | Event::CertificateKept { .. } => certificates::tell(event),
            Event::SinkWritten { identity, file, expires, .. } => {
                info!(identity = identity.as_str(), file = %file.display(), expires, "sink written");
            }
            Event::SinkFailed { .. } => sinks::failed(event),
            Event::SourceEnding { .. } => sources::ending(event),
            Event::SinkReloaded { identity, file, code, chain, remedy } => {
                sinks::reloaded(identity, file, code.zip(chain), remedy);
            }
            Event::SinkWithdrawn { identity, file } => {
                info!(identity = identity.as_str(), file = %file.display(), "sink withdrawn");
            }
            Event::Reloaded { ok: true, .. } => info!("configuration reloaded"),
            Event::Reloaded { ok: false, .. } => warn!("reload failed; the configuration in use stays"),
            Event::Exchanged { identity, authority, outcome, aadsts, took, .. } => debug!(
                identity = identity.as_str(),
                authority,
                outcome = outcome.as_str(),
                aadsts,
                duration_ms = milliseconds(took),
                "exchange ended"
            ),
            Event::Asserted { identity, source, outcome, took, .. } => debug!(
                identity = identity.as_str(),
                source,
                outcome,
                duration_ms = milliseconds(took),
                "assertion source asked"
            ),
        }
    }
}

impl Audit {
    /// One line with code, the whole chain, Entra's ids, and how long the held token still lasts; a repeat of the same
    /// failure is counted by its `consecutive` and told at 10, 100 ….
    fn failed(&self, event: &Event<'_>) {
        let Event::MintFailed {
            identity,
            resource,
            capable,
            code,
            chain,
            remedy,
            aadsts,
            correlation_id,
            trace_id,
            consecutive,
            retry_in,
            held,
        } = *event
        else {
            return;
        };
        let identity = identity.as_str();
        let new = self.is_new_failure(Place::of_slot(identity, resource, capable), Failure { code, aadsts });
        if !new && !is_round(u64::from(consecutive.max(1))) {
            return;
        }
        warn!(
            identity,
            resource,
            capable,
            outcome = "failure",
            code,
            aadsts,
            meaning = aadsts.and_then(fault::known).map(|known| known.meaning),
            entra_correlation_id = correlation_id,
            entra_trace_id = trace_id,
            consecutive,
            retry_in_s = retry_in.as_secs(),
            held_for_s = held.map(|held| held.as_secs()),
            remedy,
            "no new token: {chain}"
        );
    }
}

fn milliseconds(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::ids::IdentityName;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(super) fn written(events: impl FnOnce(&Audit)) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || events(&Audit::new()));
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn fail(audit: &Audit, identity: &IdentityName, code: &'static str, consecutive: u32) {
        audit.on(&Event::MintFailed {
            identity,
            resource: "https://vault.azure.net",
            capable: false,
            code,
            chain: "post to Entra: connection refused",
            remedy: Some("check the proxy"),
            aadsts: None,
            correlation_id: Some("11111111-aaaa-4bbb-8ccc-222222222222"),
            trace_id: None,
            consecutive,
            retry_in: Duration::from_secs(7),
            held: Some(Duration::from_secs(90)),
        });
    }

    fn refused(peer: &str) -> Event<'_> {
        let (reason, code) = ("missing_header", "metadata-header-missing");
        let correlation_id = "11111111-aaaa-4bbb-8ccc-222222222222";
        Event::Refused { dialect: "imds", reason, peer, code, correlation_id, withheld: None }
    }

    #[test]
    fn what_was_withheld_is_named_and_told_once_for_each_resource() {
        let billing = IdentityName::parse("billing").unwrap();
        let lines = written(|audit| {
            for asked in ["https://vault.azure.net", "https://vault.azure.net", "https://graph.microsoft.com"] {
                let Event::Refused { dialect, reason, peer, code, correlation_id, .. } = refused("127.0.0.1") else {
                    unreachable!()
                };
                let withheld = Some((&billing, asked));
                audit.on(&Event::Refused { dialect, reason, peer, code, correlation_id, withheld });
            }
        });
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].contains(r#"identity="billing" resource="https://vault.azure.net""#), "{}", lines[0]);
    }

    #[test]
    fn a_repeat_of_the_same_failure_is_counted_and_another_one_is_told() {
        let billing = IdentityName::parse("billing").unwrap();
        let lines = written(|audit| {
            (1..=9).for_each(|consecutive| fail(audit, &billing, "entra-unreachable", consecutive));
            fail(audit, &billing, "proxy-authentication", 10);
            fail(audit, &billing, "proxy-authentication", 11);
        });
        assert_eq!(lines.len(), 2, "{lines:#?}");
        let first = &lines[0];
        for part in ["entra-unreachable", "connection refused", "check the proxy", "held_for_s=90", "retry_in_s=7"] {
            assert!(first.contains(part), "{part} is missing in {first}");
        }
    }

    #[test]
    fn a_failure_after_a_success_is_told_again() {
        let billing = IdentityName::parse("billing").unwrap();
        let lines = written(|audit| {
            fail(audit, &billing, "entra-unreachable", 1);
            let resource = "https://vault.azure.net";
            let (identity, capable, received) = (&billing, false, 1);
            audit.on(&Event::Minted { identity, resource, capable, received, expires: 3_601, next_refresh: 2_000 });
            fail(audit, &billing, "entra-unreachable", 1);
        });
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[1].contains("recovered=true"), "{}", lines[1]);
    }

    #[test]
    fn refusals_are_told_at_the_first_the_tenth_and_the_hundredth() {
        let lines = written(|audit| {
            for _ in 0..150 {
                audit.on(&refused("127.0.0.1"));
            }
        });
        assert_eq!(lines.len(), 3, "{lines:#?}");
    }

    #[test]
    fn memory_stays_bounded_whatever_strangers_send() {
        let audit = Audit::new();
        for port in 0..MOST_REMEMBERED * 2 {
            audit.on(&refused(&port.to_string()));
        }
        assert!(audit.seen().refusals.0.len() <= MOST_REMEMBERED);
    }
}
