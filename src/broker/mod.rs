//! Holds access tokens: `Grant → Minted`.
//!
//! The table of slots, and the keeper that refreshes them. Owns the trait [`Mint`]; does not know how a token is
//! obtained, who asks, or in which shape it is answered. Easy to get wrong: a failure never touches the last good token.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::clock::{Deadline, Now};
use crate::fault::Class;
use crate::ids::{Guid, Resource};
use crate::problem::Problem;
use crate::secret::Secret;

/// Gets a new token for one identity. Runs in its own task: never cancelled by a caller who hangs up.
pub trait Mint: Send + Sync + fmt::Debug {
    /// One attempt (with the retries that belong to an attempt, such as one fresh assertion).
    fn mint(&self, resource: Resource) -> BoxFuture<'static, Result<Fresh, MintError>>;

    /// Whether an assertion can be obtained now: readiness of identities without prefetch.
    fn probe(&self) -> BoxFuture<'static, Result<(), MintError>>;
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
    /// Bodies rendered once per token and shape (see `dialect::body`); empty until first asked.
    pub bodies: [OnceLock<Parts>; Shape::COUNT],
}

/// The shapes of a success body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// IMDS and App Service: the universal body of contract B0, all strings.
    ManagedIdentity,
    /// OAuth v2: numbers.
    OauthV2,
    /// OAuth v1: strings.
    OauthV1,
}

impl Shape {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// A body rendered once, in pieces around the relative times whose digits are written per answer. Holds the token, so
/// it is wiped on drop and does not print.
pub struct Parts {
    pub pieces: Vec<(zeroize::Zeroizing<String>, Option<Relative>)>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parts({})", self.pieces.len())
    }
}

/// Which relative time follows a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relative {
    ExpiresIn,
    /// The same instant in seconds since 1970. Written per answer too: after the wall clock was set back, the one of the
    /// moment of receipt would outlive the token.
    ExpiresOn,
    ExtExpiresIn,
    RefreshIn,
}

/// Why there is no new token. Cheap to clone: all waiters share it.
#[derive(Clone, Debug)]
pub struct MintError {
    /// The cause, with code, blame and remedy.
    pub problem: Arc<dyn Problem>,
    pub class: Class,
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
