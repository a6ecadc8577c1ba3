//! The certificate of the doors over TLS: a company's, or one under a local CA; kept good, and what clients have to trust.
//!
//! | file | subject |
//! | --- | --- |
//! | `pair` | a certificate chain with its key, which fit |
//! | `served` | which of them a handshake gets, and the names that they carry |
//! | `company` | files that somebody else replaces |
//! | `local`, `generation`, `plan` | certificates that we make: when a new one, and until when the old one is shown |
//! | `folder` | where these lie on the disk |
//! | `bundle` | what clients are to trust, in the forms that they take |
//!
//! No socket is here and no task: `listen` accepts, `app` calls [`Keeper::tend`] now and then. Easy to get wrong: clients
//! read what they trust once, at their start, so a new root must be in their bundle long before its certificate is shown.

mod bundle;
mod company;
mod error;
mod folder;
mod generation;
mod local;
mod pair;
mod plan;
mod served;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;

use self::company::Company;
use self::local::Local;
use crate::clock::{Clock, Deadline};
use crate::observe::{Event, Observer};

pub use bundle::{Bundle, COMBINED, ROOTS, TRUST_STORE, TRUST_STORE_PASSWORD, machine_roots};
pub use company::{Root, root};
pub use error::HttpsError;
pub use local::trusted;
pub use pair::{Pair, Unfit};
pub use served::Served;

/// How often files are looked at, and ends.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provision {
    /// PEM files of somebody's CA, the leaf first.
    Files { certificate: PathBuf, key: PathBuf },
    /// Our own, for these names, kept in this folder.
    Local { folder: PathBuf, names: Vec<String> },
}

/// Keeps what is shown in handshakes good.
#[derive(Debug)]
pub struct Keeper {
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    served: Arc<Served>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    provision: Provision,
    source: Source,
    look: Deadline,
}

#[derive(Debug)]
enum Source {
    Company(Company),
    Local(Local),
}

impl Source {
    /// Fails where nothing could be shown in a handshake.
    fn open(provision: &Provision, clock: &dyn Clock) -> Result<(Self, Vec<Arc<Pair>>), HttpsError> {
        let now = clock.now();
        match provision {
            Provision::Files { certificate, key } => {
                let (company, pair) = Company::open(certificate.clone(), key.clone(), now)?;
                Ok((Self::Company(company), vec![Arc::new(pair)]))
            }
            Provision::Local { folder, names } => {
                let mut local = Local::new(folder.clone(), names.clone());
                let pairs = local.tend(now)?;
                Ok((Self::Local(local), pairs))
            }
        }
    }
}

impl Keeper {
    /// Reads or makes the first certificate. Blocks on the disk.
    pub fn open(provision: Provision, clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Result<Self, HttpsError> {
        let (source, pairs) = Source::open(&provision, &*clock)?;
        let look = Deadline::after(clock.now(), LOOK_EVERY);
        let keeper = Self {
            clock,
            observer,
            served: Arc::new(Served::new(pairs)),
            state: Mutex::new(State { provision, source, look }),
        };
        keeper.tell();
        Ok(keeper)
    }

    /// TLS 1.2 and 1.3, no client certificates, ALPN `http/1.1`, and always the certificate of the moment.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, HttpsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(HttpsError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(self.served.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// What is shown in handshakes, for who wants to know its names.
    #[must_use]
    pub fn served(&self) -> Arc<Served> {
        Arc::clone(&self.served)
    }

    /// Takes certificates from elsewhere, or for other names, from now on. On failure all stays as it was. Blocks on the
    /// disk.
    pub fn provide(&self, provision: Provision) -> Result<(), HttpsError> {
        let mut state = self.state();
        if state.provision != provision {
            let (source, pairs) = Source::open(&provision, &*self.clock)?;
            (state.provision, state.source) = (provision, source);
            self.show(pairs);
        }
        Ok(())
    }

    /// What is to be done now and then: looks at files, makes what will be needed, warns of ends. Says how long there is
    /// nothing more to do. Blocks on the disk.
    pub fn tend(&self) -> Duration {
        let (mut state, now) = (self.state(), self.clock.now());
        if state.look.is_past(now) {
            let pairs = match &mut state.source {
                Source::Company(company) => company.look(now).map(|pair| vec![Arc::new(pair)]),
                // It makes new ones in memory at least; were even that to fail, the old ones are shown to their end.
                Source::Local(local) => local.tend(now).ok(),
            };
            if let Some(pairs) = pairs {
                self.show(pairs);
            }
            state.look = Deadline::after(now, LOOK_EVERY);
        }
        state.look.remaining(now)
    }

    fn show(&self, pairs: Vec<Arc<Pair>>) {
        if self.served.show(pairs) {
            self.tell();
        }
    }

    fn tell(&self) {
        let shown = self.served.first();
        self.observer.on(&Event::HttpsCertificate { thumbprint: &shown.mark.hex(), not_after: shown.not_after });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
