//! One attempt: an assertion, then Entra (contract A11, A12).
//!
//! Asks a second time within one attempt for three reasons only: Entra wants a fresh assertion (once), Entra does not
//! take the certificate and there is another, or the connection failed or a 5xx came without `Retry-After` (once).
//! Easy to get wrong: what the network or a proxy did passes, it is never held against the configuration.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::assertion::{Assertion, AssertionError, AssertionSource, Wanted};
use crate::authority::Authority;
use crate::broker::{Fresh, Mint, MintError, Order};
use crate::clock::{Clock, Now};
use crate::entra::{Entra, EntraError, Exchanged, Marks, TokenRequest};
use crate::fault::Class;
use crate::ids::{Guid, IdentityName};
use crate::observe::{Event, Observer, Outcome};
use crate::problem::{Blame, Problem};
use crate::secret::Fingerprint;

/// Entra does not take the certificate (contract A11): unknown, not authorised, its chain not trusted, revoked. An older one
/// of the same application may be better.
pub(super) const CERTIFICATE_REFUSED: [u32; 10] =
    [CERTIFICATE_UNKNOWN, 700_028, 700_029, 700_030, 700_031, 700_032, 7_000_212, 7_000_213, 7_000_214, 7_000_221];

/// Entra could not verify the signature: this certificate is not uploaded, replaced, or not spread yet (contract A11).
const CERTIFICATE_UNKNOWN: u32 = 700_027;

/// A source that has something new each time, such as GitHub, must not make this a loop.
const MOST_CERTIFICATES: usize = 4;

/// Exchanges assertions of one identity for access tokens.
#[derive(Clone, Debug)]
pub struct Exchange(pub(super) Arc<Parts>);

#[derive(Debug)]
pub(super) struct Parts {
    identity: IdentityName,
    pub(super) authority: Authority,
    pub(super) client_id: Guid,
    pub(super) source: Arc<dyn AssertionSource>,
    pub(super) entra: Entra,
    pub(super) timing: Timing,
    observer: Arc<dyn Observer>,
}

/// The clock, and how long a whole attempt may take with all its retries.
#[derive(Clone, Debug)]
pub struct Timing {
    pub clock: Arc<dyn Clock>,
    pub limit: Duration,
}

impl Timing {
    /// 30 s: three requests at the outbound deadline.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, limit: Duration::from_secs(30) }
    }
}

impl Exchange {
    #[must_use]
    pub fn new(
        identity: IdentityName,
        authority: Authority,
        client_id: Guid,
        source: Arc<dyn AssertionSource>,
        entra: Entra,
        timing: Timing,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self(Arc::new(Parts { identity, authority, client_id, source, entra, timing, observer }))
    }
}

impl Mint for Exchange {
    fn mint(&self, order: Order) -> BoxFuture<'static, Result<Fresh, MintError>> {
        let parts = Arc::clone(&self.0);
        Box::pin(async move { parts.in_time(parts.attempt(&order)).await })
    }

    fn probe(&self) -> BoxFuture<'static, Result<(), MintError>> {
        let parts = Arc::clone(&self.0);
        Box::pin(async move {
            let token_url = parts.authority.token_url();
            let probing = async { Ok(parts.assertion(token_url.as_str(), &[]).await?) };
            parts.in_time(probing).await.map(|_: Assertion| ())
        })
    }
}

/// Why the attempt ended without a token.
pub(super) enum Failure {
    Assertion(AssertionError),
    Entra(EntraError),
    /// Entra knows none of several certificates: the newest may still be spreading.
    Certificates(EntraError),
}

impl From<AssertionError> for Failure {
    fn from(problem: AssertionError) -> Self {
        Self::Assertion(problem)
    }
}

/// What one attempt has used up.
#[derive(Default)]
pub(super) struct Used {
    pub(super) refused: Vec<Fingerprint>,
    /// How many certificates are among them.
    certificates: usize,
    /// One of them may be spreading still.
    unknown: bool,
    /// The one fresh assertion.
    fresh: bool,
    /// The one immediate retry.
    retry: bool,
}

pub(super) enum Next {
    Again,
    Stop,
}

impl Parts {
    pub(super) async fn in_time<T>(&self, attempt: impl Future<Output = Result<T, Failure>>) -> Result<T, MintError> {
        let limit = self.timing.limit;
        match tokio::time::timeout(limit, attempt).await {
            Ok(ended) => ended.map_err(mint_error),
            Err(_) => Err(MintError::new(TooSlow { limit }, Class::Transient)),
        }
    }

    async fn attempt(&self, order: &Order) -> Result<Fresh, Failure> {
        let token_url = self.authority.token_url();
        let mut used = Used::default();
        let mut last: Option<EntraError> = None;
        loop {
            let started = self.timing.clock.now();
            let assertion = match (self.assertion(token_url.as_str(), &used.refused).await, last.take()) {
                (Ok(assertion), _) => assertion,
                // Entra's word on the assertion says more than "there is no other".
                (Err(AssertionError::Exhausted), Some(refusal)) => return Err(used.failure(refusal)),
                (Err(problem), _) => {
                    self.exchanged(started, Outcome::AssertionError, None, None);
                    return Err(problem.into());
                }
            };
            match self.ask(order, &assertion).await {
                Ok(fresh) => {
                    self.source.accepted(assertion.mark);
                    return Ok(fresh);
                }
                Err(problem) => match used.after(&problem, &assertion) {
                    Next::Again => last = Some(problem),
                    Next::Stop => return Err(used.failure(problem)),
                },
            }
        }
    }

    pub(super) async fn assertion(
        &self,
        token_url: &str,
        refused: &[Fingerprint],
    ) -> Result<Assertion, AssertionError> {
        let started = self.timing.clock.now();
        let made = self.source.assertion(Wanted { token_url, refused }).await;
        // Having no second assertion to offer is an answer of the source and no failure of it.
        if !matches!(made, Err(AssertionError::Exhausted)) {
            self.observer.on(&Event::Asserted {
                identity: &self.identity,
                source: self.source.kind(),
                outcome: made.as_ref().map_or_else(Problem::code, |_| "success"),
                took: self.since(started),
                expires: made.as_ref().ok().and_then(|assertion| assertion.facts.expires),
                source_expires: self.source.source_expires(),
            });
        }
        made
    }

    async fn ask(&self, order: &Order, assertion: &Assertion) -> Result<Fresh, EntraError> {
        let started = self.timing.clock.now();
        let asked = self.entra.exchange(TokenRequest {
            authority: &self.authority,
            client_id: &self.client_id,
            resource: &order.resource,
            claims: &order.claims,
            assertion: &assertion.jwt,
            presented: &assertion.facts,
        });
        match asked.await {
            Ok(Exchanged { granted, marks }) => {
                self.exchanged(started, Outcome::Success, Some(&marks), None);
                Ok(Fresh {
                    access_token: granted.access_token,
                    expires_in: granted.expires_in,
                    ext_expires_in: granted.ext_expires_in,
                    refresh_in: granted.refresh_in,
                })
            }
            Err(problem) => {
                let aadsts = problem.fault().and_then(|fault| fault.numbers.first().copied());
                self.exchanged(started, outcome(&problem), problem.marks(), aadsts);
                Err(problem)
            }
        }
    }

    pub(super) fn exchanged(&self, started: Now, outcome: Outcome, marks: Option<&Marks>, aadsts: Option<u32>) {
        self.observer.on(&Event::Exchanged {
            identity: &self.identity,
            authority: self.authority.host().host_str().unwrap_or_default(),
            outcome,
            aadsts,
            took: self.since(started),
            skew: marks.and_then(|marks| marks.skew),
            retry_after: marks.and_then(|marks| marks.retry_after),
        });
    }

    fn since(&self, started: Now) -> Duration {
        self.timing.clock.now().mono.saturating_sub(started.mono)
    }
}

impl Used {
    /// Whether this failure is worth another question within the same attempt.
    pub(super) fn after(&mut self, problem: &EntraError, assertion: &Assertion) -> Next {
        if names(problem, &CERTIFICATE_REFUSED) && self.certificates < MOST_CERTIFICATES {
            // Ends with `Exhausted` when the source has no other.
            self.certificates += 1;
            self.unknown |= names(problem, &[CERTIFICATE_UNKNOWN]);
            self.refused.push(assertion.mark);
            return Next::Again;
        }
        if problem.class() == Class::Fresh && !self.fresh {
            self.fresh = true;
            // This assertion only: nothing is said against the certificate behind it, which signs another.
            self.refused.push(assertion.jwt.fingerprint());
            return Next::Again;
        }
        if problem.is_worth_an_immediate_retry() && !self.retry {
            self.retry = true;
            return Next::Again;
        }
        Next::Stop
    }

    pub(super) fn failure(&self, problem: EntraError) -> Failure {
        if names(&problem, &CERTIFICATE_REFUSED) && self.unknown && self.certificates > 1 {
            return Failure::Certificates(problem);
        }
        Failure::Entra(problem)
    }
}

pub(super) fn names(problem: &EntraError, numbers: &[u32]) -> bool {
    problem.fault().is_some_and(|fault| fault.numbers.iter().any(|number| numbers.contains(number)))
}

pub(super) fn outcome(problem: &EntraError) -> Outcome {
    match problem {
        EntraError::Unreached { source, .. } if source.is_timeout() => Outcome::Timeout,
        EntraError::Unreached { .. } | EntraError::NotEntra { .. } => Outcome::NetworkError,
        _ if problem.marks().is_some_and(|marks| marks.status == 429) => Outcome::Throttled,
        _ if problem.class().is_passing() => Outcome::UpstreamError,
        _ => Outcome::Rejected,
    }
}

fn mint_error(failure: Failure) -> MintError {
    match failure {
        Failure::Assertion(problem) => {
            let (class, local) = (problem.class(), problem.is_local());
            MintError { local, ..MintError::new(problem, class) }
        }
        Failure::Entra(problem) => {
            let class = problem.class();
            of_entra(problem, class)
        }
        Failure::Certificates(problem) => of_entra(problem, Class::Propagation),
    }
}

fn of_entra(problem: EntraError, class: Class) -> MintError {
    let (fault, marks) = (problem.fault(), problem.marks());
    MintError {
        class,
        local: false,
        error: fault.map(|fault| fault.error.as_str().into()),
        numbers: fault.map(|fault| fault.numbers.as_slice().into()).unwrap_or_default(),
        correlation_id: problem.correlation_id().map(Into::into),
        trace_id: marks.and_then(|marks| marks.trace_id.as_deref()).map(Into::into),
        retry_after: marks.and_then(|marks| marks.retry_after),
        retry_in: None,
        problem: Arc::new(problem),
    }
}

/// The whole attempt took too long; its parts have shorter deadlines of their own.
#[derive(Debug, thiserror::Error)]
#[error("get a token: not within {limit:?}")]
struct TooSlow {
    limit: Duration,
}

impl Problem for TooSlow {
    fn code(&self) -> &'static str {
        "attempt-too-slow"
    }

    fn blame(&self) -> Blame {
        Blame::Network
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some("check the way to Entra, and whatever provides the assertion, for what is slow".into())
    }
}
