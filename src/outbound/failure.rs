//! From a reqwest error to a failure that says who has to mend it.
//!
//! What is public is told by type, the rest by the texts of hyper-util's private errors, each of which a test in
//! `tests/it/upstream/` provokes. Easy to get wrong: a tunnel's error may have a DNS or TLS error inside that is
//! about the proxy and not about the far end, so the tunnel comes first.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::{CertificateError as Certificate, Error as TlsError};

use super::OutboundError;
use super::error::Reason;
use super::past::PastError;

/// Between whom it happened.
pub(super) struct Way<'a> {
    pub(super) peer: &'a str,
    pub(super) proxy: Option<&'a str>,
    /// Whether the proxy was given a user and a password.
    pub(super) credentials: bool,
    pub(super) connect_timeout: Duration,
    pub(super) deadline: Duration,
}

impl Way<'_> {
    /// Names what happened.
    pub(super) fn failure(&self, error: &reqwest::Error) -> OutboundError {
        let peer = self.peer.to_owned();
        let proxy = self.proxy.map(str::to_owned);
        if error.is_timeout() {
            let (step, after) = if error.is_connect() {
                ("connect to", self.connect_timeout)
            } else {
                ("get an answer from", self.deadline)
            };
            return OutboundError::Timeout { step, peer, proxy, after };
        }
        if let (Some(proxy), Some(what)) = (self.proxy, chain(error).find_map(tunnel)) {
            return self.tunnel(proxy.to_owned(), &what, error);
        }
        if let Some(PastError::Loop { host, address }) = chain(error).find_map(|cause| cause.downcast_ref()) {
            let how = format!("it was found at {address}, which is this machine");
            return OutboundError::Loop { host: host.clone(), how };
        }
        let reason = Reason::of(error);
        match (tls(error), proxy) {
            // A bad signature: a root of the same name with another key, as when inspection got a new one.
            (Some(TlsError::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature)), proxy) => {
                OutboundError::UntrustedIssuer { peer, proxy }
            }
            // The tunnel was agreed on, and then the handshake met a page, or the end.
            (None | Some(TlsError::InvalidMessage(_)), Some(proxy)) if error.is_connect() => {
                OutboundError::TunnelBroken { proxy, target: peer, source: reason }
            }
            (Some(_), _) => OutboundError::Tls { peer, source: reason },
            (None, _) if is_dns(error) => OutboundError::Dns { peer, source: reason },
            (None, _) if error.is_connect() => OutboundError::Connect { peer, source: reason },
            (None, _) => OutboundError::Broken { peer, source: reason },
        }
    }

    fn tunnel(&self, proxy: String, what: &str, error: &reqwest::Error) -> OutboundError {
        let target = self.peer.to_owned();
        let source = Reason::of(error);
        match what {
            "proxy authorization required" => OutboundError::ProxyCredentials { proxy, target, sent: self.credentials },
            "unsuccessful" => OutboundError::ProxyRefused { proxy, target },
            "failed to create underlying connection" if tls(error).is_some() => {
                OutboundError::ProxyTls { proxy, source }
            }
            "failed to create underlying connection" => OutboundError::ProxyUnreachable { proxy, source },
            _ => OutboundError::ProxyBroken { proxy, target, source },
        }
    }
}

fn chain<'a>(error: &'a reqwest::Error) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |&error| error.source())
}

/// What hyper-util's `TunnelError`, which is not public, says after its prefix.
fn tunnel(error: &(dyn Error + 'static)) -> Option<String> {
    error.to_string().strip_prefix("tunnel error: ").map(str::to_owned)
}

/// `dns error` is hyper-util's private `ConnectError`; reqwest knows the failures of its own resolver by type.
fn is_dns(error: &reqwest::Error) -> bool {
    error.is_dns() || chain(error).any(|cause| cause.to_string() == "dns error")
}

/// TLS errors come wrapped in I/O errors, whose `source` skips what they wrap.
fn tls(error: &reqwest::Error) -> Option<&TlsError> {
    fn unwrapped<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let inner: &'a (dyn Error + 'static) = error.downcast_ref::<io::Error>()?.get_ref()?;
        unwrapped(inner)
    }
    chain(error).find_map(unwrapped)
}
