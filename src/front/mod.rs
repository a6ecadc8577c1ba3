//! The whole life of one request: guard, dialect, policy, broker, answer.
//!
//! Everything it uses is below it, and the current configuration's parts hang in one [`Wiring`] that a reload swaps.
//! Easy to get wrong: a held token must be answered without a lock, and a request that began under the old wiring ends
//! under it, whatever is swapped meanwhile.

#![deny(clippy::disallowed_types)]

mod answering;
mod document;
mod first_use;
mod passing;
mod relay;

use std::borrow::Cow;
use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};

use self::first_use::FirstUses;
use crate::broker::{Broker, MintError, Minted};
use crate::clock::{Clock, Now};
use crate::dialect::{self, Dialect, Heard, Refusal};
use crate::guard::{self, Guard, TurnedAway};
use crate::ids::{Door, Doors, IdentityName};
use crate::metrics::Answers;
use crate::observe::{Event, Observer};
use crate::passing::Passing;
use crate::policy::{Grant, Peer, Policy};
use crate::problem::{Blame, Problem};

pub use self::answering::Answering;
pub use self::document::{Authorities, Naming, Published};

/// What one configuration makes of a request.
#[derive(Debug)]
pub struct Wiring {
    pub authorities: Authorities,
    pub guard: Guard,
    /// Those that are open.
    pub doors: Doors,
    pub policy: Policy,
    pub broker: Arc<Broker>,
    /// The taken-over hosts.
    pub passing: Passing,
}

/// Answers requests.
pub struct Front {
    wiring: ArcSwap<Wiring>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    answers: Arc<Answers>,
    first_uses: FirstUses,
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("wiring", &self.wiring).finish_non_exhaustive()
    }
}

/// A form of 64 KiB arrives at once, or its sender is holding a connection open on purpose.
const BODY_TIME: Duration = Duration::from_secs(10);

impl Front {
    #[must_use]
    pub fn new(wiring: Wiring, clock: Arc<dyn Clock>, observer: Arc<dyn Observer>, answers: Arc<Answers>) -> Self {
        Self { wiring: ArcSwap::from_pointee(wiring), clock, observer, answers, first_uses: FirstUses::new() }
    }

    /// From the next request on, these parts decide; what was withdrawn is refused, held token or not.
    pub fn rewire(&self, wiring: Wiring) {
        self.wiring.store(Arc::new(wiring));
    }

    /// The parts in use now.
    #[must_use]
    pub fn wiring(&self) -> Arc<Wiring> {
        self.wiring.load_full()
    }

    /// One request, from its head to its answer. Never fails: a refusal is an answer.
    ///
    /// A held token that nothing has to be waited for is answered before this returns: hyper keeps, and copies, the future of
    /// every answer, and reads on into a new buffer while a request still borrows from the old one.
    pub fn answer<B>(self: &Arc<Self>, peer: Peer, request: Request<B>) -> Answering
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        match self.at_once(&peer, &head, &body) {
            Some(body) => Answering::Now(ready(respond(StatusCode::OK, head.headers, body))),
            None => self.later(peer, head, body),
        }
    }

    /// The body of an answer from a held token. `None` is no answer: whatever else is to be said is found out anew by
    /// [`Front::serve`], which takes the same steps.
    fn at_once<B: Body>(&self, peer: &Peer, head: &Parts, body: &B) -> Option<Bytes> {
        // Neither is one that comes in chunks, empty as it may be.
        if !body.is_end_stream() {
            return None;
        }
        let wiring = self.wiring.load();
        if matches!(peer, Peer::Tls(_)) && wiring.taken_over(head).is_some() {
            return None;
        }
        let dialect = dialect::route(head.uri.path())?;
        let door = dialect.door_of(head.uri.query().unwrap_or_default(), &head.headers);
        wiring.admit(peer, head, door).ok()?;
        let Heard::Ask(ask) = dialect.read(&spoken(head, &[])).ok()? else { return None };
        let grant = wiring.policy.decide(peer, &ask).ok()?;
        let now = self.clock.now();
        let minted = wiring.broker.held(&grant, now)?;
        self.tell_first_use(grant.identity(), grant.resource(), door, peer);
        self.answers.count(Some(door), StatusCode::OK.as_u16());
        Some(dialect.render(&minted, now))
    }

    /// Not inlined, so that the way of a held token stays short.
    #[inline(never)]
    fn later<B>(self: &Arc<Self>, peer: Peer, head: Parts, body: B) -> Answering
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let front = Arc::clone(self);
        Answering::Later(Box::pin(async move { front.answer_any(&peer, head, body).await }))
    }

    /// Any request, whatever is to be waited for.
    async fn answer_any<B>(&self, peer: &Peer, head: Parts, body: B) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let chunked = head.headers.contains_key(header::TRANSFER_ENCODING);
        // Over TLS only: without it, nobody has been told that this is that host.
        let wiring = matches!(peer, Peer::Tls(_)).then(|| self.wiring.load_full());
        let taken_over = wiring.and_then(|wiring| Some((wiring.taken_over(&head)?, wiring)));
        let mut response = match taken_over {
            Some((host, wiring)) => Box::pin(self.answer_for(&host, &wiring, peer, head, body)).await,
            None => self.answer_here(peer, head, body).await,
        };
        if chunked {
            // RFC 9112 6.1: there may have been a Content-Length too, which hyper hides; whoever stood between would
            // then see another end of this request, and of all after it.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// A request that is ours, whoever's it might have been.
    async fn answer_here<B>(&self, peer: &Peer, head: Parts, body: B) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(dialect) = dialect::route(head.uri.path()) else {
            let refusal = Refusal::of_problem(StatusCode::NOT_FOUND, "bad_request", &NoDoor);
            return self.refuse(None, peer, &refusal);
        };
        let door = dialect.door_of(head.uri.query().unwrap_or_default(), &head.headers);
        match self.serve((dialect, door), peer, &head, body).await {
            Ok((status, body)) => {
                self.answers.count(Some(door), status.as_u16());
                respond(status, head.headers, body)
            }
            Err(refusal) => self.refuse(Some((dialect, door)), peer, &refusal),
        }
    }

    /// The steps of the architecture page, section 3, in their order.
    async fn serve<B>(
        &self,
        (dialect, door): (&dyn Dialect, Door),
        peer: &Peer,
        head: &Parts,
        body: B,
    ) -> Result<(StatusCode, Bytes), Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let wiring = self.wiring.load_full();
        wiring.admit(peer, head, door).map_err(|refusal| *refusal)?;
        let body = whole(body, guard::largest_body(door)).await.map_err(|away| turn_away(&away))?;
        let ask = match dialect.read(&spoken(head, &body)).map_err(|rejected| Refusal::of_rejected(&rejected))? {
            Heard::Ask(ask) => ask,
            Heard::Document(asked) => {
                let as_entra = door == Door::TokenProxy || wiring.taken_over(head).is_some();
                let naming = as_entra.then_some(Naming::Microsoft);
                let here = document::here(peer, &head.headers);
                let document = Box::pin(document::answer(&wiring.authorities, &asked, &here, naming)).await?;
                return Ok((StatusCode::OK, document));
            }
            Heard::Relay(asked) => return Box::pin(self.relay(&wiring, peer, *asked)).await,
        };
        let grant = wiring.policy.decide(peer, &ask).map_err(|denied| Refusal::of_denied(door, &denied))?;
        let (identity, resource) = (grant.identity(), grant.resource());
        let now = self.clock.now();
        let (minted, now) = match wiring.broker.held(&grant, now) {
            Some(minted) => (minted, now),
            // In a box: few answers wait.
            None => Box::pin(self.wait(&wiring.broker, grant, door))
                .await
                .map_err(|failed| Refusal::of_mint(door, &failed))?,
        };
        self.tell_first_use(identity, resource, door, peer);
        Ok((StatusCode::OK, dialect.render(&minted, now)))
    }

    fn tell_first_use(&self, identity: &IdentityName, resource: &str, door: Door, peer: &Peer) {
        if self.first_uses.is_first(identity, resource, door, peer) {
            let peer = peer.to_string();
            self.observer.on(&Event::FirstUse { identity, resource, dialect: door.as_str(), peer: &peer });
        }
    }

    /// A token that is not held, and what time it is once it is there.
    async fn wait(&self, broker: &Broker, grant: Grant<'_>, door: Door) -> Result<(Arc<Minted>, Now), MintError> {
        let asked = self.clock.now().mono;
        let outcome = broker.token(grant).await;
        let now = self.clock.now();
        self.answers.waited(Some(door), now.mono.saturating_sub(asked));
        outcome.map(|minted| (minted, now))
    }

    /// Counts, tells and renders a no, in the shape of the door it was said at.
    fn refuse(&self, at: Option<(&dyn Dialect, Door)>, peer: &Peer, refusal: &Refusal) -> Response<Full<Bytes>> {
        let door = at.map(|(_, door)| door);
        self.answers.count(door, refusal.status.as_u16());
        if let Some(reason) = refusal.reason {
            self.observer.on(&Event::Refused {
                dialect: door.map_or("other", Door::as_str),
                reason,
                peer: &peer.to_string(),
                code: refusal.code,
                correlation_id: &refusal.correlation_id,
                withheld: refusal.withheld.as_ref().map(|(identity, resource)| (identity, resource.as_str())),
            });
        }
        let now = self.clock.now();
        let body = at.map_or_else(|| dialect::refuse_elsewhere(refusal, now), |(d, _)| d.refuse(refusal, now));
        let mut response = respond(refusal.status, HeaderMap::new(), body.into());
        if let Some(seconds) = refusal.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        let challenge = door.filter(|_| refusal.status == StatusCode::UNAUTHORIZED).and_then(challenge);
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(allow) = refusal.allow {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

impl Wiring {
    /// Whether the guard and the configuration let it in at this door.
    fn admit(&self, peer: &Peer, head: &Parts, door: Door) -> Result<(), Box<Refusal>> {
        self.guard.check(peer, head, guard::largest_body(door)).map_err(|away| turn_away(&away))?;
        if self.doors.has(door) {
            return Ok(());
        }
        Err(Refusal::of_problem(StatusCode::NOT_FOUND, "bad_request", &DoorClosed(door)).into())
    }
}

/// As dialects see it.
fn spoken<'r>(head: &'r Parts, body: &'r [u8]) -> dialect::Request<'r> {
    dialect::Request {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body,
    }
}

/// The answer, in the request's own header map: emptied, it spares the hot path an allocation or two.
fn respond(status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Response<Full<Bytes>> {
    headers.clear();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What a 401 asks for, at the doors that read an `Authorization` header: RFC 6749 5.2 demands it of who was asked with
/// HTTP Basic.
fn challenge(door: Door) -> Option<&'static str> {
    match door {
        Door::Oauth | Door::TokenProxy => Some("Basic realm=\"unsecret\""),
        Door::Plain => Some("Bearer realm=\"unsecret\""),
        _ => None,
    }
}

fn turn_away(away: &TurnedAway) -> Refusal {
    Refusal::of_problem(away.status(), away.reason(), away)
}

/// The body, within its limits of size and time.
///
/// # Errors
/// [`TurnedAway`], when it exceeds one of them.
pub async fn whole<B>(body: B, limit: usize) -> Result<Bytes, TurnedAway>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout(BODY_TIME, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(TurnedAway::LargeBody { largest: limit }),
        Ok(Err(_)) | Err(_) => Err(TurnedAway::BrokenBody),
    }
}

/// A door that the configuration has not opened.
#[derive(Debug, thiserror::Error)]
#[error("the door {0} is closed")]
struct DoorClosed(Door);

impl Problem for DoorClosed {
    fn code(&self) -> &'static str {
        "door-closed"
    }

    fn blame(&self) -> Blame {
        Blame::Configuration
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(format!("add \"{}\" to listen.doors, or let the application ask at an open door", self.0).into())
    }
}

/// A path that is no token endpoint. Nothing is ever forwarded to the real metadata service.
#[derive(Debug, thiserror::Error)]
#[error("this is unsecret, and it has no such path")]
struct NoDoor;

impl Problem for NoDoor {
    fn code(&self) -> &'static str {
        "no-such-path"
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(
            "ask /metadata/identity/oauth2/token, /msi/token, /{tenant}/oauth2/v2.0/token or, from a script, /token"
                .into(),
        )
    }
}

#[cfg(test)]
mod tests;
