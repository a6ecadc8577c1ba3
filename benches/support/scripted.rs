//! The broker's parts joined as `app` joins them, with tokens that come from nowhere: for what needs no sockets.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use unsecret::broker::{Broker, Fresh, Identity, Mint, MintError, Order};
use unsecret::clock::Clock;
use unsecret::front::{Authorities, Front, Wiring};
use unsecret::guard::Guard;
use unsecret::ids::{Door, Guid, IdentityName, NotA, Resource, Tenant};
use unsecret::metrics::{Build, Metrics};
use unsecret::observe::{Fanout, Observer};
use unsecret::passing::Passing;
use unsecret::policy::{Allowed, CallerRule, Entry, Peer, Policy};
use unsecret::secret::{Fingerprint, Secret};

pub(crate) const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
/// A local key, made up.
pub(crate) const KEY: &str = "uns_bench_key_that_is_worth_nothing_at_all_0123456789";
/// As long as Entra's tokens usually are.
const TOKEN_LENGTH: usize = 1_800;

#[derive(Debug)]
struct Scripted;

impl Mint for Scripted {
    fn mint(&self, _: Order) -> BoxFuture<'static, Result<Fresh, MintError>> {
        Box::pin(async {
            Ok(Fresh {
                access_token: Secret::new("t".repeat(TOKEN_LENGTH)),
                expires_in: Duration::from_secs(3_600),
                ext_expires_in: None,
                refresh_in: None,
            })
        })
    }

    fn probe(&self) -> BoxFuture<'static, Result<(), MintError>> {
        Box::pin(async { Ok(()) })
    }
}

/// The client id of the identity with this number.
pub(crate) fn client_id(number: usize) -> String {
    format!("33333333-dddd-4eee-8fff-{number:012}")
}

/// The resource of the slot with this number.
pub(crate) fn resource(number: usize) -> String {
    format!("https://resource-{number:05}.example")
}

/// The parts that a bench may want to look at, and what answers through them.
pub(crate) struct Parts {
    pub(crate) front: Arc<Front>,
    pub(crate) broker: Arc<Broker>,
}

/// So many identities, for any resource, each with so many slots from the start, which the keeper fills. The first also
/// has a local key; any local caller may use each.
pub(crate) fn parts(identities: usize, slots: usize, clock: &Arc<dyn Clock>) -> Result<Parts, NotA> {
    let observer: Arc<dyn Observer> = Arc::new(Fanout::default());
    let (mut wired, mut entries) = (Vec::new(), Vec::new());
    for number in 0..identities {
        let name = IdentityName::parse(&format!("bench-{number}"))?;
        let client_id = Guid::parse(&client_id(number))?;
        wired.push(Identity {
            name: name.clone(),
            client_id: client_id.clone(),
            mint: Arc::new(Scripted),
            relay: None,
            prefetch: (0..slots).map(|slot| Resource::parse(&resource(slot))).collect::<Result<_, _>>()?,
            required: false,
            allowed: Allowed::Any,
            mark: Fingerprint::of(name.as_str().as_bytes()),
        });
        entries.push(Entry {
            name,
            tenant: Tenant::parse(TENANT)?,
            tenant_aliases: Vec::new(),
            client_id,
            cloud: unsecret::authority::Cloud::Public,
            object_id: None,
            resource_id: None,
            allowed: Allowed::Any,
            callers: if number == 0 { vec![CallerRule::Key(Fingerprint::of(KEY.as_bytes()))] } else { Vec::new() },
            any_local_caller: true,
            relay: unsecret::policy::Relayable::Nothing,
        });
    }
    let metrics = Metrics::new(Build { version: "0", revision: "0", features: "" }, clock.clone());
    let broker = Arc::new(Broker::new(wired, clock.clone(), &observer, Duration::from_secs(10)));
    let wiring = Wiring {
        authorities: Authorities::default(),
        guard: Guard::default(),
        doors: Door::ALL.into_iter().collect(),
        policy: Policy::new(entries),
        broker: broker.clone(),
        passing: Passing::default(),
    };
    let front = Front::new(wiring, clock.clone(), observer, metrics.answers());
    Ok(Parts { front: Arc::new(front), broker })
}

/// Somebody on this machine.
pub(crate) fn peer() -> Peer {
    Peer::Tcp(([127, 0, 0, 1], 50_000).into())
}
