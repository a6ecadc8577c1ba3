//! What happened, told to whoever wants to know.
//!
//! Events are for rare things: a token minted, an exchange failed, a configuration reloaded. Answers to callers are not
//! events (`front` keeps fixed atomics for those). Easy to get wrong: an event carries no secret and no unbounded text
//! that would end up in a metric label.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::ids::IdentityName;

/// Hears what happened. Called inline by whoever caused it: must be quick and must not block.
pub trait Observer: Send + Sync + fmt::Debug {
    /// One event.
    fn on(&self, event: &Event<'_>);
}

/// How one exchange with Entra ended; the metric label `outcome` of `unsecret_token_requests_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Success,
    /// Entra answered with a fault that is not passing.
    Rejected,
    /// 429, or a fault that says "too many".
    Throttled,
    /// 5xx or a passing fault.
    UpstreamError,
    /// DNS, TCP, TLS or proxy.
    NetworkError,
    Timeout,
    /// No assertion could be had, so nothing was sent.
    AssertionError,
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Rejected => "rejected",
            Self::Throttled => "throttled",
            Self::UpstreamError => "upstream_error",
            Self::NetworkError => "network_error",
            Self::Timeout => "timeout",
            Self::AssertionError => "assertion_error",
        }
    }
}

/// Something that happened. Times are seconds since 1970 unless a `Duration`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A slot has a new token.
    Minted {
        identity: &'a IdentityName,
        resource: &'a str,
        /// For clients that understand a claims challenge.
        capable: bool,
        received: u64,
        expires: u64,
        next_refresh: u64,
    },
    /// A held token will not do for a caller, and a new one is being minted. `reason` is one of [`Renew::reason`].
    ///
    /// [`Renew::reason`]: crate::policy::Renew::reason
    Forced { identity: &'a IdentityName, resource: &'a str, capable: bool, reason: &'static str },
    /// A slot could not get a new token; `held` is how long the held one still lasts.
    MintFailed {
        identity: &'a IdentityName,
        resource: &'a str,
        capable: bool,
        /// The stable code of the problem.
        code: &'static str,
        /// The whole chain, one line.
        chain: &'a str,
        remedy: Option<&'a str>,
        aadsts: Option<u32>,
        correlation_id: Option<&'a str>,
        trace_id: Option<&'a str>,
        consecutive: u32,
        retry_in: Duration,
        held: Option<Duration>,
    },
    /// A slot was let go, or its identity left the configuration.
    SlotDropped { identity: &'a IdentityName, resource: &'a str, capable: bool },
    /// One exchange ended. `skew` is local time minus Entra's `Date`, in seconds.
    Exchanged {
        identity: &'a IdentityName,
        authority: &'a str,
        outcome: Outcome,
        aadsts: Option<u32>,
        took: Duration,
        skew: Option<f64>,
        retry_after: Option<Duration>,
    },
    /// An assertion source was asked. `outcome` is `success` or the problem's code.
    Asserted {
        identity: &'a IdentityName,
        source: &'static str,
        outcome: &'static str,
        took: Duration,
        expires: Option<u64>,
        /// When the source itself dies, such as the GitHub request token.
        source_expires: Option<u64>,
    },
    /// A source of assertions dies soon, and nothing here can bring it a new one. Told once, as far as a reload lets us remember.
    SourceEnding { identity: &'a IdentityName, source: &'static str, ends: u64, left: Duration },
    /// The certificates that an identity signs with from now on; none for other assertion sources.
    Certificates { identity: &'a IdentityName, in_use: &'a [Certificate] },
    /// A key was asked for a signature. `outcome` is `ok` or the kind of failure.
    Signed {
        identity: &'a IdentityName,
        /// Where the key is: `file`, `pkcs11`, `tpm`.
        backend: &'static str,
        outcome: &'static str,
        took: Duration,
        /// How often the key was opened anew after trouble since the last such event.
        resets: u64,
    },
    /// A key has proven that it is its certificate's: for the first time, with another algorithm, or after a failure.
    KeyProven {
        identity: &'a IdentityName,
        certificate: &'a str,
        backend: &'static str,
        algorithm: &'static str,
        /// The algorithm was chosen by itself, because the key cannot do the better one.
        fell_back: bool,
        recovered: bool,
    },
    /// A key cannot be used. Told once until it fails otherwise or is well again.
    KeyFailed {
        identity: &'a IdentityName,
        certificate: &'a str,
        backend: &'static str,
        code: &'static str,
        /// The whole chain, one line.
        chain: &'a str,
        remedy: Option<&'a str>,
    },
    /// An older certificate signs instead of a newer one. Thumbprints as in [`Certificate`]; `reason` is `refused-by-entra`
    /// or the code of what is wrong with the key.
    CertificatePassedOver { identity: &'a IdentityName, passed: &'a str, instead: &'a str, reason: &'static str },
    /// Entra takes a certificate that it had refused.
    CertificateAccepted { identity: &'a IdentityName, thumbprint: &'a str },
    /// A certificate's files were replaced by what cannot be used; the one with this thumbprint goes on.
    CertificateKept {
        identity: &'a IdentityName,
        file: &'a Path,
        thumbprint: &'a str,
        code: &'static str,
        /// The whole chain, one line.
        chain: &'a str,
        remedy: Option<&'a str>,
    },
    /// A certificate has fewer days left than `warned_at`. Told once for each certificate and number, as far as the source
    /// remembers: a reload makes a new one.
    CertificateEnding {
        identity: &'a IdentityName,
        certificate: &'a str,
        thumbprint: &'a str,
        not_after: u64,
        days_left: u64,
        warned_at: u64,
    },
    /// The certificate that most clients of the https listener are shown from now on.
    HttpsCertificate {
        /// SHA-256 in hexadecimal.
        thumbprint: &'a str,
        not_after: u64,
    },
    /// A request was refused before or by policy. `dialect` is a door's name or `other`.
    Refused {
        dialect: &'static str,
        reason: &'static str,
        peer: &'a str,
        /// The stable code of the problem.
        code: &'static str,
        /// What the caller was told to quote.
        correlation_id: &'a str,
        /// The resource that an identity's scopes do not allow, asked for by one of its callers.
        withheld: Option<(&'a IdentityName, &'a str)>,
    },
    /// A request to a taken-over host was passed on. `code` is the real host's status; none where it gave no answer.
    PassedThrough { host: &'a str, code: Option<StatusCode> },
    /// First use of a token of this identity by this caller.
    FirstUse { identity: &'a IdentityName, resource: &'a str, dialect: &'static str, peer: &'a str },
    /// A caller's own grant was passed on. `outcome`: `success`, `held` (nobody had to be asked), `refused` (Entra's no, passed
    /// on) or `failed`. `first`: the first that this caller had of this grant.
    Relayed {
        identity: &'a IdentityName,
        grant: &'static str,
        dialect: &'static str,
        peer: &'a str,
        outcome: &'static str,
        aadsts: Option<u32>,
        first: bool,
    },
    /// It could not be passed on, or what Entra refused is ours.
    RelayFailed {
        identity: &'a IdentityName,
        grant: &'static str,
        code: &'static str,
        /// The whole chain, one line.
        chain: &'a str,
        remedy: Option<&'a str>,
        aadsts: Option<u32>,
        correlation_id: Option<&'a str>,
        trace_id: Option<&'a str>,
    },
    /// A reload was tried.
    Reloaded { ok: bool, at: u64 },
    /// A sink's file was replaced. `expires` is of what stands in it now, where that says so.
    SinkWritten { identity: &'a IdentityName, file: &'a Path, at: u64, expires: Option<u64> },
    /// A sink's file could not be replaced; what stands in it is still good for `lasts`.
    SinkFailed {
        identity: &'a IdentityName,
        file: &'a Path,
        code: &'static str,
        /// The whole chain, one line.
        chain: &'a str,
        remedy: Option<&'a str>,
        consecutive: u32,
        retry_in: Duration,
        lasts: Option<Duration>,
    },
    /// The command after a write ended; well where there is no code.
    SinkReloaded {
        identity: &'a IdentityName,
        file: &'a Path,
        code: Option<&'static str>,
        chain: Option<&'a str>,
        remedy: Option<&'a str>,
    },
    /// A sink left the configuration.
    SinkWithdrawn { identity: &'a IdentityName, file: &'a Path },
}

/// What may be told of a certificate. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 in hexadecimal.
    pub thumbprint: String,
    pub not_before: u64,
    pub not_after: u64,
}

/// Tells several observers in turn.
#[derive(Debug, Default)]
pub struct Fanout(pub Vec<Arc<dyn Observer>>);

impl Observer for Fanout {
    fn on(&self, event: &Event<'_>) {
        for observer in &self.0 {
            observer.on(event);
        }
    }
}
