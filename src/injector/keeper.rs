//! Keeps the webhook's own certificate: in its Secret, in the API server's trust, and in handshakes.
//!
//! All replicas do the same, and need no leader: what they write has the version that they saw, so the first wins and the others
//! take what it wrote. Easy to get wrong: the order. A certificate under a new CA is shown only once the webhook's configuration
//! names that CA; and whatever cannot be written takes nothing away that is shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::sync::watch;

use super::certificate::{self, Kept};
use super::follow::{Backoff, follow};
use super::shown::Shown;
use crate::clock::Clock;
use crate::cluster::{Api, ClusterError, Collection, Written};
use crate::local_ca::LocalCaError;
use crate::metrics::Injections;
use crate::patch::{Operation, Pointer};
use crate::problem::Problem;

/// The webhook's name inside its configuration.
const WEBHOOK: &str = "inject.unsecret.dev";
/// For an event that should come: of what was written just now, or of an object that the chart makes.
const SOON: Duration = Duration::from_secs(10);
/// Between two writes of the caBundle: who sets it back at once would be answered at once, without end.
const APART: Duration = Duration::from_secs(1);

/// The chart's objects.
#[derive(Clone, Debug)]
pub struct Names {
    pub namespace: String,
    pub service: String,
    /// In that namespace.
    pub secret: String,
    /// The MutatingWebhookConfiguration.
    pub webhook: String,
}

impl Names {
    fn secrets(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.namespace)
    }

    /// By which the API server calls.
    fn hosts(&self) -> Vec<String> {
        let host = format!("{}.{}.svc", self.service, self.namespace);
        vec![format!("{host}.cluster.local"), host]
    }
}

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// What keeps the certificate.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) api: Arc<Api>,
    pub(super) names: Names,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shown: Arc<Shown>,
    pub(super) metrics: Arc<Injections>,
    /// The API server has trusted what we show, once.
    pub(super) trusted: Arc<AtomicBool>,
}

/// What is known from before.
#[derive(Default)]
struct Memory {
    /// The last good one, for the day when somebody empties the Secret.
    last: Option<Arc<Kept>>,
    written: Option<LastWrite>,
    /// When the caBundle was written last. Monotonic.
    patched: Option<Duration>,
    /// Since when an object of the chart is missing, and after how long that is told again. Monotonic.
    missing: Option<(Duration, Duration)>,
}

impl Memory {
    /// At first it only was not listed yet.
    fn wait_for(&mut self, kind: &'static str, name: &str, now: Duration) -> Duration {
        let (since, patience) = self.missing.get_or_insert((now, SOON));
        if now.saturating_sub(*since) >= *patience {
            *patience *= 2;
            tracing::warn!(
                kind,
                name,
                "it is not there, so the API server cannot come to trust the webhook; install the chart whole"
            );
        }
        SOON
    }
}

/// Our last write of the Secret.
struct LastWrite {
    /// Monotonic.
    at: Duration,
    /// The version that it replaced.
    over: Value,
}

#[derive(Debug, thiserror::Error)]
enum KeeperError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Make(#[from] LocalCaError),
}

impl KeeperError {
    fn problem(&self) -> &dyn Problem {
        match self {
            Self::Cluster(problem) => problem,
            Self::Make(problem) => problem,
        }
    }
}

impl Keeper {
    /// For as long as the process lives.
    pub(super) async fn run(self) {
        let ((seen, mut secret), (noted, mut configuration)) = (watch::channel(None), watch::channel(None));
        let one = |path: String, name: &str| Collection { path, name: Some(name.to_owned()), metadata_only: false };
        let secrets = one(self.names.secrets(), &self.names.secret);
        let configurations = one(CONFIGURATIONS.to_owned(), &self.names.webhook);
        let tending = async {
            let (mut backoff, mut memory) = (Backoff::default(), Memory::default());
            loop {
                let (kept, told) = (secret.borrow_and_update().clone(), configuration.borrow_and_update().clone());
                let done = self.tend(kept, told, &mut memory).await;
                let wait = match done {
                    Ok(wait) => {
                        backoff = Backoff::default();
                        wait
                    }
                    Err(error) => backoff
                        .after(error.problem(), "the webhook's certificate cannot be kept; what is shown goes on"),
                };
                tokio::select! {
                    // Both senders live as long as we do.
                    _ = secret.changed() => {}
                    _ = configuration.changed() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
        };
        tokio::join!(follow(&self.api, &secrets, &seen), follow(&self.api, &configurations, &noted), tending);
    }

    /// Does what is next. Says after how long to look again, whatever happens until then.
    async fn tend(
        &self,
        secret: Option<Value>,
        configuration: Option<Value>,
        memory: &mut Memory,
    ) -> Result<Duration, KeeperError> {
        let Some(secret) = secret else {
            return Ok(memory.wait_for("Secret", &self.names.secret, self.clock.now().mono));
        };
        let (now, hosts) = (self.clock.now(), self.names.hosts());
        let found = Kept::read(&secret["data"]).map(Arc::new);
        let Some(kept) = found.clone().filter(|kept| !kept.is_due(&hosts, now)) else {
            let before = found.or_else(|| memory.last.clone());
            let renewed = self.renew(secret, before.as_ref(), &mut memory.written).await;
            if let (Err(_), Some(old), Some(configuration)) = (&renewed, &before, &configuration)
                && old.is_good(&hosts, now)
            {
                // It serves as before while the Secret cannot be written.
                self.spread(old, configuration, &mut memory.patched).await?;
            }
            return renewed;
        };
        memory.last = Some(Arc::clone(&kept));
        let Some(configuration) = configuration else {
            self.show(&kept, "");
            return Ok(memory.wait_for("MutatingWebhookConfiguration", &self.names.webhook, now.mono));
        };
        memory.missing = None;
        let wait = self.spread(&kept, &configuration, &mut memory.patched).await?;
        Ok(wait.unwrap_or_else(|| certificate::rest(kept.pair.not_after, now)))
    }

    /// A good certificate into the Secret: the one before, or a new one. The watch brings it back, whoever wrote it. Not at once
    /// after the last one: somebody who finds ours no good, such as a replica with another Service or another time, would answer
    /// it with theirs without end.
    async fn renew(
        &self,
        mut secret: Value,
        before: Option<&Arc<Kept>>,
        written: &mut Option<LastWrite>,
    ) -> Result<Duration, KeeperError> {
        if let Some(before) = before {
            // It may be old, and is better than none.
            self.show(before, "");
        }
        let now = self.clock.now();
        let version = secret["metadata"]["resourceVersion"].clone();
        if let Some(last) = &*written
            && let Some(rest) = SOON.checked_sub(now.mono.saturating_sub(last.at))
        {
            // What we wrote over is what was seen until the watch tells of it.
            if version != last.over {
                tracing::warn!(
                    secret = self.names.secret,
                    "it was written just now, and is no good again: does somebody else write it, or do clocks differ?"
                );
            }
            return Ok(rest);
        }
        let hosts = self.names.hosts();
        let good = match before {
            // It was only taken away.
            Some(before) if !before.is_due(&hosts, now) => Arc::clone(before),
            before => Arc::new(Kept::make(before.map(Arc::as_ref), &hosts, now)?),
        };
        // Objects of a list come without these.
        (secret["apiVersion"], secret["kind"]) = ("v1".into(), "Secret".into());
        secret["data"] = good.data();
        let path = format!("{}/{}", self.names.secrets(), self.names.secret);
        match self.api.replace(&path, &secret).await? {
            Written::Done => {
                *written = Some(LastWrite { at: now.mono, over: version });
                tracing::info!(not_after = good.pair.not_after, "the webhook's certificate was written");
            }
            Written::Conflict => tracing::debug!("another replica was first to write the webhook's certificate"),
        }
        Ok(SOON)
    }

    /// Has the API server trust it, and shows it. `None` when all is as it should be.
    async fn spread(
        &self,
        kept: &Kept,
        configuration: &Value,
        patched: &mut Option<Duration>,
    ) -> Result<Option<Duration>, KeeperError> {
        let webhooks = configuration["webhooks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(index) = webhooks.iter().position(|webhook| webhook["name"] == WEBHOOK) else {
            self.show(kept, "");
            self.metrics.in_sync(false);
            tracing::warn!(
                configuration = self.names.webhook,
                "it has no webhook `{WEBHOOK}`; install the chart again"
            );
            return Ok(Some(SOON * 6));
        };
        let there = webhooks[index]["clientConfig"]["caBundle"].as_str().unwrap_or_default();
        let there = String::from_utf8(STANDARD.decode(there).unwrap_or_default()).unwrap_or_default();
        self.show(kept, &there);
        let in_sync = there == kept.bundle;
        self.metrics.in_sync(in_sync);
        if in_sync {
            if !self.trusted.swap(true, Ordering::Relaxed) {
                tracing::info!("the API server trusts the webhook's certificate");
            }
            return Ok(None);
        }
        let now = self.clock.now().mono;
        if let Some(rest) = patched.and_then(|last| APART.checked_sub(now.saturating_sub(last))) {
            return Ok(Some(rest));
        }
        *patched = Some(now);
        let place = Pointer::root().below("webhooks").below(index);
        let operations = [
            Operation::Test { path: place.below("name"), value: WEBHOOK.into() },
            // `add` also replaces (RFC 6902 4.1).
            Operation::Add {
                path: place.below("clientConfig").below("caBundle"),
                value: STANDARD.encode(&kept.bundle).into(),
            },
        ];
        let path = format!("{CONFIGURATIONS}/{}", self.names.webhook);
        if self.api.patch(&path, &operations).await? == Written::Done {
            tracing::info!(configuration = self.names.webhook, "its caBundle was written");
        }
        Ok(Some(SOON))
    }

    /// In handshakes from now on, if the API server trusts its CA already, or where there is nothing else to show.
    fn show(&self, kept: &Kept, trusted: &str) {
        let may = !self.shown.has_any() || certificate::has_authority(trusted, &kept.authority_pem());
        if may && self.shown.show(&kept.pair) {
            self.metrics.serving_until(kept.pair.not_after);
            tracing::info!(thumbprint = kept.pair.mark.hex(), not_after = kept.pair.not_after, "certificate in use");
        }
    }
}
