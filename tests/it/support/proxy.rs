//! A CONNECT proxy as companies have them: wants a password, looks into TLS, and has bad days.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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

/// One CONNECT as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connect {
    /// `host:port`.
    pub(crate) target: String,
    /// Whether the password was right.
    pub(crate) allowed: bool,
}

/// What the inspection certificate is for, beside the far end's own name and the issuer's.
pub(crate) const ALIAS: &str = "login.entra.example";
const NAMES: [&str; 3] = ["localhost", ALIAS, "issuer.example"];

struct State {
    mode: Mode,
    /// The whole value of `Proxy-Authorization`.
    wanted: String,
    inspection: TlsAcceptor,
    onward: Option<Onward>,
    /// Targets that are plain HTTP on a port of their own behind the tunnel's TLS.
    plain: Vec<(String, SocketAddr)>,
    connects: Vec<Connect>,
}

/// Where every other tunnel ends, whatever host it is asked for.
#[derive(Clone)]
struct Onward {
    address: SocketAddr,
    tls: TlsConnector,
}

/// The proxy. Stops when dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: Option<JoinHandle<()>>,
}

impl Proxy {
    /// `wanted` is `user:password`; `inspection` signs what clients see.
    pub(crate) async fn start(wanted: &str, inspection: &LocalCa) -> Self {
        let state = State {
            mode: Mode::Inspect,
            wanted: basic(wanted),
            inspection: acceptor(inspection, &NAMES),
            onward: None,
            plain: Vec::new(),
            connects: Vec::new(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut proxy = Self { address, state: Arc::new(Mutex::new(state)), task: None };
        proxy.serve(listener);
        proxy
    }

    /// Every tunnel ends there, at `localhost` with a certificate under this CA.
    pub(crate) fn lead_to(&self, address: SocketAddr, ca_pem: &str) {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let tls = TlsConnector::from(Arc::new(client.with_root_certificates(roots).with_no_client_auth()));
        self.state.lock().unwrap().onward = Some(Onward { address, tls });
    }

    /// Tunnels to this `host:port` end there, in plain HTTP.
    pub(crate) fn lead_plainly(&self, target: &str, address: SocketAddr) {
        self.state.lock().unwrap().plain.push((target.to_owned(), address));
    }

    /// These tunnels break off: port 1 is nobody's.
    pub(crate) fn lead_nowhere(&self, target: &str) {
        let mut state = self.state.lock().unwrap();
        state.plain.retain(|(host, _)| host != target);
        state.plain.push((target.to_owned(), ([127, 0, 0, 1], 1).into()));
    }

    /// Every CONNECT so far.
    pub(crate) fn connects(&self) -> Vec<Connect> {
        self.state.lock().unwrap().connects.clone()
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    pub(crate) fn set_password(&self, wanted: &str) {
        self.state.lock().unwrap().wanted = basic(wanted);
    }

    pub(crate) fn set_inspection(&self, ca: &LocalCa) {
        self.state.lock().unwrap().inspection = acceptor(ca, &NAMES);
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
        let state = Arc::clone(&self.state);
        self.task = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&state)));
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

/// The whole value of `Proxy-Authorization`.
pub(crate) fn basic(user_and_password: &str) -> String {
    format!("Basic {}", STANDARD.encode(user_and_password))
}

async fn connection(mut client: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let asked = request(&mut client).await?;
    let target = asked.head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    let (mode, inspection, onward, plain, allowed) = {
        let mut state = state.lock().unwrap();
        let sent = asked.head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("proxy-authorization").then_some(value)
        });
        let allowed = sent == Some(state.wanted.as_str());
        let plain = state.plain.iter().find(|(host, _)| *host == target).map(|(_, address)| *address);
        state.connects.push(Connect { target, allowed });
        (state.mode.clone(), state.inspection.clone(), state.onward.clone(), plain, allowed)
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
    if let Some(address) = plain {
        let mut onward = TcpStream::connect(address).await.ok()?;
        return copy_bidirectional(&mut inside, &mut onward).await.ok().map(drop);
    }
    let Onward { address, tls } = onward?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut onward = tls.connect(name, TcpStream::connect(address).await.ok()?).await.ok()?;
    copy_bidirectional(&mut inside, &mut onward).await.ok().map(drop)
}
