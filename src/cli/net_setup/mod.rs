//! `unsecret net-setup`: the metadata address on this machine's loopback interface, for clients that hard-code it.
//!
//! The init step of pods with `intercept: loopback-address`. Adds one address and nothing else: no route, no rule of a
//! firewall, no interface brought up. Easy to get wrong: it needs CAP_NET_ADMIN in the network namespace's own user
//! namespace, which root alone does not have.

mod netlink;

use std::borrow::Cow;
use std::io;
use std::net::Ipv4Addr;

use thiserror::Error;

use super::{Exit, complain, note};
use crate::problem::{Blame, Problem};

/// Of every cloud's metadata service, and of no machine.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Add 169.254.169.254 to the loopback interface.
///
/// For clients that hard-code the metadata address. In a pod, the annotation `unsecret.dev/intercept: loopback-address` adds
/// this as an init step; the broker then listens on port 80 there. Done already is done. Nothing else is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {}

const AFTER_HELP: &str = "\
Examples:
  unsecret net-setup                                  in an init container with NET_ADMIN
  ip address del 169.254.169.254/32 dev lo            takes it back
  UNSECRET_LISTEN_HTTP=169.254.169.254:80 unsecret run   what listens there afterwards

Needs CAP_NET_ADMIN and nothing else. The broker needs no capability for port 80 where the sysctl
net.ipv4.ip_unprivileged_port_start is 0.

Exit status: 0 the address is there, 1 it is not.";

#[derive(Debug, Error)]
enum NetSetupError {
    #[error("add {ADDRESS} to the loopback interface")]
    Forbidden(#[source] io::Error),
    #[error("add {ADDRESS} to the loopback interface")]
    Failed(#[source] io::Error),
}

impl Problem for NetSetupError {
    fn code(&self) -> &'static str {
        match self {
            Self::Forbidden(_) => "net-setup-forbidden",
            Self::Failed(_) => "net-setup-failed",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Platform
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Forbidden(_) => {
                "give this container CAP_NET_ADMIN (`capabilities: {add: [NET_ADMIN]}`), or leave the annotation \
                 `unsecret.dev/intercept` at `env`"
            }
            Self::Failed(_) => "check that this network namespace has a loopback interface and IPv4",
        }))
    }
}

pub(super) fn run(_: &Args) -> Exit {
    match netlink::add_to_loopback(ADDRESS) {
        Ok(netlink::Added::Now) => note(&format!("{ADDRESS} added to the loopback interface\n")),
        Ok(netlink::Added::Before) => note(&format!("{ADDRESS} is on the loopback interface already\n")),
        Err(error) => {
            let forbidden = error.kind() == io::ErrorKind::PermissionDenied;
            complain(&if forbidden { NetSetupError::Forbidden(error) } else { NetSetupError::Failed(error) });
            return Exit::Failed;
        }
    }
    Exit::Done
}
