//! A front with scripted mints, two clocks that stand still, and a list of what was told.

#![expect(clippy::disallowed_types, reason = "a test's list is not on the hot path")]

use std::sync::Mutex;

use futures_core::future::BoxFuture;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::broker::{Fresh, Identity, Mint, Order};
use crate::clock::ManualClock;
use crate::fault::Class;
use crate::front::*;
use crate::ids::{Door, Guid, IdentityName, Resource, Tenant};
use crate::metrics::{Build, Metrics};
use crate::passing::Passing;
use crate::policy::{Allowed, CallerRule, Entry};
use crate::secret::{Fingerprint, Secret};

const EPOCH: u64 = 1_798_761_832;
pub(super) const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
pub(super) const GRAPH: &str = "https://graph.microsoft.com";
pub(super) const KEY_ONE: &str = "key-one-key-one-key-one-key-one-1";
pub(super) const KEY_TWO: &str = "key-two-key-two-key-two-key-two-2";

/// Mints tokens that say for whom they are, or fails as told; waits at a gate if there is one.
#[derive(Debug)]
pub(super) struct Scripted {
    pub(super) name: &'static str,
    pub(super) fails: Option<Class>,
    pub(super) gate: Option<Arc<Semaphore>>,
}

impl Mint for Scripted {
    fn mint(&self, order: Order) -> BoxFuture<'static, Result<Fresh, MintError>> {
        let (name, fails, gate, resource) = (self.name, self.fails, self.gate.clone(), order.resource);
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.acquire().await.unwrap().forget();
            }
            match fails {
                Some(class) => Err(scripted_failure(class)),
                None => Ok(Fresh {
                    access_token: Secret::new(format!("{name}.{resource}.sig")),
                    expires_in: Duration::from_secs(3_600),
                    ext_expires_in: None,
                    refresh_in: None,
                }),
            }
        })
    }

    fn probe(&self) -> BoxFuture<'static, Result<(), MintError>> {
        Box::pin(async { Ok(()) })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("scripted")]
struct Trouble;

impl Problem for Trouble {
    fn code(&self) -> &'static str {
        "scripted"
    }
    fn blame(&self) -> Blame {
        Blame::Entra
    }
}

fn scripted_failure(class: Class) -> MintError {
    MintError {
        problem: Arc::new(Trouble),
        class,
        local: false,
        error: None,
        numbers: Arc::new([]),
        correlation_id: None,
        trace_id: None,
        retry_after: None,
        retry_in: None,
    }
}

/// What was told to observers, one line each.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn on(&self, event: &Event<'_>) {
        let line = match event {
            Event::Refused { dialect, reason, peer, code, .. } => format!("refused {dialect} {reason} {peer} {code}"),
            Event::FirstUse { identity, dialect, peer, .. } => format!("first {identity} {dialect} {peer}"),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

pub(super) struct Stage {
    pub(super) front: Arc<Front>,
    pub(super) heard: Arc<Heard>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) metrics: Metrics,
}

pub(super) fn entry(name: &str, id: char, callers: Vec<CallerRule>, any: bool) -> Entry {
    Entry {
        name: IdentityName::parse(name).unwrap(),
        tenant: Tenant::parse(TENANT).unwrap(),
        tenant_aliases: vec![Tenant::parse("contoso.example").unwrap()],
        client_id: client_id(id),
        cloud: crate::authority::Cloud::Public,
        object_id: None,
        resource_id: None,
        allowed: Allowed::Listed(vec![Resource::parse(GRAPH).unwrap()]),
        callers,
        any_local_caller: any,
        relay: crate::policy::Relayable::Nothing,
    }
}

pub(super) fn client_id(id: char) -> Guid {
    Guid::parse(&format!("{}-dddd-4eee-8fff-444444444444", id.to_string().repeat(8))).unwrap()
}

pub(super) fn key(text: &str) -> CallerRule {
    CallerRule::Key(Fingerprint::of(text.as_bytes()))
}

pub(super) fn wiring(mints: Vec<(Entry, Scripted)>, clock: &Arc<ManualClock>, heard: &Arc<Heard>) -> Wiring {
    let (entries, mints): (Vec<_>, Vec<_>) = mints.into_iter().unzip();
    let identities = entries.iter().zip(mints).map(|(entry, mint)| Identity {
        name: entry.name.clone(),
        client_id: entry.client_id.clone(),
        mint: Arc::new(mint),
        relay: None,
        prefetch: vec![],
        required: false,
        allowed: entry.allowed.clone(),
        mark: Fingerprint::of(b""),
    });
    let observer: Arc<dyn Observer> = Arc::clone(heard) as _;
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    let broker = Arc::new(Broker::new(identities.collect(), clock, &observer, Duration::from_secs(10)));
    let authorities = Authorities::default();
    Wiring {
        authorities,
        guard: Guard::new(vec![]),
        doors: Door::ALL.into_iter().collect(),
        policy: Policy::new(entries),
        broker,
        passing: Passing::default(),
    }
}

pub(super) fn stage(mints: Vec<(Entry, Scripted)>) -> Stage {
    let clock = Arc::new(ManualClock::standing(EPOCH));
    let heard = Arc::new(Heard::default());
    let build = Build { version: "0", revision: "0", features: "" };
    let metrics = Metrics::new(build, Arc::clone(&clock) as _);
    let wiring = wiring(mints, &clock, &heard);
    let front = Front::new(wiring, Arc::clone(&clock) as _, Arc::clone(&heard) as _, metrics.answers());
    Stage { front: Arc::new(front), heard, clock, metrics }
}

pub(super) const GOOD: Scripted = Scripted { name: "one", fails: None, gate: None };

pub(super) fn open() -> Stage {
    stage(vec![(entry("open", '3', vec![], true), GOOD)])
}

pub(super) fn two_keys() -> Stage {
    let two = Scripted { name: "two", ..GOOD };
    stage(vec![
        (entry("one", '1', vec![key(KEY_ONE)], false), GOOD),
        (entry("two", '2', vec![key(KEY_TWO)], false), two),
    ])
}

pub(super) fn tcp() -> Peer {
    Peer::Tcp(([127, 0, 0, 1], 50_000).into())
}

/// A request in HTTP/1.1's own words, so that a table of them reads as what it is.
pub(super) fn request(text: &str) -> Request<Full<Bytes>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines().map(str::trim);
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in lines.map(|line| line.split_once(": ").unwrap()) {
        request = request.header(name, value);
    }
    if !head.contains("host: ") {
        request = request.header("host", "localhost");
    }
    request.body(Full::from(body.to_owned())).unwrap()
}

pub(super) fn imds() -> String {
    format!("GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource={GRAPH}\nmetadata: true")
}

pub(super) fn app_service(key: &str) -> String {
    format!("GET /msi/token?api-version=2019-08-01&resource={GRAPH}\nx-identity-header: {key}")
}

pub(super) fn app_service_2017(key: &str) -> String {
    format!("GET /msi/token/?resource={GRAPH}&api-version=2017-09-01&clientid=undefined\nsecret: {key}\nmetadata: true")
}

pub(super) fn cloud_shell() -> String {
    format!("POST /oauth2/token\nmetadata: true\ncontent-type: application/x-www-form-urlencoded\n\nresource={GRAPH}")
}

pub(super) fn keyed_cloud_shell(key: &str) -> String {
    cloud_shell().replacen("/oauth2", &format!("/cloud-shell/{key}/oauth2"), 1)
}

pub(super) fn plain(key: &str) -> String {
    format!("GET /token?scope={GRAPH}/.default\nx-identity-header: {key}")
}

pub(super) fn oauth(id: &Guid, key: &str) -> String {
    format!(
        "POST /{TENANT}/oauth2/v2.0/token\ncontent-type: application/x-www-form-urlencoded\n\n\
         grant_type=client_credentials&client_id={id}&client_secret={key}&scope={GRAPH}/.default"
    )
}

impl Stage {
    pub(super) async fn ask(&self, peer: Peer, text: &str) -> (u16, HeaderMap, Value) {
        let response = self.front.answer(peer, request(text)).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, serde_json::from_slice(&body).unwrap())
    }

    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.0.lock().unwrap().clone()
    }
}
