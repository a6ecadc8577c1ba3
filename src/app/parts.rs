//! What one identity is made of: its way out, Entra at the end of it, and what proves who we are.
//!
//! The broker and the verbs that work on their own take the same parts, so that what a verb sees is what the broker
//! would see. Nothing here asks anybody. Easy to get wrong: the way out is there even where the source cannot be opened.

use std::sync::Arc;

use crate::assertion::{
    AssertionError, AssertionSource, CertificateSource, Credential, FileSource, GithubSource, Leaf,
};
use crate::clock::Clock;
use crate::config::{AssertionSettings, CertificateSettings, Identity, OutboundSettings};
use crate::entra::Entra;
use crate::outbound::{Outbound, Settings};
use crate::signer::{Algorithm, SignError, Signers};

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
    /// The certificates it signs with, newest first; none where it signs nothing.
    pub leaves: Vec<Leaf>,
    /// What an operator should hear, such as a key file that others can read.
    pub warnings: Vec<String>,
}

impl Parts {
    /// Describes: reads no file and connects to nothing.
    #[must_use]
    pub fn of(identity: &Identity, clock: &Arc<dyn Clock>, signers: &Arc<Signers>) -> Self {
        let outbound = Arc::new(outbound(&identity.outbound));
        let entra = Entra::new(Arc::clone(&outbound), Arc::clone(clock));
        Self { outbound, entra, clock: Arc::clone(clock), signers: Arc::clone(signers) }
    }

    /// Opens certificates and keys; a token file is read when an assertion is wanted, since the platform replaces it.
    pub async fn open(&self, identity: &Identity) -> Result<Opened, AssertionError> {
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
            AssertionSettings::Certificates { certificates, algorithm, .. } => {
                return self.signing(identity, certificates.clone(), algorithm.unwrap_or_default()).await;
            }
        };
        Ok(Opened { source, leaves: Vec::new(), warnings: Vec::new() })
    }

    async fn signing(
        &self,
        identity: &Identity,
        certificates: Vec<CertificateSettings>,
        algorithm: Algorithm,
    ) -> Result<Opened, AssertionError> {
        // On a thread of its own: a PKCS#12 password costs a second on purpose, and a reload must not stop the doors.
        let signers = Arc::clone(&self.signers);
        let opening = tokio::task::spawn_blocking(move || {
            let open = |one: &CertificateSettings| Credential::open(&one.certificate, &one.key, &signers);
            certificates.iter().map(open).collect::<Result<Vec<_>, _>>()
        });
        let stopped = |join| SignError::Backend { kind: "file", source: Box::new(join) };
        let credentials = opening.await.map_err(|join| AssertionError::Sign { source: stopped(join) })??;
        let warnings = credentials.iter().filter_map(|credential| credential.warning.clone()).collect();
        let client_id = identity.entry.client_id.clone();
        let source = CertificateSource::open(client_id, algorithm, credentials, Arc::clone(&self.clock)).await?;
        let leaves = source.leaves().cloned().collect();
        Ok(Opened { source: Arc::new(source), leaves, warnings })
    }
}

fn outbound(settings: &OutboundSettings) -> Outbound {
    Outbound::new(Settings {
        ca_file: settings.ca_file.clone(),
        proxy: settings.proxy.clone(),
        proxy_auth_file: settings.proxy_auth_file.clone(),
        ..Settings::default()
    })
}
