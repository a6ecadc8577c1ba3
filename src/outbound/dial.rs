//! From a URL to a connection that speaks HTTP: name, TCP, tunnel, TLS, each with its own error.
//!
//! Easy to get wrong: behind a proxy the TLS handshake is with the far end and through the tunnel, so an untrusted
//! issuer there means inspection, while a failure before the tunnel is the proxy's.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use url::Url;

use super::OutboundError;

/// Larger heads are refused; Entra's are some 2 KiB.
const MAX_HEAD: usize = 64 * 1024;

/// Host and port of one end, and whether TLS is spoken with it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    host: String,
    port: u16,
    tls: bool,
}

impl Target {
    pub(super) fn of(url: &Url) -> Result<Self, OutboundError> {
        let invalid = || OutboundError::Address { url: bare(url) };
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(invalid()),
        };
        let host = url.host_str().ok_or_else(invalid)?.to_owned();
        let port = url.port_or_known_default().ok_or_else(invalid)?;
        Ok(Self { host, port, tls })
    }

    /// As the Host header wants it: without the port when it is the scheme's own.
    pub(super) fn host_header(&self) -> String {
        let own = if self.tls { 443 } else { 80 };
        if self.port == own { self.host.clone() } else { self.to_string() }
    }

    /// The host without the brackets that a URL puts around an IPv6 address.
    fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A URL for an error: scheme, host and port only, because a query may hold a secret.
pub(super) fn bare(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Either `step` ends within `limit`, or it is a timeout that names it.
pub(super) async fn in_time<T>(
    what: &'static str,
    peer: &str,
    limit: Duration,
    step: impl Future<Output = Result<T, OutboundError>>,
) -> Result<T, OutboundError> {
    let timeout = |_| OutboundError::Timeout { step: what, peer: peer.to_owned(), after: limit };
    tokio::time::timeout(limit, step).await.map_err(timeout)?
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
type Boxed = Box<dyn Stream>;

/// The way to one target.
pub(super) struct Route<'a> {
    pub(super) target: &'a Target,
    pub(super) proxy: Option<&'a Url>,
    pub(super) proxy_auth: Option<HeaderValue>,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) connect_timeout: Duration,
}

/// An open connection. Dropping it closes it.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    peer: String,
    /// Drives the connection; aborted on drop.
    _driver: JoinSet<()>,
}

impl Connection {
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, OutboundError> {
        let broken = |source| OutboundError::Broken { peer: self.peer.clone(), source };
        self.sender.send_request(request).await.map_err(broken)
    }

    async fn over(stream: Boxed, peer: String) -> Result<Self, (String, hyper::Error)> {
        let mut builder = http1::Builder::new();
        let shake = builder.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream));
        let (sender, connection) = match shake.await {
            Ok(open) => open,
            Err(source) => return Err((peer, source)),
        };
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Whatever ends the connection also ends the request on it, which tells.
            let _ = connection.with_upgrades().await;
        });
        Ok(Self { sender, peer, _driver: driver })
    }
}

impl Route<'_> {
    pub(super) async fn open(&self) -> Result<Connection, OutboundError> {
        let stream = match self.proxy {
            None => self.direct().await?,
            Some(proxy) => self.tunnel(&Target::of(proxy)?).await?,
        };
        let stream = if self.target.tls { self.secure(stream).await? } else { stream };
        let broken = |(peer, source)| OutboundError::Broken { peer, source };
        Connection::over(stream, self.target.to_string()).await.map_err(broken)
    }

    async fn direct(&self) -> Result<Boxed, OutboundError> {
        let target = self.target;
        let addresses = self.in_time("look up", target, async {
            lookup(target).await.map_err(|source| OutboundError::Dns { host: target.host.clone(), source })
        });
        let addresses = addresses.await?;
        connect(&addresses, self.connect_timeout).await.map_err(|source| {
            let (peer, after) = (target.to_string(), self.connect_timeout);
            if source.kind() == io::ErrorKind::TimedOut {
                return OutboundError::Timeout { step: "connect to", peer, after };
            }
            OutboundError::Connect { peer, source }
        })
    }

    async fn tunnel(&self, proxy: &Target) -> Result<Boxed, OutboundError> {
        let reaching = self.in_time("reach the proxy", proxy, async {
            let unreachable = |source| OutboundError::ProxyUnreachable { proxy: proxy.to_string(), source };
            let addresses = lookup(proxy).await.map_err(unreachable)?;
            connect(&addresses, self.connect_timeout).await.map_err(unreachable)
        });
        let mut stream = reaching.await?;
        if proxy.tls {
            let failed = |source| OutboundError::ProxyTls { proxy: proxy.to_string(), source };
            let shaking = async { handshake(&self.tls, stream, proxy).await.map_err(failed) };
            stream = self.in_time("agree on TLS with the proxy", proxy, shaking).await?;
        }
        self.in_time("open a tunnel through the proxy", proxy, self.ask_for_tunnel(stream, proxy)).await
    }

    async fn ask_for_tunnel(&self, stream: Boxed, proxy: &Target) -> Result<Boxed, OutboundError> {
        let (proxy, target) = (proxy.to_string(), self.target.to_string());
        let broken = |source| OutboundError::ProxyBroken { proxy: proxy.clone(), target: target.clone(), source };
        let connection = Connection::over(stream, proxy.clone()).await;
        let mut connection = connection.map_err(|(_, source)| broken(source))?;
        let response = connection.sender.send_request(self.connect_request(&target)).await.map_err(broken)?;
        let sent = self.proxy_auth.is_some();
        match response.status().as_u16() {
            200..=299 => {}
            407 => return Err(OutboundError::ProxyCredentials { proxy, target, sent }),
            status => return Err(OutboundError::ProxyRefused { proxy, target, status }),
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(broken)?;
        Ok(Box::new(TokioIo::new(upgraded)))
    }

    fn connect_request(&self, target: &str) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::CONNECT;
        // Host and port came out of a parsed URL; should they not fit, the proxy refuses the empty target by status.
        *request.uri_mut() = target.parse().unwrap_or_default();
        if let Ok(host) = HeaderValue::from_str(target) {
            request.headers_mut().insert(HOST, host);
        }
        if let Some(auth) = &self.proxy_auth {
            request.headers_mut().insert(PROXY_AUTHORIZATION, auth.clone());
        }
        request
    }

    async fn secure(&self, stream: Boxed) -> Result<Boxed, OutboundError> {
        let peer = || self.target.to_string();
        let shaking = async {
            handshake(&self.tls, stream, self.target).await.map_err(|source| match untrusted_issuer(&source) {
                true => OutboundError::UntrustedIssuer { peer: peer() },
                false => OutboundError::Tls { peer: peer(), source },
            })
        };
        self.in_time("agree on TLS with", self.target, shaking).await
    }

    async fn in_time<T>(
        &self,
        what: &'static str,
        peer: &Target,
        step: impl Future<Output = Result<T, OutboundError>>,
    ) -> Result<T, OutboundError> {
        in_time(what, &peer.to_string(), self.connect_timeout, step).await
    }
}

async fn lookup(target: &Target) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = tokio::net::lookup_host((target.name(), target.port)).await?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// Tries one address after the other, each for its share of the time, so that a dead IPv6 route does not use it all up.
async fn connect(addresses: &[SocketAddr], limit: Duration) -> io::Result<Boxed> {
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(Box::new(stream));
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

async fn handshake(tls: &Arc<ClientConfig>, stream: Boxed, peer: &Target) -> io::Result<Boxed> {
    let name = ServerName::try_from(peer.name().to_owned()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?))
}

fn untrusted_issuer(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)))
}
