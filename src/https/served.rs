//! Which certificate a handshake gets, and which names all of them carry.
//!
//! Easy to get wrong: the oldest that fits is shown, since every client trusts its root and only those that have started
//! lately trust the next one's.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::Pair;

/// What is shown from one moment to the next.
#[derive(Debug)]
pub struct Served {
    /// Never empty; the one to be shown before the others first.
    pairs: ArcSwap<Vec<Arc<Pair>>>,
}

impl Served {
    /// `pairs` is not empty.
    pub(super) fn new(pairs: Vec<Arc<Pair>>) -> Self {
        Self { pairs: ArcSwap::from_pointee(pairs) }
    }

    /// From the next handshake on. True when that changes anything.
    pub(super) fn show(&self, pairs: Vec<Arc<Pair>>) -> bool {
        let marks = |pairs: &[Arc<Pair>]| pairs.iter().map(|pair| pair.mark).collect::<Vec<_>>();
        let other = !pairs.is_empty() && marks(&self.pairs.load()) != marks(&pairs);
        if other {
            self.pairs.store(Arc::new(pairs));
        }
        other
    }

    /// What most clients are shown.
    pub(super) fn first(&self) -> Arc<Pair> {
        Arc::clone(&self.pairs.load()[0])
    }

    /// Whether a client may come by this name, which has no port and no brackets.
    #[must_use]
    pub fn has_name(&self, host: &str) -> bool {
        self.pairs.load().iter().any(|pair| pair.is_for(host))
    }

    /// The first for this name, or the newest; without a name the first that has all addresses of the newest.
    fn choose(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let pairs = self.pairs.load();
        let newest = pairs.last()?;
        let fits = |pair: &&Arc<Pair>| match name {
            Some(name) => pair.is_for(name),
            None => newest.addresses().all(|address| pair.is_for(address)),
        };
        Some(Arc::clone(&pairs.iter().find(fits).unwrap_or(newest).certified))
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name())
    }
}
