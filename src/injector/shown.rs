//! Which certificate a handshake of the webhook gets. None until there is one: the handshake then fails, and the API server
//! says so in words that `failurePolicy` is about.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::https::{HttpsError, Pair};

/// The certificate of the moment.
#[derive(Debug, Default)]
pub(super) struct Shown(ArcSwapOption<Pair>);

impl Shown {
    /// From the next handshake on. True when that changes anything.
    pub(super) fn show(&self, pair: &Arc<Pair>) -> bool {
        let other = self.0.load().as_ref().is_none_or(|shown| shown.mark != pair.mark);
        if other {
            self.0.store(Some(Arc::clone(pair)));
        }
        other
    }

    pub(super) fn has_any(&self) -> bool {
        self.0.load().is_some()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|pair| Arc::clone(&pair.certified))
    }
}

/// TLS 1.3 alone, which every API server speaks; ALPN `http/1.1`.
pub(super) fn server_config(shown: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, HttpsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(HttpsError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
