//! Who has used what already, so that the first use by a caller is told and the next million are not.
//!
//! A fixed table of marks without locks or allocation, since every answer passes here. Not exact: when it is full,
//! further first uses go untold rather than every use being told. Easy to get wrong: a TCP peer is its address without the
//! port, which changes with every connection.

#![deny(clippy::disallowed_types)]

use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::DefaultHashBuilder;

use crate::ids::{Door, IdentityName};
use crate::policy::Peer;

/// Identities × resources × doors × callers of one machine; 8 KiB.
const MARKS: usize = 1024;
/// Places looked at for one mark.
const PROBES: usize = 16;

/// The table.
#[derive(Debug)]
pub(super) struct FirstUses {
    marks: Box<[AtomicU64]>,
    /// Seeded at random for each process; std's SipHash costs three times as much, for every answer.
    hasher: DefaultHashBuilder,
}

impl FirstUses {
    pub(super) fn new() -> Self {
        Self { marks: (0..MARKS).map(|_| AtomicU64::new(0)).collect(), hasher: DefaultHashBuilder::default() }
    }

    /// True once for each combination, as long as there is room.
    pub(super) fn is_first(&self, identity: &IdentityName, resource: &str, door: Door, peer: &Peer) -> bool {
        let caller = match peer {
            Peer::Tcp(address) | Peer::Tls(address) => (Some(address.ip()), 0, 0),
            Peer::Unix { uid, gid, .. } => (None, *uid, *gid),
        };
        // Zero means free. Two uses sharing a mark would cost one line in the log, once in 2^63.
        let mark = self.hasher.hash_one((identity, resource, door, caller)) | 1;
        let start = (mark >> 40) as usize;
        for step in 0..PROBES {
            let place = &self.marks[(start + step) % MARKS];
            let found = match place.load(Ordering::Relaxed) {
                0 => match place.compare_exchange(0, mark, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return true,
                    Err(other) => other,
                },
                found => found,
            };
            if found == mark {
                return false;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_combination_is_first_once() {
        let uses = FirstUses::new();
        let name = IdentityName::parse("billing").unwrap();
        let tcp = |port: u16| Peer::Tcp(([127, 0, 0, 1], port).into());
        let unix = |uid| Peer::Unix { uid, gid: 1, pid: Some(7) };
        assert!(uses.is_first(&name, "r", Door::Imds, &tcp(1)));
        assert!(!uses.is_first(&name, "r", Door::Imds, &tcp(2)));
        assert!(uses.is_first(&name, "r", Door::Oauth, &tcp(1)));
        assert!(uses.is_first(&name, "s", Door::Imds, &tcp(1)));
        assert!(uses.is_first(&name, "r", Door::Imds, &unix(0)));
        assert!(uses.is_first(&name, "r", Door::Imds, &unix(1)));
        assert!(!uses.is_first(&name, "r", Door::Imds, &unix(1)));
    }

    #[test]
    fn a_full_table_is_silent_rather_than_noisy() {
        let uses = FirstUses::new();
        let name = IdentityName::parse("billing").unwrap();
        let firsts = || {
            let peers = (0..8_000).map(|uid| Peer::Unix { uid, gid: 0, pid: None });
            peers.filter(|peer| uses.is_first(&name, "r", Door::Imds, peer)).count()
        };
        assert!(firsts() <= MARKS);
        assert_eq!(firsts(), 0);
    }
}
