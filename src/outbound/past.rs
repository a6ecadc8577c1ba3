//! Hosts whose names lead to this machine, reached where they really are: `listen.takeover`.
//!
//! The operator has pointed such a name here, most often in the hosts file, which the system's resolver reads first. So
//! these names, and only these, are looked up without it: at configured addresses, or by asking the name servers of
//! `/etc/resolv.conf` themselves. Not a question of trust: whatever the answer, TLS proves the host as ever. Easy to get
//! wrong: a name server may read the hosts file too (systemd-resolved and dnsmasq do), and a broker that believes it asks
//! itself for tokens without end.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::net::NetError;
use http::{HeaderName, HeaderValue};
use reqwest::ClientBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// What every request to such a host carries, so that one that comes back here is known, and the answer to one that did.
/// Not `Via` (RFC 9110 7.6.3): that changes what some servers answer.
pub const MARK: HeaderName = HeaderName::from_static("unsecret-past");
pub const MARKED: HeaderValue = HeaderValue::from_static("1");

/// Which hosts, and where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Lower-case; empty for none.
    pub hosts: Vec<String>,
    /// Where all of them are; empty: name servers are asked.
    pub addresses: Vec<SocketAddr>,
}

impl Past {
    pub(super) fn has(&self, host: Option<&str>) -> bool {
        host.is_some_and(|host| self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)))
    }

    /// Through a proxy nothing of this matters: it is the proxy that looks names up.
    pub(super) fn lead(&self, builder: ClientBuilder) -> ClientBuilder {
        if self.hosts.is_empty() {
            return builder;
        }
        if self.addresses.is_empty() {
            return builder.dns_resolver(Arc::new(Servers(self.hosts.clone())));
        }
        self.hosts.iter().fold(builder, |builder, host| builder.resolve_to_addrs(host, &self.addresses))
    }
}

/// Asks name servers for these hosts, and the system for all others.
#[derive(Debug)]
struct Servers(Vec<String>);

impl Resolve for Servers {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_ascii_lowercase();
        let past = self.0.contains(&host);
        Box::pin(async move {
            let found: Vec<SocketAddr> = if past {
                elsewhere(&host, asked(&host).await?)?.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect()
            } else {
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect()
            };
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// One server may be down, and the caller has 5 s for all steps of connecting.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the name servers say. The file is read each time: it is small, a question is rare, and a laptop changes networks.
async fn asked(host: &str) -> Result<Vec<IpAddr>, PastError> {
    let failed = |source| PastError::NameServers { source: Box::new(source) };
    let mut builder = TokioResolver::builder_tokio().map_err(failed)?;
    let options = builder.options_mut();
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = 0;
    options.timeout = options.timeout.min(PATIENCE);
    options.try_tcp_on_error = true;
    // The final dot: a name of its own, never one below a search domain.
    let found = builder.build().map_err(failed)?.lookup_ip(format!("{host}.")).await.map_err(failed)?;
    Ok(found.iter().collect())
}

/// The addresses that are not this machine.
fn elsewhere(host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, PastError> {
    let ours = found.iter().copied().find(|&ip| is_here(ip));
    let rest: Vec<_> = found.into_iter().filter(|&ip| !is_here(ip)).collect();
    match (rest.is_empty(), ours) {
        (false, _) => Ok(rest),
        (true, Some(address)) => Err(PastError::Loop { host: host.to_owned(), address }),
        (true, None) => Err(PastError::Nowhere),
    }
}

/// Loopback, an address of this machine or of its link, or none at all.
fn is_here(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let never = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    never || ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || is_own(ip)
}

/// The kernel reaches its own addresses from themselves. Nothing is sent; and unlike binding, this is no test that
/// `ip_nonlocal_bind` passes for every address there is.
fn is_own(ip: IpAddr) -> bool {
    let any: IpAddr = if ip.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let reached_from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 443))?;
        socket.local_addr()
    });
    reached_from.is_ok_and(|from| from.ip() == ip)
}

/// Why the real host was not found.
#[derive(Debug, thiserror::Error)]
pub(super) enum PastError {
    #[error("`{host}` was found at {address}, which is this machine")]
    Loop { host: String, address: IpAddr },
    #[error("ask the name servers of /etc/resolv.conf")]
    NameServers { source: Box<NetError> },
    #[error("the name servers of /etc/resolv.conf know no address of it")]
    Nowhere,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(addresses: &[&str]) -> Result<Vec<IpAddr>, PastError> {
        elsewhere("login.microsoftonline.com", addresses.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn what_is_this_machine_is_never_asked() {
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "fe80::1",
            "::ffff:127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            let refused = judged(&[address]);
            assert!(matches!(refused, Err(PastError::Loop { .. })), "{address}: {refused:?}");
        }
    }

    #[test]
    fn of_several_addresses_those_elsewhere_are_left() {
        let left = judged(&["127.0.0.1", "203.0.113.10", "2001:db8::1"]).unwrap();
        assert_eq!(left, ["203.0.113.10".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
        assert!(matches!(judged(&[]), Err(PastError::Nowhere)));
    }

    #[test]
    fn the_mark_is_for_these_hosts_only_in_any_case() {
        let past = Past { hosts: vec!["login.microsoftonline.com".into()], addresses: Vec::new() };
        assert!(past.has(Some("Login.MicrosoftOnline.com")));
        assert!(!past.has(Some("graph.microsoft.com")) && !past.has(None));
    }
}
