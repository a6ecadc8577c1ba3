//! What a configuration says about the https listener, handed to the keeper of its certificate; and the task that has it
//! look around.
//!
//! Easy to get wrong: the keeper blocks on the disk, so it never works on the runtime that serves held tokens.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::wire::Tools;
use crate::config::{Config, HttpsFiles};
use crate::https::{HttpsError, Keeper, Provision, Served};

/// The keeper and its task.
#[derive(Debug)]
pub(super) struct Https {
    keeper: Arc<Keeper>,
    poke: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Https {
    /// Reads or makes the certificate. Like [`super::upkeep`], it never sleeps longer than `tick`.
    pub(super) async fn open(config: &Config, tools: &Tools, tick: Duration) -> Result<Self, HttpsError> {
        let (provision, clock, observer) = (provision(config), Arc::clone(&tools.clock), Arc::clone(&tools.observer));
        let keeper = Arc::new(apart(move || Keeper::open(provision, clock, observer)).await?);
        let poke = watch::Sender::new(());
        let (kept, mut poked) = (Arc::clone(&keeper), poke.subscribe());
        let task = tokio::spawn(async move {
            loop {
                let keeper = Arc::clone(&kept);
                let wait = tokio::task::spawn_blocking(move || keeper.tend()).await.unwrap_or(tick);
                // Errs only when the time is up, which is as good as a poke.
                let _ = timeout(wait.min(tick), poked.changed()).await;
            }
        });
        Ok(Self { keeper, poke, task })
    }

    pub(super) fn server_config(&self) -> Result<Arc<ServerConfig>, HttpsError> {
        self.keeper.server_config()
    }

    pub(super) fn served(&self) -> Arc<Served> {
        self.keeper.served()
    }

    /// Takes a new configuration over, or leaves everything as it was.
    pub(super) async fn change(&self, config: &Config) -> Result<(), HttpsError> {
        let (provision, keeper) = (provision(config), Arc::clone(&self.keeper));
        apart(move || keeper.provide(provision)).await
    }

    /// For who has just moved a clock by hand.
    pub(super) fn poke(&self) {
        self.poke.send_replace(());
    }
}

impl Drop for Https {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// On a thread of its own.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HttpsError> + Send + 'static,
) -> Result<T, HttpsError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(HttpsError::Unfit { why: "the work crashed" }))
}

/// Where this configuration wants certificates from. The local CA also serves a socket that only systemd named.
#[must_use]
pub fn provision(config: &Config) -> Provision {
    match config.listen.https.as_ref().and_then(|https| https.files.clone()) {
        Some(HttpsFiles { certificate, key }) => Provision::Files { certificate, key },
        None => Provision::Local { folder: config.hardware.state_dir.join("https"), names: names(config) },
    }
}

/// Ours by nature, then those that were configured.
fn names(config: &Config) -> Vec<String> {
    let mut names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    for name in config.listen.hosts.iter().chain(&config.listen.takeover.hosts) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
