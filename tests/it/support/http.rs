//! A small HTTP client for the doors: TCP or Unix socket, one request a connection, and an answer whose every header
//! is expected.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::tls::Tls;

/// Headers that a door may send; anything else fails the test that sees it.
const EXPECTED: [&str; 9] = [
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "pragma",
    "retry-after",
    "www-authenticate",
];

/// Where a door is.
#[derive(Clone, Debug)]
pub enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Tls(Tls),
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<Tls> for Place {
    fn from(tls: Tls) -> Self {
        Self::Tls(tls)
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

/// A request being put together.
#[derive(Clone, Debug)]
pub struct Call {
    place: Place,
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    foreign: bool,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Call {
    pub fn get(place: impl Into<Place>, target: impl Into<String>) -> Self {
        Self::new(place.into(), Method::GET, target.into(), String::new())
    }

    /// A form POST; the fields are encoded here.
    pub fn form(place: impl Into<Place>, target: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self::new(place.into(), Method::POST, target.into(), body)
            .header("content-type", "application/x-www-form-urlencoded")
    }

    fn new(place: Place, method: Method, target: String, body: String) -> Self {
        Self { place, method, target, headers: Vec::new(), body, foreign: false }
    }

    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another body, whatever the method.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// What comes back is somebody else's answer, with whatever headers.
    pub fn passed_on(mut self) -> Self {
        self.foreign = true;
        self
    }

    /// One more field in the query.
    pub fn query(mut self, field: &str) -> Self {
        let joint = if self.target.contains('?') { '&' } else { '?' };
        self.target = format!("{}{joint}{field}", self.target);
        self
    }

    /// The same request somewhere else.
    pub fn at(mut self, place: impl Into<Place>) -> Self {
        self.place = place.into();
        self
    }

    pub async fn send(self) -> Answer {
        self.try_send().await.unwrap()
    }

    /// `Err` when the connection fails or ends before an answer.
    pub async fn try_send(self) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        match self.place.clone() {
            Place::Tcp(address) => self.over(TcpStream::connect(address).await?).await,
            Place::Unix(path) => self.over(UnixStream::connect(path).await?).await,
            Place::Tls(tls) => self.over(tls.connect().await?).await,
        }
    }

    /// Over any stream, such as one half of an in-memory pair.
    pub async fn over<S>(self, stream: S) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let foreign = self.foreign;
        let answer = sender.send_request(self.into_request()?).await?;
        let (head, body) = answer.into_parts();
        let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        for name in head.headers.keys().filter(|_| !foreign) {
            assert!(EXPECTED.contains(&name.as_str()), "a door sent the header `{name}`");
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn into_request(self) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::builder().method(self.method).uri(self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            let host = match &self.place {
                Place::Tcp(address) => address.to_string(),
                Place::Unix(_) => "localhost".to_owned(),
                Place::Tls(tls) => tls.host(),
            };
            request = request.header("host", host);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(Bytes::from(self.body)))
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"].to_str().unwrap().split(';').next().unwrap(), "application/json");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.body))
    }

    /// A text field of the JSON body.
    pub fn text(&self, field: &str) -> String {
        let json = self.json();
        json[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {}", shown(&json))).to_owned()
    }

    /// The access token of a success.
    pub fn token(&self) -> String {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.text("access_token")
    }
}

/// A body for a failure message: field names only, since a token may be among the values.
fn shown(json: &Value) -> String {
    match json {
        Value::Object(fields) => format!("{:?}", fields.keys().collect::<Vec<_>>()),
        other => other.to_string(),
    }
}
