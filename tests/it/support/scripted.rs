//! A front whose tokens come from nowhere, on streams in memory: for what must not depend on sockets or on Entra.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use unsecret::broker::{Broker, Fresh, Identity, Mint, MintError, Order};
use unsecret::clock::{Clock, ManualClock};
use unsecret::front::{Authorities, Front, Wiring};
use unsecret::guard::Guard;
use unsecret::ids::{Door, Guid, IdentityName, Tenant};
use unsecret::listen::{self, Limits};
use unsecret::metrics::{Build, Metrics};
use unsecret::observe::{Fanout, Observer};
use unsecret::passing::Passing;
use unsecret::policy::{Allowed, Entry, Peer, Policy};
use unsecret::secret::{Fingerprint, Secret};

use super::world::{CLIENT, TENANT};

/// As long as Entra's tokens usually are.
const TOKEN_LENGTH: usize = 1_600;

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

/// One identity for any local caller and any resource.
pub fn front() -> Arc<Front> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::standing(1_798_761_832));
    let observer: Arc<dyn Observer> = Arc::new(Fanout::default());
    let name = IdentityName::parse("billing").unwrap();
    let client_id = Guid::parse(CLIENT).unwrap();
    let identity = Identity {
        name: name.clone(),
        client_id: client_id.clone(),
        mint: Arc::new(Scripted),
        relay: None,
        prefetch: vec![],
        required: false,
        allowed: Allowed::Any,
        mark: Fingerprint::of(b""),
    };
    let entry = Entry {
        name,
        tenant: Tenant::parse(TENANT).unwrap(),
        tenant_aliases: vec![],
        client_id,
        cloud: unsecret::authority::Cloud::Public,
        object_id: None,
        resource_id: None,
        allowed: Allowed::Any,
        callers: vec![],
        any_local_caller: true,
        relay: unsecret::policy::Relayable::Nothing,
    };
    let metrics = Metrics::new(Build { version: "0", revision: "0", features: "" }, clock.clone());
    let broker = Arc::new(Broker::new(vec![identity], clock.clone(), &observer, Duration::from_secs(10)));
    let wiring = Wiring {
        authorities: Authorities::default(),
        guard: Guard::default(),
        doors: Door::ALL.into_iter().collect(),
        policy: Policy::new(vec![entry]),
        broker,
        passing: Passing::default(),
    };
    Arc::new(Front::new(wiring, clock, observer, metrics.answers()))
}

pub fn peer() -> Peer {
    Peer::Tcp(([127, 0, 0, 1], 50_000).into())
}

/// Serves one connection as the listeners do, until the other end is dropped.
pub async fn converse(front: Arc<Front>, stream: DuplexStream) {
    let (_stop, stopped) = watch::channel(false);
    let answer = move |peer, request| front.answer(peer, request);
    listen::converse(stream, peer(), Limits::default(), answer, stopped).await;
}
