//! Why a request got no answer, told apart by who has to mend it.
//!
//! Nothing in here ever says what Entra thinks: an answer of any status is a success at this level. Easy to get wrong:
//! no variant may carry the proxy's password or a URL with its query.

use std::borrow::Cow;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::problem::{Blame, Problem};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboundError {
    #[error("send a request to `{url}`: not an http or https URL with a host")]
    Address { url: String },
    #[error("read CA file `{path}`")]
    CaUnreadable { path: PathBuf, source: io::Error },
    #[error("read CA file `{path}`: {why}")]
    CaInvalid { path: PathBuf, why: &'static str },
    #[error("load the platform's CA certificates")]
    Roots { source: io::Error },
    #[error("read proxy password file `{path}`")]
    ProxyAuthUnreadable { path: PathBuf, source: io::Error },
    #[error("read proxy password file `{path}`: {why}")]
    ProxyAuthInvalid { path: PathBuf, why: &'static str },
    #[error("look up the address of `{peer}`")]
    Dns { peer: String, source: Reason },
    #[error("reach the real `{host}`: {how}")]
    Loop { host: String, how: String },
    #[error("pass a request on to `{peer}`: its path or query cannot be sent unchanged")]
    Target { peer: String },
    #[error("connect to `{peer}`")]
    Connect { peer: String, source: Reason },
    #[error("{step} `{peer}`{}: not within {after:?}", through(proxy.as_deref()))]
    Timeout { step: &'static str, peer: String, proxy: Option<String>, after: Duration },
    #[error(
        "agree on TLS with `{peer}`{}: the certificate presented was not issued by a trusted CA",
        through(proxy.as_deref())
    )]
    UntrustedIssuer { peer: String, proxy: Option<String> },
    #[error("agree on TLS with `{peer}`")]
    Tls { peer: String, source: Reason },
    #[error("reach the proxy `{proxy}`")]
    ProxyUnreachable { proxy: String, source: Reason },
    #[error("agree on TLS with the proxy `{proxy}`")]
    ProxyTls { proxy: String, source: Reason },
    #[error("open a tunnel to `{target}` through the proxy `{proxy}`: 407, {}", credentials(*.sent))]
    ProxyCredentials { proxy: String, target: String, sent: bool },
    #[error("open a tunnel to `{target}` through the proxy `{proxy}`: the proxy refused")]
    ProxyRefused { proxy: String, target: String },
    #[error("open a tunnel to `{target}` through the proxy `{proxy}`: it does not answer as an HTTP proxy does")]
    ProxyBroken { proxy: String, target: String, source: Reason },
    /// The proxy said yes to the CONNECT, and what followed was its page or the end.
    #[error("agree on TLS with `{target}` through the proxy `{proxy}`: what it opened is no tunnel")]
    TunnelBroken { proxy: String, target: String, source: Reason },
    #[error("read the answer of `{peer}`: it is larger than {limit} bytes")]
    TooLarge { peer: String, limit: usize },
    #[error("exchange HTTP with `{peer}`")]
    Broken { peer: String, source: Reason },
    #[error("send a request: the program is stopping")]
    Stopped,
}

/// The innermost cause, as text: the layers of the HTTP library around it say nothing to an operator, and the URL they
/// name may have a secret in its query.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Reason(String);

impl Reason {
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut innermost = error;
        while let Some(cause) = innermost.source() {
            innermost = cause;
        }
        Self(innermost.to_string())
    }
}

fn credentials(sent: bool) -> &'static str {
    if sent { "it refused the user and password" } else { "it wants a user and password and none is set" }
}

fn through(proxy: Option<&str>) -> String {
    proxy.map_or_else(String::new, |proxy| format!(" through the proxy `{proxy}`"))
}

impl OutboundError {
    /// True when no answer came because no connection came about or the one there was broke: the case for one
    /// immediate retry (contract A12). Not for timeouts, which have used up the caller's patience already.
    #[must_use]
    pub fn is_connection_failure(&self) -> bool {
        matches!(
            self,
            Self::Dns { .. }
                | Self::Connect { .. }
                | Self::ProxyUnreachable { .. }
                | Self::ProxyBroken { .. }
                | Self::TunnelBroken { .. }
                | Self::Broken { .. }
        )
    }

    /// True when the far end cannot have seen any of the request: there was no connection to send it on. What may be used
    /// only once may then be sent again.
    #[must_use]
    pub fn was_never_sent(&self) -> bool {
        matches!(
            self,
            Self::Dns { .. }
                | Self::Connect { .. }
                | Self::ProxyUnreachable { .. }
                | Self::ProxyBroken { .. }
                | Self::TunnelBroken { .. }
        )
    }

    /// True when time ran out.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }
}

impl Problem for OutboundError {
    fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "outbound-address-invalid",
            Self::CaUnreadable { .. } => "ca-file-unreadable",
            Self::CaInvalid { .. } => "ca-file-invalid",
            Self::Roots { .. } => "platform-roots-missing",
            Self::ProxyAuthUnreadable { .. } => "proxy-password-unreadable",
            Self::ProxyAuthInvalid { .. } => "proxy-password-invalid",
            Self::Dns { .. } => "name-not-found",
            Self::Loop { .. } => "takeover-loop",
            Self::Target { .. } => "target-not-passable",
            Self::Connect { .. } => "connect-failed",
            Self::Timeout { .. } => "upstream-timeout",
            Self::UntrustedIssuer { .. } => "tls-untrusted-issuer",
            Self::Tls { .. } => "tls-failed",
            Self::ProxyUnreachable { .. } => "proxy-unreachable",
            Self::ProxyTls { .. } => "proxy-tls-failed",
            Self::ProxyCredentials { .. } => "proxy-credentials-refused",
            Self::ProxyRefused { .. } => "proxy-refused",
            Self::ProxyBroken { .. } => "proxy-broken",
            Self::TunnelBroken { .. } => "proxy-tunnel-broken",
            Self::TooLarge { .. } => "answer-too-large",
            Self::Broken { .. } => "connection-broken",
            Self::Stopped => "outbound-stopped",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Address { .. }
            | Self::Loop { .. }
            | Self::CaUnreadable { .. }
            | Self::CaInvalid { .. }
            | Self::ProxyAuthUnreadable { .. }
            | Self::ProxyAuthInvalid { .. } => Blame::Configuration,
            Self::Roots { .. } => Blame::Platform,
            Self::Target { .. } => Blame::Caller,
            Self::Stopped => Blame::Ourselves,
            _ => Blame::Network,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Address { .. } => "give an https URL such as https://login.microsoftonline.com",
            Self::CaUnreadable { .. } => "make `ca_file` a file that this process may read",
            Self::CaInvalid { .. } => "put PEM certificates (-----BEGIN CERTIFICATE-----) into `ca_file`",
            Self::Roots { .. } => "install the package ca-certificates, or set SSL_CERT_FILE or `ca_file`",
            Self::ProxyAuthUnreadable { .. } => "make `proxy_auth_file` a file that this process may read",
            Self::ProxyAuthInvalid { .. } => "write `user:password` on one line into `proxy_auth_file`",
            Self::Loop { .. } => {
                "write the addresses of the real host into `listen.takeover_addresses`, or let /etc/resolv.conf name a \
                 server that does not read the hosts file"
            }
            Self::Target { .. } => "percent-encode what stands in the path and the query",
            Self::Dns { .. } => "check the name and this machine's DNS; behind a proxy, set `proxy`",
            Self::Connect { .. } => "allow this machine to connect to that host and port; behind a proxy, set `proxy`",
            Self::Timeout { .. } => "check the way there: firewall, proxy, DNS",
            Self::UntrustedIssuer { proxy: Some(_), .. } => {
                "write the root by which the proxy signs what it inspects into `ca_file`; it is read again by itself"
            }
            Self::UntrustedIssuer { proxy: None, .. } => {
                "if a TLS-inspecting proxy stands in the way, give its root certificate in `ca_file`"
            }
            Self::Tls { .. } => "check that nothing between here and there alters TLS, and this machine's clock",
            Self::ProxyUnreachable { .. } => "check the address in `proxy` and that the proxy runs",
            Self::ProxyTls { .. } => "check that `proxy` speaks TLS, or write http:// before its address",
            Self::ProxyCredentials { .. } => "write the proxy's present `user:password` into `proxy_auth_file`",
            Self::ProxyRefused { .. } => "ask whoever runs the proxy to allow CONNECT to that host",
            Self::ProxyBroken { .. } => "check that `proxy` names an HTTP proxy and its port",
            Self::TunnelBroken { .. } => {
                "see what the proxy answers to CONNECT: a login or block page in a tunnel's place looks like this"
            }
            Self::TooLarge { .. } => "find out what answered: no token is that large",
            Self::Broken { .. } => "check what stands between here and there: firewall, proxy, load balancer",
            Self::Stopped => return None,
        }))
    }
}
