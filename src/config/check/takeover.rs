//! `[listen]`: the login hosts that clients find here, and where they really are.
//!
//! Easy to get wrong: clients come to a login host at port 443 whatever we listen at; and an address of ours among the
//! real ones would have us ask ourselves.

use std::net::{IpAddr, SocketAddr};

use crate::config::file;
use crate::config::findings::Findings;
use crate::config::problems::Mistake;
use crate::config::{Https, Identity, Takeover};
use crate::ids::{Door, Doors};

const HTTPS: u16 = 443;

/// `takeover` and `takeover_addresses`.
pub(super) fn check(raw: &mut file::Listen, https: Option<&Https>, doors: Doors, findings: &mut Findings) -> Takeover {
    let (hosts, addresses) = (raw.takeover.take().unwrap_or_default(), raw.takeover_addresses.take());
    if !hosts.is_empty() {
        is_served(https, doors, findings);
    }
    for (n, host) in hosts.iter().enumerate() {
        let label = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_name = host.len() <= 253 && host.contains('.') && host.split('.').all(label);
        if !is_name || host.parse::<IpAddr>().is_ok() {
            let why = "must be the host name of a login service, without scheme, port or path";
            findings.wrong_but(&format!("listen.takeover[{n}]"), host, why, "write `login.microsoftonline.com`");
        }
    }
    if addresses.is_some() && hosts.is_empty() {
        let remedy = "write `takeover = [\"login.microsoftonline.com\"]`, or delete it";
        findings.add(Mistake::Conflict, "listen.takeover_addresses", "is set, but `listen.takeover` is not", remedy);
    }
    let addresses = addresses.unwrap_or_default();
    let parsed = addresses.iter().enumerate().filter_map(|(n, text)| real(text, n, https, findings)).collect();
    Takeover { hosts: hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect(), addresses: parsed }
}

/// What a taken-over host needs of us.
fn is_served(https: Option<&Https>, doors: Doors, findings: &mut Findings) {
    match https {
        None if findings.is_spoiled("listen.https") => {}
        None => {
            let remedy = "write `https = \"127.0.0.1:443\"`, where a client finds a login host";
            findings.add(Mistake::Conflict, "listen.takeover", "is set, but `listen.https` is not", remedy);
        }
        Some(https) if https.address.port() != HTTPS => {
            let text = format!(
                "needs whatever brings its clients to port {} from port 443, where they look for a login host",
                https.address.port()
            );
            findings.warn("listen.takeover", &text);
        }
        Some(_) => {}
    }
    if !doors.has(Door::Oauth) && !findings.is_spoiled("listen.doors") {
        let remedy = "add \"oauth\" to `doors`, or delete `takeover`";
        findings.add(Mistake::Conflict, "listen.takeover", "is set, but the door \"oauth\" is closed", remedy);
    }
}

fn real(text: &str, n: usize, https: Option<&Https>, findings: &mut Findings) -> Option<SocketAddr> {
    let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, HTTPS));
    let path = format!("listen.takeover_addresses[{n}]");
    let Ok(address) = alone.or_else(|_| text.parse::<SocketAddr>()) else {
        let why = "must be an address, with a port unless it is 443";
        findings.wrong_but(&path, text, why, "write `203.0.113.10`");
        return None;
    };
    let ours = |https: &Https| {
        let everywhere = https.address.ip().is_unspecified() && address.ip().is_loopback();
        https.address.port() == address.port() && (https.address.ip() == address.ip() || everywhere)
    };
    if https.is_some_and(ours) {
        let what = format!("is {text:?}, but `listen.https` has that address: we would ask ourselves");
        findings.add(Mistake::Conflict, &path, what, "write where the real host is, such as `203.0.113.10`");
    }
    Some(address)
}

/// Nobody's login host is taken over for nothing.
pub(super) fn somebody_is_served(takeover: &Takeover, identities: &[Option<Identity>], findings: &mut Findings) {
    // Where an identity is wrong, so may be this.
    if identities.iter().any(Option::is_none) {
        return;
    }
    for (n, host) in takeover.hosts.iter().enumerate() {
        if !identities.iter().flatten().any(|identity| identity.authority.is_known_as(host)) {
            let text = format!("is {host:?}, but no identity is at that host: all of its requests will be passed on");
            findings.warn(&format!("listen.takeover[{n}]"), &text);
        }
    }
}

/// The identity, which reaches these hosts past what their names lead to.
pub(super) fn past(mut identity: Identity, takeover: &Takeover) -> Identity {
    identity.outbound.takeover = takeover.clone();
    identity
}
