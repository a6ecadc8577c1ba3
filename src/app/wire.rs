//! From configuration to connected parts: one mint per identity, the broker over them, the policy before it.
//!
//! Describes and opens; does not bind, spawn or ask Entra. Easy to get wrong: an identity whose way to Entra has not
//! changed keeps its mark, because the mark decides whether a reload keeps what is held.

use std::sync::Arc;

use crate::assertion::{
    AssertionError, AssertionSource, CertificateSource, Credential, FileSource, GithubSource, Leaf,
};
use crate::broker::{self, Broker};
use crate::clock::Clock;
use crate::config::{AssertionSettings, CertificateSettings, Config, Identity, KeySettings, OutboundSettings};
use crate::entra::Entra;
use crate::front::Wiring;
use crate::guard::Guard;
use crate::ids::{Guid, IdentityName};
use crate::mint::{Exchange, Timing};
use crate::observe::{Certificate, Event, Observer};
use crate::outbound::{Outbound, Settings};
use crate::policy::Policy;
use crate::secret::Fingerprint;
use crate::signer::{Algorithm, SignError};

/// What every part needs and no configuration changes.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
}

/// An identity as it was wired, so that the next configuration can be compared with it.
#[derive(Debug)]
pub(super) struct Wired {
    identity: Identity,
    mark: Fingerprint,
    certificates: Vec<Certificate>,
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
}

/// The identity that could not be opened, and why.
pub(super) type Unopened = (IdentityName, AssertionError);

/// Connects the parts. `before` is what the last configuration was wired to; empty at the start.
pub(super) async fn build(config: &Config, before: &[Wired], tools: &Tools) -> Result<Built, Unopened> {
    let mut identities = Vec::with_capacity(config.identities.len());
    let mut wired = Vec::with_capacity(config.identities.len());
    for identity in &config.identities {
        let mark = mark(identity, before);
        let opened = source(identity, tools).await.map_err(|error| (identity.entry.name.clone(), error));
        let (source, certificates) = opened?;
        identities.push(broker::Identity {
            name: identity.entry.name.clone(),
            client_id: identity.entry.client_id.clone(),
            mint: Arc::new(exchange(identity, source, tools)),
            prefetch: identity.prefetch.clone(),
            required: identity.required,
            allowed: identity.entry.allowed.clone(),
            mark,
        });
        wired.push(Wired { identity: identity.clone(), mark, certificates });
    }
    let broker = Broker::new(identities, tools.clock.clone(), &tools.observer, config.listen.wait);
    let policy = Policy::new(config.identities.iter().map(|identity| identity.entry.clone()).collect());
    let guard = Guard::new(config.listen.hosts.clone());
    Ok(Built { wiring: Wiring { guard, policy, broker: Arc::new(broker) }, wired })
}

/// The mark of the same identity before, if it still mints alike; otherwise one that nothing else has.
fn mark(identity: &Identity, before: &[Wired]) -> Fingerprint {
    let same = before.iter().find(|wired| wired.identity.mints_like(identity));
    same.map_or_else(|| Fingerprint::of(Guid::random().as_str().as_bytes()), |wired| wired.mark)
}

fn exchange(identity: &Identity, source: Arc<dyn AssertionSource>, tools: &Tools) -> Exchange {
    let entra = Entra::new(Arc::new(outbound(&identity.outbound)), tools.clock.clone());
    Exchange::new(
        identity.entry.name.clone(),
        identity.authority.clone(),
        identity.entry.client_id.clone(),
        source,
        entra,
        Timing::new(tools.clock.clone()),
        tools.observer.clone(),
    )
}

fn outbound(settings: &OutboundSettings) -> Outbound {
    Outbound::new(Settings {
        ca_file: settings.ca_file.clone(),
        proxy: settings.proxy.clone(),
        proxy_auth_file: settings.proxy_auth_file.clone(),
        ..Settings::default()
    })
}

/// The source, and the certificates it signs with, if it does.
type Source = (Arc<dyn AssertionSource>, Vec<Certificate>);

async fn source(identity: &Identity, tools: &Tools) -> Result<Source, AssertionError> {
    let clock = tools.clock.clone();
    Ok(match &identity.assertion {
        AssertionSettings::File { path, audience } => {
            (Arc::new(FileSource::new(path.clone(), audience.clone(), clock)), Vec::new())
        }
        AssertionSettings::Github { audience, request_url, request_token } => {
            // The runner's endpoint is reached as Entra is: the same proxy, the same private roots.
            let outbound = Arc::new(outbound(&identity.outbound));
            let token = request_token.0.clone();
            (Arc::new(GithubSource::new(outbound, request_url, token, audience.clone(), clock)), Vec::new())
        }
        AssertionSettings::Certificates { certificates, algorithm } => {
            let source = signing(identity, certificates.clone(), *algorithm, tools).await?;
            let told = source.leaves().map(told).collect();
            (Arc::new(source), told)
        }
    })
}

async fn signing(
    identity: &Identity,
    certificates: Vec<CertificateSettings>,
    algorithm: Algorithm,
    tools: &Tools,
) -> Result<CertificateSource, AssertionError> {
    // On a thread of its own: a PKCS#12 password costs a second on purpose, and a reload must not stop the doors.
    let opening =
        tokio::task::spawn_blocking(move || certificates.iter().map(credential).collect::<Result<Vec<_>, _>>());
    let stopped = |join| SignError::Backend { kind: "file", source: Box::new(join) };
    let opened = opening.await.map_err(|join| AssertionError::Sign { source: stopped(join) })??;
    for warning in opened.iter().filter_map(|credential| credential.warning.as_deref()) {
        tracing::warn!(identity = %identity.entry.name, "{warning}");
    }
    let client_id = identity.entry.client_id.clone();
    CertificateSource::open(client_id, algorithm, opened, tools.clock.clone()).await
}

fn told(leaf: &Leaf) -> Certificate {
    Certificate { thumbprint: leaf.thumbprint.hex(), not_before: leaf.not_before, not_after: leaf.not_after }
}

fn credential(settings: &CertificateSettings) -> Result<Credential, AssertionError> {
    let KeySettings::File { path, password_file } = &settings.key;
    Credential::from_files(&settings.certificate, path, password_file.as_deref())
}
