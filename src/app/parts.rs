//! What one identity is made of: its way out, Entra at the end of it, and what proves who we are.
//!
//! The broker and the verbs that work on their own take the same parts, so that what a verb sees is what the broker
//! would see. Nothing here asks anybody. Easy to get wrong: the way out is there even where the source cannot be opened.

use std::sync::Arc;

use crate::assertion::{
    AssertionError, AssertionSource, CertificateSource, Credential, FileSource, GithubSource, Keys, Leaf, Pair, Signing,
};
use crate::clock::Clock;
use crate::config::{AssertionSettings, CertificateSettings, Identity, OutboundSettings};
use crate::entra::Entra;
use crate::observe::Observer;
use crate::outbound::{Outbound, Past, Settings};
use crate::signer::{Device, KeyUri, SignError, Signers};

/// The way to Entra of one identity.
#[derive(Debug)]
pub struct Parts {
    pub outbound: Arc<Outbound>,
    pub entra: Entra,
    clock: Arc<dyn Clock>,
    signers: Arc<Signers>,
}

/// What proves who we are, its files read.
#[derive(Debug)]
pub struct Opened {
    pub source: Arc<dyn AssertionSource>,
    /// The same, where it signs with keys of certificates.
    pub signing: Option<Arc<CertificateSource>>,
}

impl Parts {
    /// Describes: reads no file and connects to nothing.
    #[must_use]
    pub fn of(identity: &Identity, clock: &Arc<dyn Clock>, signers: &Arc<Signers>) -> Self {
        let outbound = Arc::new(Outbound::new(way(&identity.outbound)));
        let entra = Entra::new(Arc::clone(&outbound), Arc::clone(clock));
        Self { outbound, entra, clock: Arc::clone(clock), signers: Arc::clone(signers) }
    }

    /// Opens certificates and keys, and asks no key anything yet; a token file is read when an assertion is wanted, since the
    /// platform replaces it. `observer` hears what becomes of the keys.
    pub async fn open(&self, identity: &Identity, observer: &Arc<dyn Observer>) -> Result<Opened, AssertionError> {
        let clock = Arc::clone(&self.clock);
        let source: Arc<dyn AssertionSource> = match &identity.assertion {
            AssertionSettings::File { path, audience } => {
                Arc::new(FileSource::new(path.clone(), audience.clone(), clock))
            }
            AssertionSettings::Github { audience, request_url, request_token } => {
                // The runner's endpoint is reached as Entra is: the same proxy, the same private roots.
                let outbound = Arc::clone(&self.outbound);
                Arc::new(GithubSource::new(outbound, request_url, request_token.0.clone(), audience.clone(), clock))
            }
            AssertionSettings::Certificates { certificates, algorithm, test_every } => {
                let signing = Signing {
                    identity: identity.entry.name.clone(),
                    client_id: identity.entry.client_id.clone(),
                    algorithm: *algorithm,
                    test_every: *test_every,
                };
                let credentials = self.credentials(certificates).await?;
                let source = Arc::new(CertificateSource::new(signing, credentials, clock, Arc::clone(observer))?);
                return Ok(Opened { source: source.clone(), signing: Some(source) });
            }
        };
        Ok(Opened { source, signing: None })
    }

    /// Where this key is, to look around.
    pub fn device(&self, key: &KeyUri) -> Result<Arc<dyn Device>, SignError> {
        self.signers.device(key)
    }

    async fn credentials(&self, certificates: &[CertificateSettings]) -> Result<Vec<Credential>, AssertionError> {
        let pair = |one: &CertificateSettings| Pair { certificate: one.certificate.clone(), key: one.key.clone() };
        let pairs: Vec<_> = certificates.iter().map(pair).collect();
        let keys: Arc<dyn Keys> = self.signers.clone();
        // On a thread of its own: a PKCS#12 password costs a second on purpose, and a reload must not stop the doors.
        let opening =
            tokio::task::spawn_blocking(move || pairs.iter().map(|pair| Credential::open(pair, &keys)).collect());
        let stopped = |join| SignError::Backend { kind: "file", source: Box::new(join) };
        opening.await.map_err(|join| AssertionError::Sign { source: stopped(join) })?
    }
}

impl Opened {
    /// The certificates it signs with, newest first; none where it signs nothing.
    #[must_use]
    pub fn leaves(&self) -> Vec<Leaf> {
        self.signing.as_ref().map(|signing| signing.leaves()).unwrap_or_default()
    }

    /// What an operator should hear, such as a key file that others can read.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.signing.as_ref().map(|signing| signing.warnings()).unwrap_or_default()
    }
}

/// The way out that these settings mean.
pub(super) fn way(settings: &OutboundSettings) -> Settings {
    Settings {
        ca_file: settings.ca_file.clone(),
        proxy: settings.proxy.clone(),
        proxy_auth_file: settings.proxy_auth_file.clone(),
        past: Past { hosts: settings.takeover.hosts.clone(), addresses: settings.takeover.addresses.clone() },
        ..Settings::default()
    }
}
