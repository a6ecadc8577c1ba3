//! The one HTTP client: a request, a deadline, a size limit, a proxy, private roots.
//!
//! One connection per request: an exchange happens once in the better part of an hour, and a connection kept that long
//! is one that a firewall has dropped. It follows no redirect, keeps no cookie and never looks for a proxy in the
//! environment (the configuration passes one). Easy to get wrong: a CA or password file that turns bad must not take
//! away the good value read before.

mod client;
mod error;
mod failure;
mod pass;
mod past;
mod stream;
mod watched;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;
use zeroize::Zeroizing;

pub use error::{OutboundError, Reason};
pub use pass::Passed;
pub use past::{MARK, MARKED, Past};
pub use stream::Opened;

use client::Clients;
use failure::Way;

use crate::secret::Secret;

/// How to get out.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Roots to trust beside the platform's own (which honour `SSL_CERT_FILE`). Read again when the file changes.
    pub ca_file: Option<PathBuf>,
    /// The platform's own are not trusted.
    pub ca_file_alone: bool,
    /// `http://host:port` or `https://host:port`; every request goes through it by CONNECT.
    pub proxy: Option<Url>,
    /// `user:password` for the proxy, one line. Read again when the file changes.
    pub proxy_auth_file: Option<PathBuf>,
    /// For each step until the request can be sent: name, TCP, tunnel, TLS.
    pub connect_timeout: Duration,
    /// For the whole request.
    pub deadline: Duration,
    /// The largest body that is read, in bytes.
    pub max_body: usize,
    /// Hosts whose names lead to this machine, and where they really are.
    pub past: Past,
}

impl Default for Settings {
    /// A token with many groups and roles is some 20 KiB; 10 s is what the waiting caller has.
    fn default() -> Self {
        Self {
            ca_file: None,
            ca_file_alone: false,
            proxy: None,
            proxy_auth_file: None,
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(10),
            max_body: 256 * 1024,
            past: Past::default(),
        }
    }
}

/// A request before it is sent. Its body is wiped when the last copy we hold is dropped.
pub struct Request(reqwest::Request);

impl Request {
    /// A GET that accepts JSON.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST of `application/x-www-form-urlencoded` that accepts JSON.
    #[must_use]
    pub fn post_form(url: Url, form: Zeroizing<Vec<u8>>) -> Self {
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        let mut request = Self::new(Method::POST, url).with(CONTENT_TYPE, form_type);
        *request.0.body_mut() = Some(Bytes::from_owner(form).into());
        request
    }

    /// A GET of an issuer's document or keys. A Kubernetes API server answers 406 to who does not take keys by their own type
    /// (RFC 7517, section 8.5).
    #[must_use]
    pub fn document(url: Url) -> Self {
        Self::get(url).with(ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json"))
    }

    /// A POST of `application/json` that accepts JSON, with a bearer token.
    #[must_use]
    pub fn post_json(url: Url, body: Zeroizing<Vec<u8>>, bearer: &Secret) -> Self {
        Self::change(Method::POST, url, HeaderValue::from_static("application/json"), body).bearer(bearer)
    }

    /// A request with a body of some kind of JSON that accepts JSON.
    #[must_use]
    pub fn change(method: Method, url: Url, kind: HeaderValue, body: Zeroizing<Vec<u8>>) -> Self {
        let mut request = Self::new(method, url).with(CONTENT_TYPE, kind);
        *request.0.body_mut() = Some(Bytes::from_owner(body).into());
        request
    }

    /// The same with a bearer token. One that no header can hold is not sent, and the request is refused for that.
    #[must_use]
    pub fn bearer(self, token: &Secret) -> Self {
        let header = Zeroizing::new(format!("Bearer {}", token.expose()));
        match HeaderValue::from_str(&header) {
            Ok(mut header) => {
                header.set_sensitive(true);
                self.with(AUTHORIZATION, header)
            }
            Err(_) => self,
        }
    }

    fn new(method: Method, url: Url) -> Self {
        let agent = HeaderValue::from_static(concat!("unsecret/", env!("CARGO_PKG_VERSION")));
        Self(reqwest::Request::new(method, url))
            .with(ACCEPT, HeaderValue::from_static("application/json"))
            .with(USER_AGENT, agent)
    }

    /// The same with one header set.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }
}

/// An answer, whoever gave it. The body may hold a token and is wiped on drop.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// A header as text, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends requests as [`Settings`] say.
///
/// Cancel-safe: dropping a request closes its connection. A failure changes nothing.
#[derive(Debug)]
pub struct Outbound {
    settings: Settings,
    clients: Arc<Clients>,
}

impl Outbound {
    /// Reads and builds nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let clients = Arc::new(Clients::new(settings.clone()));
        Self { settings, clients }
    }

    /// One request, one answer of whatever status.
    pub async fn send(&self, request: Request) -> Result<Answer, OutboundError> {
        self.open(request, self.settings.deadline).await?.whole().await
    }

    /// The same up to the body, which is then read bit by bit. All of it has to come within `deadline`.
    pub async fn open(&self, mut request: Request, deadline: Duration) -> Result<Opened<'_>, OutboundError> {
        if self.settings.past.has(request.0.url().host_str()) {
            request = request.with(MARK, MARKED);
        }
        *request.0.timeout_mut() = Some(deadline);
        // Reading a file may block (a network volume that hangs), so it happens on a thread of its own.
        let clients = Arc::clone(&self.clients);
        let building = tokio::task::spawn_blocking(move || clients.current());
        let client = building.await.map_err(|_| OutboundError::Stopped)??;
        let peer = peer(request.0.url())?;
        let proxy = self.settings.proxy.as_ref().map(peer_of_proxy);
        let way = Way {
            peer: &peer,
            proxy: proxy.as_deref(),
            credentials: self.settings.proxy_auth_file.is_some(),
            connect_timeout: self.settings.connect_timeout,
            deadline,
        };
        let response = client.execute(request.0).await.map_err(|error| way.failure(&error))?;
        if response.headers().contains_key(MARK) {
            let host = response.url().host_str().unwrap_or_default().to_owned();
            return Err(OutboundError::Loop { host, how: "what answers there is unsecret itself".to_owned() });
        }
        Ok(Opened { response, settings: &self.settings, peer, proxy, deadline })
    }
}

/// `host:port`, for errors.
fn peer(url: &Url) -> Result<String, OutboundError> {
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) if matches!(url.scheme(), "http" | "https") => Ok(format!("{host}:{port}")),
        _ => Err(OutboundError::Address { url: origin(url) }),
    }
}

fn peer_of_proxy(url: &Url) -> String {
    peer(url).unwrap_or_else(|_| origin(url))
}

/// A URL for an error: scheme, host and port only, because a query or a user part may hold a secret.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
