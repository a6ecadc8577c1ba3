//! Holds access tokens: `Grant → Minted`.
//!
//! The table of slots, and the keeper that refreshes them. Owns the trait [`Mint`]; does not know how a token is
//! obtained, who asks, or in which shape it is answered. Easy to get wrong: a failure never touches the last good token.

mod counts;
mod crew;
mod flight;
mod mishap;
mod probe;
mod relay;
mod roster;
mod schedule;
mod slot;
mod status;
mod table;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures_core::future::BoxFuture;
use hashbrown::HashMap;
use tokio::sync::Notify;
use tokio::time;

use self::crew::Crew;
use self::roster::Roster;
use self::table::Wanted;
use crate::claims::Claims;
use crate::clock::{Clock, Deadline, Now};
use crate::fault::Class;
use crate::ids::{Guid, IdentityName, Resource};
use crate::observe::Observer;
use crate::policy::{Allowed, Grant};
use crate::problem::Problem;
use crate::secret::{Fingerprint, Secret};

pub use self::counts::Tally;
pub use self::relay::{Form, Relay, Relayed};
pub use self::status::{HeldStatus, IdentityStatus, SlotStatus, Status};

/// Gets a new token for one identity.
///
/// Runs in its own task: a caller who hangs up does not cancel it, and its panic becomes an error. It should end by
/// itself, with deadlines of its own; the broker gives it up after two minutes, and drops the future then. Whatever
/// fails, the broker keeps the token that it holds.
pub trait Mint: Send + Sync + fmt::Debug {
    /// One attempt (with the retries that belong to an attempt, such as one fresh assertion).
    fn mint(&self, order: Order) -> BoxFuture<'static, Result<Fresh, MintError>>;

    /// Whether an assertion can be obtained now: readiness of identities without prefetch.
    fn probe(&self) -> BoxFuture<'static, Result<(), MintError>>;
}

/// What a mint is to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub resource: Resource,
    /// What is asked of the token beside; by default nothing.
    pub claims: Claims,
}

impl From<Resource> for Order {
    /// The ordinary token.
    fn from(resource: Resource) -> Self {
        Self { resource, claims: Claims::default() }
    }
}

/// What a successful exchange brought.
#[derive(Clone, Debug)]
pub struct Fresh {
    pub access_token: Secret,
    /// Entra's `expires_in`: the only truth about its life.
    pub expires_in: Duration,
    pub ext_expires_in: Option<Duration>,
    pub refresh_in: Option<Duration>,
}

/// A held token.
#[derive(Debug)]
pub struct Minted {
    pub access_token: Secret,
    pub client_id: Guid,
    pub resource: Resource,
    pub received: Now,
    pub expires: Deadline,
    pub ext_expires: Option<Deadline>,
    /// Entra's `refresh_in`, if it gave one, as a deadline.
    pub refresh: Option<Deadline>,
    /// The last body of each shape (see `dialect::body`); empty until first asked.
    pub bodies: [ArcSwapOption<Written>; Shape::COUNT],
}

impl Minted {
    /// What came at `received`; both clocks count its life from there (`expires_in` is the only truth about it).
    #[must_use]
    pub fn new(fresh: Fresh, client_id: Guid, resource: Resource, received: Now) -> Self {
        let after = |life| Deadline::after(received, life);
        Self {
            access_token: fresh.access_token,
            client_id,
            resource,
            received,
            expires: after(fresh.expires_in),
            ext_expires: fresh.ext_expires_in.map(after),
            refresh: fresh.refresh_in.map(after),
            bodies: Default::default(),
        }
    }
}

/// The shapes of a success body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// IMDS, App Service and Cloud Shell: the universal body of contract B0, all strings.
    ManagedIdentity,
    /// OAuth v2: numbers.
    OauthV2,
    /// OAuth v1: strings.
    OauthV1,
    /// For scripts: numbers.
    PlainToken,
    /// For scripts: the value of an `Authorization` header.
    PlainHeader,
}

impl Shape {
    /// How many there are.
    pub const COUNT: usize = 5;
}

/// A body and the times that stand in it. It holds the token, so it does not print, and whoever makes it sees that it is
/// wiped when its last reader is done.
pub struct Written {
    pub times: Times,
    pub body: Bytes,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").field("times", &self.times).finish_non_exhaustive()
    }
}

/// The seconds in a body, which change with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub expires_in: u64,
    /// The same instant in seconds since 1970. It too changes: after the wall clock was set back, the one of the moment of
    /// receipt would outlive the token.
    pub expires_on: u64,
    pub ext_expires_in: u64,
    /// `None` where Entra gave none.
    pub refresh_in: Option<u64>,
}

/// Why there is no new token. Cheap to clone: all waiters share it.
#[derive(Clone, Debug)]
pub struct MintError {
    /// The cause, with code, blame and remedy.
    pub problem: Arc<dyn Problem>,
    pub class: Class,
    /// Found out on this machine, without asking anybody else.
    pub local: bool,
    /// Entra's `error`, where Entra answered.
    pub error: Option<Arc<str>>,
    /// Entra's `error_codes`.
    pub numbers: Arc<[u32]>,
    pub correlation_id: Option<Arc<str>>,
    pub trace_id: Option<Arc<str>>,
    /// What Entra asked us to wait (we obey up to 3600 s).
    pub retry_after: Option<Duration>,
    /// Downstream `Retry-After`: how long until asking again may help, as known when this was answered.
    pub retry_in: Option<Duration>,
}

impl MintError {
    /// A failure of which Entra has said nothing.
    #[must_use]
    pub fn new(problem: impl Problem, class: Class) -> Self {
        Self {
            problem: Arc::new(problem),
            class,
            local: false,
            error: None,
            numbers: Arc::default(),
            correlation_id: None,
            trace_id: None,
            retry_after: None,
            retry_in: None,
        }
    }
}

impl fmt::Display for MintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.problem, f)
    }
}

impl std::error::Error for MintError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.problem.source()
    }
}

/// What a prefetch has come to.
#[derive(Clone, Debug, Default)]
pub struct Prefetched {
    /// Until its very end.
    pub held: Option<Arc<Minted>>,
    /// The last failure, if no token has come since.
    pub failure: Option<MintError>,
}

/// What the broker has to know of one identity.
#[derive(Debug)]
pub struct Identity {
    pub name: IdentityName,
    /// Echoed to callers beside the token.
    pub client_id: Guid,
    pub mint: Arc<dyn Mint>,
    /// `None` where nothing is passed on.
    pub relay: Option<Arc<dyn Relay>>,
    /// Held from the start and never let go.
    pub prefetch: Vec<Resource>,
    /// Readiness waits for it.
    pub required: bool,
    /// What policy allows: which slots a reload keeps, and which resources may be a metric label.
    pub allowed: Allowed,
    /// Of everything that decides which token is minted (tenant, client id, authority, assertion source). A reload
    /// adopts the slots of an identity whose name and mark are unchanged.
    pub mark: Fingerprint,
}

/// Holds the slots of every identity.
pub struct Broker {
    /// In the order of the configuration.
    rosters: Vec<Roster>,
    places: HashMap<IdentityName, usize>,
    /// On-behalf-of answers, of all identities.
    answers: relay::Answers,
    clock: Arc<dyn Clock>,
    poke: Arc<Notify>,
}

impl Broker {
    /// Makes a slot for every prefetch at once; [`Broker::keep`] fills them. `wait` is `listen.wait`: how long a caller
    /// without a held token waits for a running exchange.
    #[must_use]
    pub fn new(identities: Vec<Identity>, clock: Arc<dyn Clock>, observer: &Arc<dyn Observer>, wait: Duration) -> Self {
        let poke = Arc::new(Notify::new());
        let now = clock.now();
        let roster = |identity: Identity| {
            let crew = Crew {
                identity: identity.name.clone(),
                client_id: identity.client_id.clone(),
                mint: Arc::clone(&identity.mint),
                clock: Arc::clone(&clock),
                observer: Arc::clone(observer),
                wait,
                poke: Arc::clone(&poke),
            };
            Roster::new(identity, Arc::new(crew), now)
        };
        let rosters: Vec<_> = identities.into_iter().map(roster).collect();
        let places = rosters.iter().enumerate().map(|(place, roster)| (roster.name().clone(), place)).collect();
        Self { rosters, places, answers: relay::Answers::default(), clock, poke }
    }

    /// The held token, if there is one above its margin: no lock, no waiting, no allocation. `now` is of the broker's
    /// clock: the caller has read it already, and reading two clocks is a fair part of what a held token costs.
    #[must_use]
    pub fn held(&self, grant: &Grant<'_>, now: Now) -> Option<Arc<Minted>> {
        if grant.renew().is_some() {
            return None;
        }
        self.roster(grant.identity())?.held(wanted(grant), now)
    }

    /// A token, from the slot or from a single flight that others may share; a new one, where the grant says that a held one
    /// will not do. Cancel-safe: a caller who hangs up neither
    /// stops nor restarts the exchange.
    pub async fn token(&self, grant: Grant<'_>) -> Result<Arc<Minted>, MintError> {
        let roster = self.roster(grant.identity()).ok_or_else(|| mishap::unwired(grant.identity()))?;
        roster.token(wanted(&grant), grant.renew()).await
    }

    /// What a prefetch holds, and the failure since, if there is one. Needs no [`Grant`]: it answers only for what the
    /// operator wrote into the configuration to be held, and is for what the configuration itself hands out (sinks). No
    /// use: nothing is counted, and nobody waits.
    #[must_use]
    pub fn prefetched(&self, identity: &IdentityName, resource: &Resource) -> Prefetched {
        let now = self.clock.now();
        self.roster(identity).and_then(|roster| roster.prefetched(resource, now)).unwrap_or_default()
    }

    /// On reload: takes over the slots (with their flights, failures and counters) of unchanged identities, as far as
    /// still allowed, and tells which others are gone. On-behalf-of answers are not taken over: one request has each again. Stop the old broker's [`Broker::keep`] first.
    pub fn adopt(&self, old: &Self) {
        for before in &old.rosters {
            let after = self.roster(before.name());
            if let Some(roster) = after {
                roster.adopt(before);
            }
            before.leave_to(after);
        }
        self.poke();
    }

    /// What is held, until when, and what last failed.
    #[must_use]
    pub fn status(&self) -> Status {
        let now = self.clock.now();
        let identities: Vec<_> = self.rosters.iter().map(|roster| roster.status(now)).collect();
        let ready = identities.iter().all(|identity| identity.ready || !identity.required);
        Status { at: now.epoch(), ready, identities }
    }

    /// True when every required identity holds its prefetch, or, with none, can obtain an assertion.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let now = self.clock.now();
        self.rosters.iter().all(|roster| roster.lets_ready(now))
    }

    /// The keeper: fills and refreshes slots, lets go of unused ones, probes. Runs until dropped, and may be dropped at
    /// any time: flights go on by themselves. Sleeps until the next thing is due, but at most `tick`, since both clocks
    /// may jump.
    pub async fn keep(self: Arc<Self>, tick: Duration) {
        loop {
            let now = self.clock.now();
            let next = self.rosters.iter().filter_map(|roster| roster.tend(now)).min();
            self.answers.sweep(now);
            // Errs only when the time is up, which is as good as a poke.
            let _ = time::timeout(next.unwrap_or(tick).min(tick), self.poke.notified()).await;
        }
    }

    /// Wakes the keeper, for who has just moved a clock by hand.
    pub fn poke(&self) {
        self.poke.notify_one();
    }

    fn roster(&self, identity: &IdentityName) -> Option<&Roster> {
        // Most brokers have one: a comparison instead of a hash.
        if let [only] = self.rosters.as_slice() {
            return Some(only).filter(|roster| roster.name() == identity);
        }
        self.places.get(identity).map(|&place| &self.rosters[place])
    }
}

fn wanted<'a>(grant: &Grant<'a>) -> Wanted<'a> {
    Wanted { resource: grant.resource(), capable: grant.capable() }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rosters.iter().map(Roster::name)).finish()
    }
}
