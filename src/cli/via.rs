//! A client for a running broker's Unix socket, where the kernel tells the broker our uid.
//!
//! Asks at the `imds` door, which carries no key: policy then judges the uid alone, also where an identity has keys for
//! other callers. Not for TCP, over which a caller is nobody without a key. Easy to get wrong: what the broker refuses is
//! an answer, which `exec` hands on and `token` turns into an error.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::ids::Guid;
use crate::policy::Selector;
use crate::problem::{Blame, Problem};

/// `listen.wait` is a minute at most; after that a broker answers whatever it knows.
const PATIENCE: Duration = Duration::from_secs(70);

/// A token with thousands of groups and roles has some tens of kilobytes.
const LARGEST: usize = 256 * 1024;

/// A running broker, in place of a configuration to mint by.
#[derive(Debug, clap::Args)]
pub(super) struct Running {
    /// Ask a running broker through its Unix socket, as the user that this is
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["config", "identity"])]
    pub(super) via: Option<PathBuf>,
    /// The identity's client id, where the broker has several for this user
    #[arg(long, value_name = "GUID", requires = "via", value_parser = Guid::parse)]
    pub(super) client_id: Option<Guid>,
}

/// Where a broker listens.
#[derive(Clone, Debug)]
pub(super) struct Via {
    socket: PathBuf,
}

/// What the broker said. The body may hold a token, so it does not print.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<HeaderValue>,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ViaError {
    #[error("connect to the broker's socket `{}`", socket.display())]
    Unconnected { socket: PathBuf, source: std::io::Error },
    #[error("ask the broker at `{}`", socket.display())]
    Broken { socket: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("ask the broker at `{}`: no answer within {} s", socket.display(), PATIENCE.as_secs())]
    Slow { socket: PathBuf },
    #[error("have a token from the broker: it answered {status}: {said}")]
    Refused { status: u16, said: String },
    #[error("have a token from the broker: its answer holds none")]
    NoToken,
}

impl Problem for ViaError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unconnected { .. } => "broker-not-connected",
            Self::Broken { .. } => "broker-answer-broken",
            Self::Slow { .. } => "broker-too-slow",
            Self::Refused { .. } => "broker-refused",
            Self::NoToken => "broker-answer-no-token",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Platform
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Unconnected { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                "let this user open the socket: `listen.unix_group` and `listen.unix_mode` of the broker decide"
            }
            Self::Unconnected { .. } => "start `unsecret run` with `listen.unix`, or name that socket with --via",
            Self::Refused { .. } => "do what the answer says; the broker's log has more",
            Self::Broken { .. } | Self::NoToken => "name the socket of `unsecret run`, and look into its log",
            Self::Slow { .. } => "look into the broker's log for what it waits for",
        }))
    }
}

impl Via {
    pub(super) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// One request on a connection of its own. The answer may be a refusal.
    pub(super) async fn ask(&self, resource: &str, selector: &Selector<'_>) -> Result<Answer, ViaError> {
        let asked = self.converse(target(resource, selector));
        let slow = || ViaError::Slow { socket: self.socket.clone() };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(slow()))
    }

    async fn converse(&self, target: String) -> Result<Answer, ViaError> {
        let unconnected = |source| ViaError::Unconnected { socket: self.socket.clone(), source };
        let stream = UnixStream::connect(&self.socket).await.map_err(unconnected)?;
        self.exchange(stream, target).await.map_err(|source| ViaError::Broken { socket: self.socket.clone(), source })
    }

    async fn exchange(
        &self,
        stream: UnixStream,
        target: String,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender, or with the broker.
        tokio::spawn(connection);
        let request = Request::get(target)
            .header(header::HOST, "localhost")
            .header(header::CONNECTION, "close")
            .header("metadata", "true")
            .body(Empty::<Bytes>::new())?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, LARGEST).collect().await?.to_bytes();
        Ok(Answer { status: head.status, retry_after: head.headers.get(header::RETRY_AFTER).cloned(), body })
    }
}

/// Path and query; the version is the one that all SDKs send (contract B2).
fn target(resource: &str, selector: &Selector<'_>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("api-version", "2018-02-01").append_pair("resource", resource);
    match selector {
        Selector::None => {}
        Selector::ClientId(id) => _ = query.append_pair("client_id", id),
        Selector::ObjectId(id) => _ = query.append_pair("object_id", id),
        Selector::ResourceId(id) => _ = query.append_pair("msi_res_id", id),
    }
    format!("/metadata/identity/oauth2/token?{}", query.finish())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;
    use crate::dialect::Imds;

    #[test]
    fn what_is_asked_is_read_at_the_door_as_it_was_meant() {
        let mut headers = HeaderMap::new();
        headers.insert("metadata", HeaderValue::from_static("true"));
        let resource = "https://database.windows.net/?a=b&c=d";
        for selector in [
            Selector::None,
            Selector::ClientId("a&b".into()),
            Selector::ObjectId("ü=".into()),
            Selector::ResourceId("/subscriptions/x".into()),
        ] {
            let target = target(resource, &selector);
            let (path, query) = target.split_once('?').unwrap();
            let request = crate::dialect::Request { method: &Method::GET, path, query, headers: &headers, body: b"" };
            let ask = Imds::ask(&request).unwrap();
            assert_eq!((&*ask.resource, ask.selector), (resource, selector));
        }
    }
}
