//! The broker with a scripted mint and paused time: a desk to ask at, and what the mint and the observer saw.

mod cooling;
mod forced;
mod keeping;
mod outage;
mod reload;
mod single_flight;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time;
use unsecret::broker::{Broker, Fresh, Identity, Mint, MintError, Minted, Order, SlotStatus, Status};
use unsecret::clock::{Clock, TokioClock};
use unsecret::fault::Class;
use unsecret::ids::{Door, Guid, IdentityName, Resource, Tenant};
use unsecret::observe::{Event, Observer};
use unsecret::policy::{Allowed, Ask, Entry, Peer, Policy, Selector};
use unsecret::problem::{Blame, Problem};
use unsecret::secret::{Fingerprint, Secret};

const GRAPH: &str = "https://graph.microsoft.com";
const VAULT: &str = "https://vault.azure.net";
const HOUR: Duration = Duration::from_secs(3_600);
const WAIT: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_secs(30);
/// How long a scripted exchange takes unless the script says otherwise.
const ROUND_TRIP: Duration = Duration::from_millis(200);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Lets paused time pass; everything that is due in between happens in order.
async fn pass(long: Duration) {
    time::sleep(long).await;
}

/// How one exchange goes.
#[derive(Clone)]
enum Step {
    Good,
    /// As `Good`, with this `refresh_in`.
    RefreshIn(Duration),
    /// As `Good`, after this long.
    Slow(Duration),
    Fail(Class, Option<Duration>, u32),
    Panic,
    /// As `Good`, once the gate opens.
    Gated(Arc<Semaphore>),
    /// As `Good`, but of no life.
    Lifeless,
}

/// A mint that plays a script, then one step for ever, and notes when it was asked.
struct Script {
    clock: Arc<dyn Clock>,
    steps: Mutex<VecDeque<Step>>,
    then: Mutex<Step>,
    life: Duration,
    asked: Mutex<Vec<Duration>>,
    /// What each exchange asked of its token, as it goes upstream.
    claims: Mutex<Vec<Option<String>>>,
    /// Assertions that could be had.
    probes: Mutex<VecDeque<Step>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Mint for Script {
    fn mint(&self, order: Order) -> BoxFuture<'static, Result<Fresh, MintError>> {
        self.claims.lock().unwrap().push(order.claims.text());
        let number = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(self.clock.now().mono);
            asked.len()
        };
        let step = self.steps.lock().unwrap().pop_front().unwrap_or_else(|| self.then.lock().unwrap().clone());
        Box::pin(play(step, self.life, number))
    }

    fn probe(&self) -> BoxFuture<'static, Result<(), MintError>> {
        let step = self.probes.lock().unwrap().pop_front().unwrap_or(Step::Good);
        Box::pin(async move { play(step, HOUR, 0).await.map(drop) })
    }
}

async fn play(step: Step, life: Duration, number: usize) -> Result<Fresh, MintError> {
    match &step {
        Step::Slow(long) => time::sleep(*long).await,
        Step::Gated(gate) => drop(gate.acquire().await),
        _ => time::sleep(ROUND_TRIP).await,
    }
    let refresh_in = if let Step::RefreshIn(given) = step { Some(given) } else { None };
    match step {
        Step::Good | Step::RefreshIn(_) | Step::Slow(_) | Step::Gated(_) => Ok(Fresh {
            access_token: Secret::new(format!("token {number}")),
            expires_in: life,
            ext_expires_in: None,
            refresh_in,
        }),
        Step::Fail(class, retry_after, number) => Err(failure(class, retry_after, number)),
        Step::Lifeless => Ok(Fresh {
            access_token: Secret::new("dead"),
            expires_in: Duration::ZERO,
            ext_expires_in: None,
            refresh_in: None,
        }),
        Step::Panic => panic!("the script says so"),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the scripted exchange failed")]
struct Scripted;

impl Problem for Scripted {
    fn code(&self) -> &'static str {
        "scripted"
    }

    fn blame(&self) -> Blame {
        Blame::Entra
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some("Change the script".into())
    }
}

fn failure(class: Class, retry_after: Option<Duration>, number: u32) -> MintError {
    MintError {
        problem: Arc::new(Scripted),
        class,
        local: false,
        error: None,
        numbers: if number == 0 { Arc::default() } else { Arc::new([number]) },
        correlation_id: None,
        trace_id: None,
        retry_after,
        retry_in: None,
    }
}

/// What an observer heard, in words.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn on(&self, event: &Event<'_>) {
        let line = match event {
            Event::Minted { resource, .. } => format!("minted {resource}"),
            Event::MintFailed { resource, code, consecutive, held, .. } => {
                format!("failed {resource} {code} {consecutive} held={}", held.is_some())
            }
            Event::SlotDropped { resource, .. } => format!("dropped {resource}"),
            Event::Forced { resource, capable, reason, .. } => format!("forced {resource} {capable} {reason}"),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(line);
    }
}

/// A broker with one identity, `billing`, that any local caller may use.
struct Desk {
    broker: Arc<Broker>,
    mint: Arc<Script>,
    policy: Arc<Policy>,
    clock: Arc<dyn Clock>,
    heard: Arc<Heard>,
    allowed: Allowed,
    prefetch: Vec<Resource>,
}

impl Desk {
    /// Prefetches nothing.
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::with(steps, &[])
    }

    fn with(steps: impl IntoIterator<Item = Step>, prefetch: &[&str]) -> Self {
        Self::at(Arc::new(TokioClock::starting_at(1_800_000_000)), steps, prefetch)
    }

    fn at(clock: Arc<dyn Clock>, steps: impl IntoIterator<Item = Step>, prefetch: &[&str]) -> Self {
        let mint = Arc::new(Script {
            clock: Arc::clone(&clock),
            steps: Mutex::new(steps.into_iter().collect()),
            then: Mutex::new(Step::Good),
            life: HOUR,
            asked: Mutex::default(),
            claims: Mutex::default(),
            probes: Mutex::default(),
        });
        let prefetch: Vec<_> = prefetch.iter().map(|text| Resource::parse(text).unwrap()).collect();
        let heard = Arc::new(Heard::default());
        let broker = open(&clock, &mint, &heard, &prefetch, &Allowed::Any, "mark");
        let policy = Arc::new(Policy::new(vec![entry()]));
        Self { broker, mint, policy, clock, heard, allowed: Allowed::Any, prefetch }
    }

    /// A second broker, as a reload makes it, with another mark or another list.
    fn reloaded(&self, mark: &str) -> Arc<Broker> {
        open(&self.clock, &self.mint, &self.heard, &self.prefetch, &self.allowed, mark)
    }

    fn keep(&self) -> JoinHandle<()> {
        tokio::spawn(Arc::clone(&self.broker).keep(TICK))
    }

    async fn ask(&self, resource: &str) -> Result<Arc<Minted>, MintError> {
        ask(&self.broker, &self.policy, resource).await
    }

    /// The text of the token, or the code of the failure.
    async fn told(&self, resource: &str) -> String {
        tell(self.ask(resource).await)
    }

    /// Asks in a task of its own.
    fn send(&self, resource: &'static str) -> JoinHandle<String> {
        self.send_as(asking(resource))
    }

    fn send_as(&self, asked: Ask<'static>) -> JoinHandle<String> {
        let (broker, policy) = (Arc::clone(&self.broker), Arc::clone(&self.policy));
        tokio::spawn(async move { tell(ask_as(&broker, &policy, asked).await) })
    }

    /// From now on every exchange goes like this.
    fn always(&self, step: Step) {
        *self.mint.then.lock().unwrap() = step;
    }

    fn exchanges(&self) -> usize {
        self.mint.asked.lock().unwrap().len()
    }

    /// When each exchange began, counted from the first.
    fn starts(&self) -> Vec<Duration> {
        let asked = self.mint.asked.lock().unwrap();
        asked.iter().map(|at| at.saturating_sub(asked[0])).collect()
    }

    fn heard(&self) -> Vec<String> {
        self.heard.0.lock().unwrap().clone()
    }

    fn answered(&self) -> [u64; 4] {
        self.broker.status().identities[0].answered
    }

    fn slot(&self, resource: &str) -> Option<SlotStatus> {
        slot(self.broker.status(), resource)
    }

    fn mono(&self) -> Duration {
        self.clock.now().mono
    }

    fn since(&self, before: Duration) -> Duration {
        self.mono().saturating_sub(before)
    }
}

fn slot(status: Status, resource: &str) -> Option<SlotStatus> {
    let identity = status.identities.into_iter().next()?;
    identity.slots.into_iter().find(|slot| slot.resource.as_str() == resource)
}

fn open(
    clock: &Arc<dyn Clock>,
    mint: &Arc<Script>,
    heard: &Arc<Heard>,
    prefetch: &[Resource],
    allowed: &Allowed,
    mark: &str,
) -> Arc<Broker> {
    let identity = Identity {
        name: entry().name,
        client_id: entry().client_id,
        mint: Arc::clone(mint) as Arc<dyn Mint>,
        relay: None,
        prefetch: prefetch.to_vec(),
        required: true,
        allowed: allowed.clone(),
        mark: Fingerprint::of(mark.as_bytes()),
    };
    let observer: Arc<dyn Observer> = Arc::clone(heard) as _;
    Arc::new(Broker::new(vec![identity], Arc::clone(clock), &observer, WAIT))
}

fn entry() -> Entry {
    Entry {
        name: IdentityName::parse("billing").unwrap(),
        tenant: Tenant::parse("11111111-aaaa-4bbb-8ccc-222222222222").unwrap(),
        tenant_aliases: Vec::new(),
        client_id: Guid::parse("33333333-dddd-4eee-8fff-444444444444").unwrap(),
        cloud: unsecret::authority::Cloud::Public,
        object_id: None,
        resource_id: None,
        allowed: Allowed::Any,
        callers: Vec::new(),
        any_local_caller: true,
        relay: unsecret::policy::Relayable::Nothing,
    }
}

fn asking(resource: &str) -> Ask<'_> {
    Ask {
        door: Door::Imds,
        selector: Selector::None,
        tenant: None,
        resource: resource.into(),
        key: None,
        raw_key: None,
        capable: false,
        renew: None,
    }
}

async fn ask(broker: &Broker, policy: &Policy, resource: &str) -> Result<Arc<Minted>, MintError> {
    ask_as(broker, policy, asking(resource)).await
}

async fn ask_as(broker: &Broker, policy: &Policy, asked: Ask<'_>) -> Result<Arc<Minted>, MintError> {
    let peer = Peer::Tcp("127.0.0.1:50000".parse().unwrap());
    let grant = policy.decide(&peer, &asked).unwrap();
    broker.token(grant).await
}

fn tell(answer: Result<Arc<Minted>, MintError>) -> String {
    match answer {
        Ok(minted) => minted.access_token.expose().to_owned(),
        Err(error) => error.problem.code().to_owned(),
    }
}
