//! The one HTTP client: a request, a deadline, a size limit, a proxy, private roots.
//!
//! One connection per request: an exchange happens once in the better part of an hour, and a connection kept that long
//! is one that a firewall has dropped. Built on hyper rather than on a ready client so that a proxy's refusal keeps its
//! status and every failure its type. Not for requests that follow redirects or keep cookies; it does neither, and it
//! never looks for a proxy in the environment (the configuration passes one). Easy to get wrong: a CA or password file
//! that turns bad must not take away the good value read before.

mod dial;
mod error;
mod watched;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use url::Url;
use zeroize::Zeroizing;

pub use error::OutboundError;

use dial::{Route, Target};
use watched::Files;

/// How to get out.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Roots to trust beside the platform's own (which honour `SSL_CERT_FILE`). Read again when the file changes.
    pub ca_file: Option<PathBuf>,
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
}

impl Default for Settings {
    /// A token with many groups and roles is some 20 KiB; 10 s is what the waiting caller has.
    fn default() -> Self {
        Self {
            ca_file: None,
            proxy: None,
            proxy_auth_file: None,
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(10),
            max_body: 256 * 1024,
        }
    }
}

/// A request before it is sent. Its body is wiped when the last copy we hold is dropped.
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
}

impl Request {
    /// A GET that accepts JSON.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url, Zeroizing::default())
    }

    /// A POST of `application/x-www-form-urlencoded` that accepts JSON.
    #[must_use]
    pub fn post_form(url: Url, form: Zeroizing<Vec<u8>>) -> Self {
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        Self::new(Method::POST, url, form).with(CONTENT_TYPE, form_type)
    }

    fn new(method: Method, url: Url, body: Zeroizing<Vec<u8>>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("unsecret/", env!("CARGO_PKG_VERSION"))));
        Self { method, url, headers, body }
    }

    /// The same with one header set.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
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
    /// A header as text, if it is there once and is text.
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
    files: Arc<Files>,
}

impl Outbound {
    /// Reads and builds nothing yet: parsing the platform's roots takes some 5 ms, which the start does without.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let files = Arc::new(Files::new(settings.ca_file.clone(), settings.proxy_auth_file.clone()));
        Self { settings, files }
    }

    /// One request, one answer of whatever status.
    pub async fn send(&self, request: Request) -> Result<Answer, OutboundError> {
        let target = Target::of(&request.url)?;
        let peer = target.to_string();
        let step = dial::in_time("get an answer from", &peer, self.settings.deadline, self.exchange(target, request));
        step.await
    }

    async fn exchange(&self, target: Target, request: Request) -> Result<Answer, OutboundError> {
        // Reading a file may block (a network volume that hangs), so it happens on a thread of its own.
        let files = Arc::clone(&self.files);
        let reading = tokio::task::spawn_blocking(move || files.current());
        let current = reading.await.map_err(|_| OutboundError::Stopped)??;
        let route = Route {
            target: &target,
            proxy: self.settings.proxy.as_ref(),
            proxy_auth: current.proxy_auth,
            tls: current.tls,
            connect_timeout: self.settings.connect_timeout,
        };
        let mut connection = route.open().await?;
        let response = connection.send(into_http(request, &target)?).await?;
        self.read(response, &target).await
    }

    async fn read(&self, response: http::Response<Incoming>, from: &Target) -> Result<Answer, OutboundError> {
        let (head, mut incoming) = response.into_parts();
        let limit = self.settings.max_body;
        let mut body = Zeroizing::new(Vec::new());
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|source| OutboundError::Broken { peer: from.to_string(), source })?;
            let Some(chunk) = frame.data_ref() else { continue };
            if body.len() + chunk.len() > limit {
                return Err(OutboundError::TooLarge { peer: from.to_string(), limit });
            }
            body.extend_from_slice(chunk);
        }
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }
}

fn into_http(request: Request, target: &Target) -> Result<http::Request<Full<Bytes>>, OutboundError> {
    let path = &request.url[url::Position::BeforePath..url::Position::AfterQuery];
    let invalid = |_| OutboundError::Address { url: dial::bare(&request.url) };
    let host = HeaderValue::from_str(&target.host_header()).map_err(|_| invalid(()))?;
    let mut out = http::Request::builder()
        .method(request.method)
        .uri(path)
        .header(HOST, host)
        .body(Full::new(Bytes::from_owner(request.body)))
        .map_err(|_| invalid(()))?;
    out.headers_mut().extend(request.headers);
    Ok(out)
}
