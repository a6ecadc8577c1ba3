//! The keys by which anybody checks what Entra signs for a tenant, held for applications that are told to find them here.
//!
//! Public, and no part of a mint. Easy to get wrong: Entra replaces its keys without a word, so old ones are asked for anew,
//! but a failure must not take away the last ones that were good.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::authority::Authority;
use crate::clock::{Clock, Deadline};
use crate::entra::Entra;
use crate::problem::{Problem as _, chain};

/// Entra publishes a key well before it signs with it.
const LIFE: Duration = Duration::from_secs(3_600);
/// Between two tries: an application that starts may ask at every request.
const PAUSE: Duration = Duration::from_secs(30);
/// How long whoever could have old ones waits for new ones.
const PATIENCE: Duration = Duration::from_secs(2);

/// The keys of one tenant, as Entra publishes them.
#[derive(Clone, Debug)]
pub struct TenantKeys(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    entra: Entra,
    authority: Authority,
    clock: Arc<dyn Clock>,
    held: ArcSwapOption<Held>,
    /// When Entra may be asked again; locked while it is being asked.
    next: Mutex<Option<Deadline>>,
}

#[derive(Debug)]
struct Held {
    document: Bytes,
    until: Deadline,
}

impl TenantKeys {
    /// Asks nobody yet.
    #[must_use]
    pub fn new(entra: Entra, authority: Authority, clock: Arc<dyn Clock>) -> Self {
        let (held, next) = (ArcSwapOption::empty(), Mutex::new(None));
        Self(Arc::new(Parts { entra, authority, clock, held, next }))
    }

    /// The JSON document; `None` when there never was one. A failure leaves the last one in place.
    pub async fn document(&self) -> Option<Bytes> {
        let now = self.0.clock.now();
        if let Some(held) = self.0.held.load_full() {
            if held.until.is_past(now) {
                let _ = tokio::time::timeout(PATIENCE, self.ask()).await;
            }
        } else {
            self.ask().await;
        }
        self.0.held.load().as_ref().map(|held| held.document.clone())
    }

    /// In a task of its own: who hangs up, or waits no longer, must not stop what others wait for.
    async fn ask(&self) {
        let parts = Arc::clone(&self.0);
        // A panic in it is told by the runtime, and then nothing new is held.
        let _ = tokio::spawn(async move { parts.fetch().await }).await;
    }
}

impl Parts {
    /// One at a time: who waited for another's answer finds it held.
    async fn fetch(&self) {
        let mut next = self.next.lock().await;
        let now = self.clock.now();
        let fresh = self.held.load().as_ref().is_some_and(|held| !held.until.is_past(now));
        if fresh || next.is_some_and(|next| !next.is_past(now)) {
            return;
        }
        *next = Some(Deadline::after(now, PAUSE));
        match self.entra.keys(&self.authority).await {
            Ok(document) => {
                let until = Deadline::after(self.clock.now(), LIFE);
                self.held.store(Some(Arc::new(Held { document: document.into(), until })));
            }
            Err(error) => {
                let remedy = error.remedy().unwrap_or_default();
                tracing::warn!(code = error.code(), remedy = &*remedy, "get the keys of a tenant: {}", chain(&error));
            }
        }
    }
}
