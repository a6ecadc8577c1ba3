//! What is refused before a dialect sees it: requests that came through a browser or a proxy, under a foreign name, or
//! that are too large.
//!
//! Not policy (it knows no identities) and not the dialects' own header checks. Easy to get wrong: a page in a browser
//! on this machine, or a server tricked into fetching a URL, can reach loopback too; these rules are what stands between
//! them and a token, together with `Metadata: true` and the local keys.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

use crate::https::Served;
use crate::ids::Door;
use crate::policy::Peer;
use crate::problem::{Blame, Problem};

/// Far more than a scope and a local key need; a certificate assertion fits too.
pub const MAX_BODY: usize = 16 * 1024;
/// Users' tokens and codes come in these; a user in many groups has a token of some 20 KiB.
const LARGE_BODY: usize = 64 * 1024;
/// Clients send fewer than fifteen.
const MAX_HEADERS: usize = 64;
const MAX_PATH: usize = 1024;
const MAX_QUERY: usize = 4096;

/// How much a door takes.
#[must_use]
pub fn largest_body(door: Door) -> usize {
    if matches!(door, Door::Oauth | Door::TokenProxy) { LARGE_BODY } else { MAX_BODY }
}

/// The rules, with the names that the configuration adds.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    hosts: Vec<String>,
    certified: Option<Arc<Served>>,
    takeover: Vec<String>,
}

impl Guard {
    /// `hosts`: more names that the Host header may carry over TCP.
    #[must_use]
    pub fn new(hosts: Vec<String>) -> Self {
        Self { hosts, ..Self::default() }
    }

    /// What Host may name besides over TLS: whatever stands in the certificate that is served, since a client that came
    /// so far has looked for it there, and the hosts taken over.
    #[must_use]
    pub fn over_tls(self, certified: Option<Arc<Served>>, takeover: Vec<String>) -> Self {
        Self { certified, takeover, ..self }
    }

    /// Looks at everything but the body, which may be as large as `largest`.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, peer: &Peer, head: &Parts, largest: usize) -> Result<(), TurnedAway> {
        check_sizes(head, largest)?;
        self.check_sender(peer, &head.uri, &head.headers)
    }

    /// Whether a program on this machine sent it, as far as a request can tell: no proxy, no page, no foreign name.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check_sender(&self, peer: &Peer, uri: &Uri, headers: &HeaderMap) -> Result<(), TurnedAway> {
        check_origin(headers)?;
        match peer {
            // A socket's name is its path: whoever reached it knows where it is.
            Peer::Unix { .. } => Ok(()),
            Peer::Tcp(_) => Self::check_host(uri, headers, |host| self.is_ours(host)),
            Peer::Tls(_) => Self::check_host(uri, headers, |host| self.is_ours(host) || self.is_ours_over_tls(host)),
        }
    }

    /// Against DNS rebinding: a page of another site keeps that site's name in Host.
    fn check_host(uri: &Uri, headers: &HeaderMap, is_ours: impl Fn(&str) -> bool) -> Result<(), TurnedAway> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(TurnedAway::NoHost) };
        // A request in absolute form names the host twice; both must be ours.
        let authority = uri.authority().map(|authority| Some(authority.as_str()));
        for host in std::iter::once(host.to_str().ok()).chain(authority) {
            if !host.is_some_and(&is_ours) {
                return Err(TurnedAway::Host { host: shown(host.unwrap_or_default()) });
            }
        }
        Ok(())
    }

    fn is_ours(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        if let Some(inner) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return inner.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
        }
        if let Ok(address) = name.parse::<Ipv4Addr>() {
            return address.is_loopback() || address == Ipv4Addr::new(169, 254, 169, 254) || self.is_listed(name);
        }
        name.eq_ignore_ascii_case("localhost") || self.is_listed(name)
    }

    fn is_ours_over_tls(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        // A certificate has addresses without brackets.
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        self.certified.as_ref().is_some_and(|served| served.has_name(bare))
            || self.takeover.iter().any(|host| host.eq_ignore_ascii_case(name))
    }

    fn is_listed(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

/// The one Host header.
fn the_host(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut hosts = headers.get_all(header::HOST).iter();
    hosts.next().filter(|_| hosts.next().is_none())
}

/// The host that a request names, without its port; `None` where it names none or several.
#[must_use]
pub fn named_host(headers: &HeaderMap) -> Option<&str> {
    without_port(the_host(headers)?.to_str().ok()?)
}

/// The name of `name`, `name:port`, `[v6]` or `[v6]:port`; `None` when what should be a port is none.
fn without_port(host: &str) -> Option<&str> {
    // Bytes, not `str::find`: the names are short and stand in the way of every answer.
    let bracket = if host.starts_with('[') { host.bytes().position(|byte| byte == b']') } else { None };
    let name_end = bracket.map_or(0, |end| end + 1);
    let Some(colon) = host.bytes().skip(name_end).position(|byte| byte == b':') else { return Some(host) };
    let (name, port) = host.split_at(name_end + colon);
    port.bytes().skip(1).all(|byte| byte.is_ascii_digit()).then_some(name)
}

fn check_sizes(head: &Parts, largest: usize) -> Result<(), TurnedAway> {
    if head.uri.path().len() > MAX_PATH || head.uri.query().is_some_and(|query| query.len() > MAX_QUERY) {
        return Err(TurnedAway::LongTarget);
    }
    if head.headers.len() > MAX_HEADERS {
        return Err(TurnedAway::ManyHeaders);
    }
    // Looked for as below.
    let length = head.headers.iter().find(|(name, _)| **name == header::CONTENT_LENGTH);
    let length = length.and_then(|(_, value)| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > largest as u64) { Err(TurnedAway::LargeBody { largest }) } else { Ok(()) }
}

/// Headers that only proxies and browsers add; every proxy must add `Via` (RFC 9110 7.6.3), though not all do. `Sec-Fetch-Mode` is no proof: Node's `fetch` sends it.
fn check_origin(headers: &HeaderMap) -> Result<(), TurnedAway> {
    let mut page = None;
    // One look at each name that is there: a lookup of each that should not be costs more, on every answer.
    for name in headers.keys() {
        match name.as_str() {
            "forwarded" | "via" => return Err(TurnedAway::Forwarded),
            "origin" => page = Some("origin"),
            "sec-fetch-site" => page = page.or(Some("sec-fetch-site")),
            name if name.starts_with("x-forwarded-") => return Err(TurnedAway::Forwarded),
            _ => {}
        }
    }
    page.map_or(Ok(()), |name| Err(TurnedAway::Browser { name }))
}

/// What a stranger wrote, cut to fit a message.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Which rule a request broke.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnedAway {
    #[error("the request was forwarded by a proxy")]
    Forwarded,
    #[error("the request comes from a web page: it carries {name}")]
    Browser { name: &'static str },
    #[error("the request does not carry exactly one Host header")]
    NoHost,
    #[error("the Host header names `{host}`, which is not this machine")]
    Host { host: String },
    #[error("the path is longer than {MAX_PATH} bytes, or the query than {MAX_QUERY}")]
    LongTarget,
    #[error("the request has more than {MAX_HEADERS} headers")]
    ManyHeaders,
    #[error("the body is larger than {largest} bytes")]
    LargeBody { largest: usize },
    /// Said by whoever reads the body.
    #[error("the body did not arrive in time or whole")]
    BrokenBody,
}

impl TurnedAway {
    /// 403 where chains of credentials must stop, otherwise the status made for it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Forwarded | Self::Browser { .. } | Self::Host { .. } => StatusCode::FORBIDDEN,
            Self::NoHost => StatusCode::BAD_REQUEST,
            Self::LongTarget => StatusCode::URI_TOO_LONG,
            Self::ManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::LargeBody { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BrokenBody => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// The label `reason` of `unsecret_requests_rejected_total`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Browser { .. } => "bad_header",
            Self::NoHost | Self::Host { .. } => "bad_host",
            Self::LongTarget | Self::ManyHeaders | Self::LargeBody { .. } | Self::BrokenBody => "bad_request",
        }
    }
}

impl Problem for TurnedAway {
    fn code(&self) -> &'static str {
        match self {
            Self::Forwarded => "request-forwarded",
            Self::Browser { .. } => "request-from-browser",
            Self::NoHost => "host-missing",
            Self::Host { .. } => "host-not-ours",
            Self::LongTarget => "target-too-long",
            Self::ManyHeaders => "too-many-headers",
            Self::LargeBody { .. } => "body-too-large",
            Self::BrokenBody => "body-incomplete",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Forwarded => "connect to unsecret directly; for a proxy set in the environment, extend NO_PROXY",
            Self::Browser { .. } => "ask from the application itself; pages in a browser get no tokens",
            Self::NoHost => "send HTTP/1.1 with one Host header",
            Self::Host { .. } => "use localhost or a loopback address, or add the name to listen.hosts",
            Self::LongTarget | Self::ManyHeaders | Self::LargeBody { .. } => "send only what a token request needs",
            Self::BrokenBody => "send the whole body at once",
        }))
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn check(target: &str, headers: &[(&str, &str)], peer: &Peer) -> Result<(), TurnedAway> {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Guard::new(vec!["sidecar.internal".into()]).check(peer, &request.body(()).unwrap().into_parts().0, MAX_BODY)
    }

    const UNIX: Peer = Peer::Unix { uid: 1, gid: 1, pid: None };

    fn tcp() -> Peer {
        Peer::Tcp(([127, 0, 0, 1], 50_000).into())
    }

    fn host(name: &str) -> Result<(), TurnedAway> {
        check("/msi/token", &[("host", name)], &tcp())
    }

    #[test]
    fn names_of_this_machine_pass_with_any_port() {
        for name in [
            "127.0.0.1",
            "127.0.0.1:4780",
            "127.9.9.9",
            "localhost",
            "LOCALHOST:1",
            "[::1]",
            "[::1]:4780",
            "169.254.169.254",
            "169.254.169.254:80",
            "sidecar.internal:4780",
            "Sidecar.Internal",
        ] {
            assert_eq!(host(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn foreign_names_are_refused_over_tcp_only() {
        for name in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "10.0.0.1",
            "[::2]",
            "[::1",
            "::1",
            "127.0.0.1:80:80",
            "127.0.0.1:x",
            "0x7f.1",
            "127.1",
            "169.254.169.253",
            "",
            "[::1]evil",
        ] {
            assert!(matches!(host(name), Err(TurnedAway::Host { .. })), "{name}");
        }
        assert_eq!(check("/msi/token", &[("host", "evil.example")], &UNIX), Ok(()));
        assert_eq!(check("/msi/token", &[], &UNIX), Ok(()));
        assert_eq!(check("/msi/token", &[], &tcp()), Err(TurnedAway::NoHost));
        let two = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(check("/msi/token", &two, &tcp()), Err(TurnedAway::NoHost));
        let absolute = check("http://evil.example/msi/token", &[("host", "localhost")], &tcp());
        assert!(matches!(absolute, Err(TurnedAway::Host { .. })));
    }

    proptest! {
        #[test]
        fn only_our_names_pass_whatever_is_around_them(before in "[ -~]{0,4}", after in "[ -~]{0,4}") {
            let host = format!("{before}localhost{after}");
            let port = after.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
            let ours = before.is_empty() && (after.is_empty() || port);
            prop_assert_eq!(Guard::default().is_ours(&host), ours, "{}", host);
        }
    }

    #[test]
    fn forwarded_requests_are_refused_even_on_the_socket() {
        for name in ["X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Proto", "Forwarded", "Via", "x-forwarded-"] {
            let headers = [("host", "localhost"), (name, "1.2.3.4")];
            for peer in [&tcp(), &UNIX] {
                assert_eq!(check("/x", &headers, peer), Err(TurnedAway::Forwarded), "{name}");
            }
        }
    }

    #[test]
    fn pages_are_refused_and_node_is_not() {
        for name in ["origin", "sec-fetch-site"] {
            let headers = [("host", "localhost"), (name, "same-origin")];
            assert_eq!(check("/x", &headers, &tcp()), Err(TurnedAway::Browser { name }));
        }
        assert_eq!(check("/x", &[("host", "localhost"), ("sec-fetch-mode", "cors")], &tcp()), Ok(()));
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let local = ("host", "localhost");
        let long = "x".repeat(MAX_QUERY + 1);
        assert_eq!(check(&format!("/x?{long}"), &[local], &tcp()), Err(TurnedAway::LongTarget));
        assert_eq!(check(&format!("/{long}"), &[local], &tcp()), Err(TurnedAway::LongTarget));
        assert_eq!(
            check("/x", &[local, ("content-length", "16385")], &tcp()),
            Err(TurnedAway::LargeBody { largest: MAX_BODY })
        );
        assert_eq!(check("/x", &[local, ("content-length", "16384")], &tcp()), Ok(()));
        let many: Vec<_> = std::iter::once(local).chain(std::iter::repeat_n(("a", "b"), MAX_HEADERS)).collect();
        assert_eq!(check("/x", &many, &tcp()), Err(TurnedAway::ManyHeaders));
    }
}
