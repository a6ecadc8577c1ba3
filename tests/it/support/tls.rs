//! A client of the doors over TLS, which trusts what it is told to and nothing else.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use unsecret::clock::{Clock as _, ManualClock};

/// The world's, which may be far ahead of the machine's.
#[derive(Debug)]
struct Time(Arc<ManualClock>);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.now().wall))
    }
}

/// Where a door over TLS is, and how it is looked for there.
#[derive(Clone, Debug)]
pub struct Tls {
    pub address: SocketAddr,
    /// The name that the certificate must have, and that Host carries.
    pub name: String,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts the certificates of this PEM file; asks for `localhost`; has this time.
    pub fn new(address: SocketAddr, roots: &Path, clock: Arc<ManualClock>) -> Self {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_file_iter(roots).unwrap() {
            store.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_details(provider, Arc::new(Time(clock)));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(store).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { address, name: "localhost".to_owned(), config: Arc::new(config) }
    }

    /// The same, looked for by another name.
    pub fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    pub async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(self.name.clone()).unwrap();
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await
    }

    /// What Host says.
    pub fn host(&self) -> String {
        let name = if self.name.contains(':') { format!("[{}]", self.name) } else { self.name.clone() };
        format!("{name}:{}", self.address.port())
    }
}
