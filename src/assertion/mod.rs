//! What proves who we are: a fresh client assertion, from wherever the platform gives one.
//!
//! One file per source. Not the exchange (`mint::exchange` joins assertion and Entra) and no knowledge of `entra` or
//! `broker`. Easy to get wrong: a source never reuses what Entra refused in this exchange, and it re-reads what the
//! platform rotates.

mod certificate;
mod error;
mod file;
mod github;
mod jwt;
mod leaf;
mod proof;

use std::fmt;
use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::facts::Facts;
use crate::secret::{Fingerprint, Secret};

pub use certificate::{CertificateSource, CertificateStatus, Credential, Keys, Pair, Signing};
pub use error::AssertionError;
pub use file::FileSource;
pub use github::GithubSource;
pub use jwt::{EXCHANGE_APPLICATION, Flaw, check, facts, peek_expiry};
pub use leaf::Leaf;
pub use proof::proof;

/// What an assertion is wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The token URL the assertion will be posted to: the audience of certificate assertions (contract A6).
    pub token_url: &'a str,
    /// What Entra refused in this exchange, by the fingerprint of the assertion or, where it does not know the certificate
    /// behind it, by [`Assertion::mark`]; offer something else or fail.
    pub refused: &'a [Fingerprint],
}

/// A signed JWT by which we prove who we are.
#[derive(Clone, Debug)]
pub struct Assertion {
    pub jwt: Secret,
    /// The certificate that signed it; where there is none, the fingerprint of the assertion itself.
    pub mark: Fingerprint,
    /// What may be logged about it.
    pub facts: Facts,
}

/// Makes or fetches assertions.
///
/// Cancel-safe; a failure changes nothing. Errors say what was read and what to do.
pub trait AssertionSource: Send + Sync + fmt::Debug {
    /// A fresh assertion.
    fn assertion<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Assertion, AssertionError>>;

    /// The same for a file whose readers keep what they read for a while: where the life is ours to choose, it is `life`
    /// from now on. The platform's tokens live as long as they live.
    fn lasting<'a>(&'a self, wanted: Wanted<'a>, life: Duration) -> BoxFuture<'a, Result<Assertion, AssertionError>> {
        let _ = life;
        self.assertion(wanted)
    }

    /// Entra took an assertion with this [`Assertion::mark`].
    fn accepted(&self, mark: Fingerprint) {
        let _ = mark;
    }

    /// `file`, `github`, `certificate`: the metric label `source`.
    fn kind(&self) -> &'static str;

    /// When the source itself dies (GitHub's request token), seconds since 1970.
    fn source_expires(&self) -> Option<u64> {
        None
    }
}
