//! The way to an issuer's documents: a connection to its `at`, over TLS where the issuer has a `ca_file`.
//!
//! Not what is asked there (`metadata`). Entra itself speaks TLS to every issuer; without a `ca_file` the emulator leaves it
//! out, so that a played issuer needs no certificate. Easy to get wrong: the certificate is judged by the name in the URL,
//! not by the address that is dialled.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::EmulatorError;
use crate::clock::Clock;

/// What HTTP is spoken over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Trusts the CA of one issuer.
pub(super) struct Trust(TlsConnector);

impl Trust {
    /// The roots in this file, judged by the emulator's own time.
    pub(super) fn read(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, EmulatorError> {
        let unreadable = || EmulatorError::IssuerCa(path.to_owned());
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(path).map_err(|_| unreadable())? {
            root.ok().and_then(|root| roots.add(root).ok()).ok_or_else(unreadable)?;
        }
        if roots.is_empty() {
            return Err(unreadable());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_details(provider, Arc::new(Time(clock)));
        let builder = builder.with_safe_default_protocol_versions().map_err(|_| unreadable())?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        // Of all that a server may speak, what `metadata` does.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

/// Connects to `at` on behalf of `url`; `None` when anything goes wrong.
pub(super) async fn connect(at: SocketAddr, trust: Option<&Trust>, url: &Url) -> Option<Box<dyn Stream>> {
    let stream = TcpStream::connect(at).await.ok()?;
    let Some(trust) = trust else { return Some(Box::new(stream)) };
    let name = ServerName::try_from(url.host_str()?.to_owned()).ok()?;
    Some(Box::new(trust.0.connect(name, stream).await.ok()?))
}

#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.now().wall))
    }
}
