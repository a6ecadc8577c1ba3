//! The webhook: reviews of new pods, answered from memory.
//!
//! | file | subject |
//! | --- | --- |
//! | `review`, `weight` | what a kube-apiserver asks and is told; how much of it is too much |
//! | `answer` | the way of one review, from request to response |
//! | `around` | what stands around a pod, from caches (`mirror`) or asked for once |
//! | `certificate`, `keeper`, `shown` | the webhook's own certificate: what lies in the Secret, who keeps it, what handshakes get |
//! | `follow` | one object of the cluster, watched |
//! | `pages` | `/livez`, `/readyz`, `/metrics` |
//!
//! What a pod becomes is decided by `inject`; sockets are bound by the verb. Easy to get wrong: whoever may make pods chooses
//! every byte of the object, so none of it goes into a log but a name, escaped; and what cannot be judged must not be denied:
//! it fails as a call, so that `failurePolicy` decides.

mod answer;
mod around;
mod certificate;
mod follow;
mod keeper;
mod mirror;
mod pages;
mod review;
mod shown;
mod weight;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustls::ServerConfig;
use tokio::task::JoinSet;

use self::around::Around;
use self::keeper::Keeper;
use self::shown::Shown;
use crate::clock::Clock;
use crate::cluster::{Api, Place};
use crate::https::{self, HttpsError, Provision};
use crate::inject::Values;
use crate::metrics::Injections;
use crate::observe::{Event, Observer};

pub use answer::Webhook;
pub use around::LookupError;
pub use keeper::Names;
pub use pages::Pages;
pub use review::{Asked, Review, ReviewError, Told};

/// Where the webhook's certificate comes from.
#[derive(Clone, Debug)]
pub enum Tls {
    /// Our own, in the Secret that the chart makes; the API server is told to trust it.
    SelfMade(Names),
    /// `tls.crt` and `tls.key` in a folder that somebody else fills, who also tells the API server.
    Folder(PathBuf),
}

/// What the process gives the webhook.
#[derive(Debug)]
pub struct Settings {
    pub values: Values,
    pub place: Place,
    pub tls: Tls,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Injections>,
}

/// A webhook with all that keeps it good. Dropping it ends its tasks.
#[derive(Debug)]
pub struct Injector {
    pub webhook: Arc<Webhook>,
    pub pages: Arc<Pages>,
    /// For the listener: TLS 1.3, always with the certificate of the moment.
    pub tls: Arc<ServerConfig>,
    #[expect(dead_code, reason = "the tasks end with it")]
    tasks: JoinSet<()>,
}

impl Injector {
    /// Begins to follow the cluster. Comes back at once: whether it can be asked shows on `/readyz`.
    ///
    /// # Errors
    /// When a folder has no certificate that can be shown.
    pub fn start(settings: Settings) -> Result<Self, HttpsError> {
        let Settings { values, place, tls, clock, metrics } = settings;
        let api = Arc::new(Api::new(place));
        let around = Arc::new(Around::new(Arc::clone(&api)));
        let trusted = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let tls = match tls {
            Tls::SelfMade(names) => {
                let (shown, metrics) = (Arc::new(Shown::default()), Arc::clone(&metrics));
                metrics.in_sync(false);
                let (clock, trusted) = (Arc::clone(&clock), Arc::clone(&trusted));
                let config = shown::server_config(shown.clone())?;
                tasks.spawn(Keeper { api, names, clock, shown, metrics, trusted }.run());
                config
            }
            Tls::Folder(folder) => {
                let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
                let told = Arc::new(ServingEnd(Arc::clone(&metrics)));
                let keeper = https::Keeper::open(Provision::Files { certificate, key }, Arc::clone(&clock), told)?;
                let config = shown::server_config(keeper.served())?;
                trusted.store(true, std::sync::atomic::Ordering::Relaxed);
                tasks.spawn(tend(Arc::new(keeper)));
                config
            }
        };
        let following = Arc::clone(&around);
        tasks.spawn(async move { following.follow().await });
        let pages = Pages {
            around: Arc::clone(&around),
            trusted,
            metrics: Arc::clone(&metrics),
            draining: AtomicBool::new(false),
        };
        let webhook = Arc::new(Webhook { values, around, metrics, clock, room: answer::room() });
        Ok(Self { webhook, pages: Arc::new(pages), tls, tasks })
    }
}

/// Looks at the files now and then.
async fn tend(keeper: Arc<https::Keeper>) {
    loop {
        let tended = Arc::clone(&keeper);
        // On a thread of its own: a volume may hang.
        let Ok(rest) = tokio::task::spawn_blocking(move || tended.tend()).await else { return };
        tokio::time::sleep(rest.max(std::time::Duration::from_secs(1))).await;
    }
}

/// Has the metrics tell of a certificate out of files.
#[derive(Debug)]
struct ServingEnd(Arc<Injections>);

impl Observer for ServingEnd {
    fn on(&self, event: &Event<'_>) {
        if let Event::HttpsCertificate { not_after, .. } = *event {
            self.0.serving_until(not_after);
        }
    }
}
