//! Where a taken-over login host is looked for, and where its name leads on this machine.
//!
//! Easy to get wrong: doctor may run where the application does not, so a name that leads elsewhere is told and not blamed.

use std::fmt::Write as _;

use super::chain::Finding;
use crate::config::{Identity, Takeover};

/// Adds to what was tried how the real host is found.
pub(super) fn tried(identity: &Identity, text: &mut String) {
    let Some((_, takeover)) = taken(identity) else { return };
    if takeover.addresses.is_empty() {
        text.push_str(", past the hosts file: asking the name servers of /etc/resolv.conf");
    } else {
        let listed: Vec<_> = takeover.addresses.iter().map(ToString::to_string).collect();
        let _ = write!(text, ", past the hosts file: at {}", listed.join(", "));
    }
}

/// Adds where clients on this machine find the host.
pub(super) async fn led(identity: &Identity, finding: Finding) -> Finding {
    let Some((host, _)) = taken(identity) else { return finding };
    let Ok(found) = tokio::net::lookup_host((host, 443)).await else {
        return finding.and(format!("applications here look for {host} in vain: its name leads nowhere"));
    };
    let found: Vec<_> = found.map(|address| address.ip()).collect();
    let listed: Vec<_> = found.iter().map(ToString::to_string).collect();
    let (listed, here) = (listed.join(", "), found.iter().all(|ip| ip.to_canonical().is_loopback()));
    finding.and(if here {
        format!("applications here find {host} at {listed}, as `listen.takeover` wants it")
    } else {
        format!(
            "applications here find {host} at {listed}, past unsecret: where they run, the hosts file wants a line \
             `127.0.0.1 {host}`"
        )
    })
}

/// The identity's login host, where it is taken over and no proxy looks names up.
fn taken(identity: &Identity) -> Option<(&str, &Takeover)> {
    let (host, outbound) = (identity.authority.host().host_str()?, &identity.outbound);
    let taken = outbound.proxy.is_none() && outbound.takeover.hosts.iter().any(|one| one == host);
    taken.then_some((host, &outbound.takeover))
}
