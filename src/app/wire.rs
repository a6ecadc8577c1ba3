//! From configuration to connected parts: one mint per identity, the broker over them, the policy before it.
//!
//! Describes; does not bind, spawn or ask Entra ([`Parts`] are what one identity is made of). Easy to get wrong: an
//! identity whose way to Entra has not changed keeps its mark, because the mark decides whether a reload keeps what is held.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::parts::{self, Opened, Parts};
use super::sinks;
use super::upkeep::Mortal;
use crate::assertion::{AssertionError, CertificateSource};
use crate::broker::{self, Broker};
use crate::clock::Clock;
use crate::config::{Config, Discovery, Identity, Takeover};
use crate::front::{Authorities, Naming, Published, Wiring};
use crate::guard::Guard;
use crate::https::Served;
use crate::ids::{Guid, IdentityName};
use crate::mint::{Exchange, TenantKeys, Timing};
use crate::observe::{Certificate, Event, Observer};
use crate::passing::{Host, Passing};
use crate::policy::{Policy, Relayable};
use crate::secret::Fingerprint;
use crate::signer::Signers;
use crate::sink::Sink;

/// How long doors wait for hardware: long enough for a key that is there, short enough for one that is not.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// What every part needs and no configuration changes.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) signers: Arc<Signers>,
    /// How long hardware is waited for.
    pub(super) patience: Duration,
}

/// An identity as it was wired, so that the next configuration can be compared with it.
#[derive(Debug)]
pub(super) struct Wired {
    identity: Identity,
    mark: Fingerprint,
    certificates: Vec<Certificate>,
    keys: TenantKeys,
}

/// Tells which certificates are in use from now on; not while building, since a reload may still fail.
pub(super) fn tell(wired: &[Wired], observer: &dyn Observer) {
    for Wired { identity, certificates, .. } in wired {
        observer.on(&Event::Certificates { identity: &identity.entry.name, in_use: certificates });
    }
}

/// Everything that one configuration amounts to.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) wiring: Wiring,
    pub(super) wired: Vec<Wired>,
    /// Described, not started.
    pub(super) sinks: Vec<Sink>,
    /// What has to be looked after.
    pub(super) signing: Vec<Arc<CertificateSource>>,
    /// What dies by itself some day.
    pub(super) mortal: Vec<Mortal>,
}

/// The identity that could not be opened, and why.
pub(super) type Unopened = (IdentityName, AssertionError);

/// Connects the parts. `before` is what the last configuration was wired to, empty at the start; `over_tls` what the https
/// listener shows.
pub(super) async fn build(
    config: &Config,
    before: &[Wired],
    over_tls: Option<Arc<Served>>,
    tools: &Tools,
) -> Result<Built, Unopened> {
    let mut identities = Vec::with_capacity(config.identities.len());
    let mut wired = Vec::with_capacity(config.identities.len());
    let mut sources = Vec::with_capacity(config.identities.len());
    let mut mortal = Vec::new();
    let (opened, signing) = open(config, tools).await?;
    for (identity, (parts, opened)) in config.identities.iter().zip(opened) {
        let keys = keys(identity, &parts, before, tools);
        let mark = mark(identity, before);
        let certificates = opened.leaves().iter().map(Certificate::from).collect();
        mortal.extend(Mortal::of(&identity.entry.name, &opened.source));
        sources.push(Arc::clone(&opened.source));
        let exchange = Arc::new(exchange(identity, parts, opened, tools));
        let relays = identity.entry.relay != Relayable::Nothing;
        identities.push(broker::Identity {
            name: identity.entry.name.clone(),
            client_id: identity.entry.client_id.clone(),
            mint: exchange.clone(),
            relay: relays.then_some(exchange as _),
            prefetch: sinks::prefetch(identity),
            required: identity.required,
            allowed: identity.entry.allowed.clone(),
            mark,
        });
        wired.push(Wired { identity: identity.clone(), mark, certificates, keys });
    }
    let broker = Arc::new(Broker::new(identities, tools.clock.clone(), &tools.observer, config.listen.wait));
    let sinks = wired.iter().zip(&sources);
    let sinks =
        sinks.flat_map(|(wired, source)| sinks::connected(&wired.identity, wired.mark, source, &broker)).collect();
    let policy = Policy::new(config.identities.iter().map(|identity| identity.entry.clone()).collect());
    let authorities = Authorities::new(wired.iter().map(published).collect());
    let guard = Guard::new(config.listen.hosts.clone()).over_tls(over_tls, config.listen.takeover.hosts.clone());
    let passing = passing(config);
    Ok(Built {
        wiring: Wiring { authorities, guard, doors: config.listen.doors, policy, broker, passing },
        wired,
        sinks,
        signing,
        mortal,
    })
}

/// The parts of every identity, and which of them sign. No key that is there is another certificate's.
async fn open(config: &Config, tools: &Tools) -> Result<(Vec<(Parts, Opened)>, Vec<Arc<CertificateSource>>), Unopened> {
    let (mut all, mut signing) = (Vec::new(), Vec::new());
    for identity in &config.identities {
        let parts = Parts::of(identity, &tools.clock, &tools.signers);
        let opened = parts.open(identity, &tools.observer).await;
        let opened = opened.map_err(|error| (identity.entry.name.clone(), error))?;
        for warning in opened.warnings() {
            tracing::warn!(identity = %identity.entry.name, "{warning}");
        }
        signing.extend(opened.signing.clone());
        all.push((parts, opened));
    }
    // Together, so that ten keys in a token that is away cost the patience of one.
    let mut proofs = JoinSet::new();
    for source in &signing {
        let (source, patience) = (Arc::clone(source), tools.patience);
        proofs.spawn(async move { source.prove(patience).await.map_err(|error| (source.identity().clone(), error)) });
    }
    while let Some(proven) = proofs.join_next().await {
        // A proof that crashed has proven nothing, and is asked for again at the first use.
        proven.unwrap_or(Ok(()))?;
    }
    Ok((all, signing))
}

/// The ways to the real hosts: each as the first identity at that host goes, or the first of all.
fn passing(config: &Config) -> Passing {
    let Takeover { hosts, .. } = &config.listen.takeover;
    let way = |host: &String| {
        let at_home = config.identities.iter().find(|identity| identity.authority.is_known_as(host));
        let settings = at_home.or(config.identities.first()).map(|identity| parts::way(&identity.outbound));
        Host::new(host.clone(), settings.unwrap_or_default())
    };
    Passing::new(hosts.iter().map(way).collect())
}

/// The mark of the same identity before, if it still mints alike; otherwise one that nothing else has.
fn mark(identity: &Identity, before: &[Wired]) -> Fingerprint {
    same(identity, before).map_or_else(|| Fingerprint::of(Guid::random().as_str().as_bytes()), |wired| wired.mark)
}

/// The keys that were held of the same tenant, had in the same way; otherwise none yet.
fn keys(identity: &Identity, parts: &Parts, before: &[Wired], tools: &Tools) -> TenantKeys {
    let none_yet = || TenantKeys::new(parts.entra.clone(), identity.authority.clone(), tools.clock.clone());
    same(identity, before).map_or_else(none_yet, |wired| wired.keys.clone())
}

fn same<'a>(identity: &Identity, before: &'a [Wired]) -> Option<&'a Wired> {
    before.iter().find(|wired| wired.identity.mints_like(identity))
}

fn published(wired: &Wired) -> Published {
    let Identity { entry, authority, discovery, .. } = &wired.identity;
    Published {
        tenants: std::iter::once(&entry.tenant).chain(&entry.tenant_aliases).cloned().collect(),
        authority: authority.clone(),
        naming: match discovery {
            Discovery::Local => Naming::Local,
            Discovery::Entra => Naming::Entra,
        },
        keys: wired.keys.clone(),
    }
}

fn exchange(identity: &Identity, parts: Parts, opened: Opened, tools: &Tools) -> Exchange {
    Exchange::new(
        identity.entry.name.clone(),
        identity.authority.clone(),
        identity.entry.client_id.clone(),
        opened.source,
        parts.entra,
        Timing::new(tools.clock.clone()),
        tools.observer.clone(),
    )
}
