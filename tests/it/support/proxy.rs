//! A CONNECT proxy as companies have them: wants a password, looks into TLS, and has bad days.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use unsecret::local_ca::LocalCa;

use super::far_end::{Reply, acceptor, reply, request};

/// What the proxy does with a CONNECT whose password is right.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// Opens the tunnel, looks into it, passes it on.
    Inspect,
    /// Opens the tunnel and answers the request in it itself.
    Inside(Reply),
    /// Answers the CONNECT with this instead.
    Instead(Reply),
}

struct State {
    mode: Mode,
    /// The whole value of `Proxy-Authorization`.
    wanted: String,
    inspection: TlsAcceptor,
}

/// The proxy. Stops when dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    far: TlsConnector,
    task: Option<JoinHandle<()>>,
}

impl Proxy {
    /// `wanted` is `Basic …`; `inspection` signs what clients see, `far_ca` is what the proxy trusts.
    pub(crate) async fn start(wanted: &str, inspection: &LocalCa, far_ca: &LocalCa) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(far_ca.certificate_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let far = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let far = TlsConnector::from(Arc::new(far.with_root_certificates(roots).with_no_client_auth()));
        let inspection = acceptor(inspection, "localhost");
        let state = State { mode: Mode::Inspect, wanted: wanted.to_owned(), inspection };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut proxy = Self { address, state: Arc::new(Mutex::new(state)), far, task: None };
        proxy.serve(listener);
        proxy
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    pub(crate) fn set_password(&self, wanted: &str) {
        wanted.clone_into(&mut self.state.lock().unwrap().wanted);
    }

    pub(crate) fn set_inspection(&self, ca: &LocalCa) {
        self.state.lock().unwrap().inspection = acceptor(ca, "localhost");
    }

    /// Closes the port.
    pub(crate) async fn die(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            // The listener is closed once the task has ended.
            let _ = task.await;
        }
    }

    /// Opens the same port again.
    pub(crate) async fn revive(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let (state, far) = (Arc::clone(&self.state), self.far.clone());
        self.task = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&state), far.clone()));
            }
        }));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn connection(mut client: TcpStream, state: Arc<Mutex<State>>, far: TlsConnector) -> Option<()> {
    let asked = request(&mut client).await?;
    let target = asked.head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let (mode, inspection, allowed) = {
        let state = state.lock().unwrap();
        let sent = asked.head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("proxy-authorization").then_some(value)
        });
        (state.mode.clone(), state.inspection.clone(), sent == Some(state.wanted.as_str()))
    };
    if !allowed {
        let challenge = [("proxy-authenticate", "Basic realm=\"proxy\"")];
        reply(&mut client, &Reply::http(407, &challenge, "<html>who are you")).await;
        return None;
    }
    if let Mode::Instead(page) = &mode {
        reply(&mut client, page).await;
        return None;
    }
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    let mut inside = inspection.accept(client).await.ok()?;
    if let Mode::Inside(page) = &mode {
        request(&mut inside).await?;
        reply(&mut inside, page).await;
        return None;
    }
    let name = ServerName::try_from("localhost").unwrap();
    let port = target.rsplit_once(':')?.1.parse().ok()?;
    let onward = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await.ok()?;
    let mut onward = far.connect(name, onward).await.ok()?;
    copy_bidirectional(&mut inside, &mut onward).await.ok().map(drop)
}
