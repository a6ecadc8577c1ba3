//! What stands on all ServiceAccounts, or all Namespaces, held in memory and followed.
//!
//! Only what `inject` ever reads of them is kept. Easy to get wrong: a name comes from whoever makes a pod and goes into a path
//! here, so what is no name asks nobody; and what is not here may have been made a moment ago.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::follow::Backoff;
use crate::cluster::{Api, Change, ClusterError, Collection};
use crate::inject::Metadata;

/// Objects of one kind by namespace and name; the namespace is empty for those that have none.
#[derive(Debug)]
pub(super) struct Mirror {
    collection: Collection,
    known: RwLock<HashMap<Key, Arc<Metadata>>>,
    is_full: AtomicBool,
}

type Key = (Box<str>, Box<str>);

impl Mirror {
    pub(super) fn of(path: &str) -> Self {
        let collection = Collection { path: path.to_owned(), name: None, metadata_only: true };
        Self { collection, known: RwLock::default(), is_full: AtomicBool::new(false) }
    }

    /// All of them were seen.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<Arc<Metadata>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&(namespace.into(), name.into())).map(Arc::clone)
    }

    /// From now on it is so.
    pub(super) fn put(&self, object: &Value) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(key(object), Arc::new(Metadata::of_interest(object)));
    }

    fn remove(&self, object: &Value) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(&key(object));
    }

    /// For as long as the process lives.
    pub(super) async fn follow(&self, api: &Api) {
        let mut backoff = Backoff::default();
        loop {
            let wait = match self.list_and_watch(api, &mut backoff).await {
                Err(error) if error.is_forgotten() => backoff.after_end(false),
                Err(error) => {
                    backoff.after(&error, "what stands on objects is not followed; it counts as it was seen last")
                }
                Ok(never) => match never {},
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn list_and_watch(&self, api: &Api, backoff: &mut Backoff) -> Result<std::convert::Infallible, ClusterError> {
        let mut all = HashMap::new();
        // Each page is let go before the next: of all objects only little is kept.
        let keep = |object: Value| drop(all.insert(key(&object), Arc::new(Metadata::of_interest(&object))));
        let mut version = api.list(&self.collection, keep).await?;
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = all;
        self.is_full.store(true, Ordering::Relaxed);
        loop {
            let wait = match self.watch(api, &mut version).await {
                Ok(told) => backoff.after_end(told),
                // A place from which no watch goes on, whatever the server says about it, is left behind as well.
                Err(error) if error.is_forgotten() || backoff.is_long() => return Err(error),
                Err(error) => {
                    backoff.after(&error, "what stands on objects is not followed; it counts as it was seen last")
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Until the server ends it; `version` goes along. Says whether it told anything.
    async fn watch(&self, api: &Api, version: &mut String) -> Result<bool, ClusterError> {
        let (mut changes, mut told) = (api.watch(&self.collection, version).await?, false);
        while let Some((change, at)) = changes.next().await? {
            told = true;
            match change {
                Change::Now(object) => self.put(&object),
                Change::Gone(object) => self.remove(&object),
                Change::Mark => {}
            }
            if !at.is_empty() {
                *version = at;
            }
        }
        Ok(told)
    }
}

fn key(object: &Value) -> Key {
    let text = |part: &str| object["metadata"][part].as_str().unwrap_or_default().into();
    (text("namespace"), text("name"))
}
