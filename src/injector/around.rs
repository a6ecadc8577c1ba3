//! What stands around a pod: its Namespace and its ServiceAccount, from memory, or asked for once.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::mirror::Mirror;
use crate::cluster::{Api, ClusterError};
use crate::inject::Metadata;
use crate::problem::{Blame, Problem};

/// For one that is not known yet. The API server waits for us for five seconds, unless it is told otherwise.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why something could not be looked up. The pod cannot be judged then, and the webhook's `failurePolicy` decides about it.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error("look up {what}")]
    Failed { what: String, source: ClusterError },
    #[error("look up {what}: no answer of the Kubernetes API within {PATIENCE:?}")]
    Slow { what: String },
}

impl Problem for LookupError {
    fn code(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "injector-lookup-failed",
            Self::Slow { .. } => "injector-lookup-slow",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Failed { source, .. } => source.blame(),
            Self::Slow { .. } => Blame::Platform,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Failed { source, .. } => source.remedy(),
            Self::Slow { .. } => {
                Some(Cow::Borrowed("look at the API server's load and at its limits for the webhook's calls"))
            }
        }
    }
}

/// Both caches, and whom to ask beside them.
#[derive(Debug)]
pub(super) struct Around {
    api: Arc<Api>,
    pub(super) namespaces: Mirror,
    pub(super) accounts: Mirror,
}

impl Around {
    pub(super) fn new(api: Arc<Api>) -> Self {
        let (namespaces, accounts) = (Mirror::of("/api/v1/namespaces"), Mirror::of("/api/v1/serviceaccounts"));
        Self { api, namespaces, accounts }
    }

    /// For as long as the process lives.
    pub(super) async fn follow(&self) {
        tokio::join!(self.namespaces.follow(&self.api), self.accounts.follow(&self.api));
    }

    pub(super) async fn namespace(&self, name: &str) -> Result<Option<Arc<Metadata>>, LookupError> {
        match self.namespaces.find("", name) {
            Some(known) => Ok(Some(known)),
            None if !is_name(name) => Ok(None),
            None => self.ask(&format!("/api/v1/namespaces/{name}"), || format!("namespace `{name}`")).await,
        }
    }

    pub(super) async fn account(&self, namespace: &str, name: &str) -> Result<Option<Arc<Metadata>>, LookupError> {
        match self.accounts.find(namespace, name) {
            Some(known) => Ok(Some(known)),
            None if !is_name(namespace) || !is_name(name) => Ok(None),
            None => {
                let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}");
                self.ask(&path, || format!("service account `{namespace}/{name}`")).await
            }
        }
    }

    /// One that was made so lately that no watch has told of it, or none.
    async fn ask(&self, path: &str, what: impl Fn() -> String) -> Result<Option<Arc<Metadata>>, LookupError> {
        match tokio::time::timeout(PATIENCE, self.api.metadata(path)).await {
            Ok(Ok(object)) => Ok(object.map(|object| Arc::new(Metadata::of_interest(&object)))),
            Ok(Err(source)) => Err(LookupError::Failed { what: what(), source }),
            Err(_) => Err(LookupError::Slow { what: what() }),
        }
    }
}

/// A DNS subdomain: nothing else can be a name, nor lead elsewhere as a part of a path.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 253
        && text.bytes().next().is_some_and(fits)
        && text.bytes().all(|byte| fits(byte) || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_name_goes_into_a_path() {
        assert!(is_name("billing") && is_name("a.b-c.1"));
        for other in ["", "..", "../secrets", "a/b", "a%2fb", "a?b", "A", "ä", &"a".repeat(254)] {
            assert!(!is_name(other), "{other}");
        }
    }
}
