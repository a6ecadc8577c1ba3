//! The API of the cluster that we run in: objects read, watched, replaced and patched, as raw JSON.
//!
//! For the webhook, which needs five kinds of calls. Not a client for Kubernetes in general: it knows no types and no
//! defaults. Easy to get wrong: a watch ends now and then and goes on where it ended, unless the server has forgotten that place
//! (410); and the token of a pod is a file that the kubelet replaces every hour.

mod changes;
mod error;

use std::path::PathBuf;
use std::time::Duration;

use http::header::ACCEPT;
use http::{HeaderValue, Method};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::outbound::{Outbound, OutboundError, Request, Settings};
use crate::patch::Operation;
use crate::secret::Secret;

pub use changes::{Change, Changes};
pub use error::{ClusterError, Trouble};

/// One object has at most 1.5 MiB in etcd. A page that is larger is asked for in smaller ones: whoever may make service accounts
/// may give each 256 KiB of annotations, and a page of these, read, would take all the memory that the webhook has.
const LARGEST: usize = 4 * 1024 * 1024;
/// For a whole call; not for watches.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many objects come at once, unless they are large.
const PAGE: usize = 500;

/// Where the API is, and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `https://host:port`.
    pub server: Url,
    /// What its certificate is issued by, and nothing else is trusted. Read again when it changes.
    pub ca_file: PathBuf,
    /// A bearer token; read again for every call.
    pub token_file: PathBuf,
}

/// Objects of one kind: of the whole cluster, or one by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// From the root on, such as `/api/v1/serviceaccounts`.
    pub path: String,
    /// The only one of interest.
    pub name: Option<String>,
    /// Nothing else of them is asked for (`PartialObjectMetadata`).
    pub metadata_only: bool,
}

impl Collection {
    /// By which rights that are limited to a name hold for lists and watches.
    fn selector(&self) -> Option<String> {
        self.name.as_ref().map(|name| format!("metadata.name={name}"))
    }
}

/// The API.
#[derive(Debug)]
pub struct Api {
    server: Url,
    token_file: PathBuf,
    outbound: Outbound,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Done,
    /// The object is no longer as it was seen.
    Conflict,
}

impl Api {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(place: Place) -> Self {
        let Place { server, ca_file, token_file } = place;
        let settings = Settings {
            ca_file: Some(ca_file),
            ca_file_alone: true,
            max_body: LARGEST,
            deadline: PATIENCE,
            ..Settings::default()
        };
        Self { server, token_file, outbound: Outbound::new(settings) }
    }

    /// One object's metadata; `None` where there is none. Cancel-safe.
    pub async fn metadata(&self, path: &str) -> Result<Option<Value>, ClusterError> {
        let request = Request::get(self.url(path, &[])).with(ACCEPT, HeaderValue::from_static(METADATA));
        let answer = self.outbound.send(request.bearer(&self.token().await?)).await?;
        match answer.status {
            200 => Ok(Some(error::json("GET", path, &answer.body)?)),
            404 => Ok(None),
            _ => Err(ClusterError::answered("GET", path, &answer)),
        }
    }

    /// Gives each object of a collection, page by page, and then the version from which a watch goes on. What was given before an
    /// error is not all there is. Cancel-safe.
    pub async fn list(&self, of: &Collection, mut each: impl FnMut(Value)) -> Result<String, ClusterError> {
        let (mut rest, mut size) = (String::new(), PAGE);
        loop {
            let mut page = match self.page(of, size, &rest).await {
                Err(ClusterError::Outbound(OutboundError::TooLarge { .. })) if size > 1 => {
                    size = (size / 4).max(1);
                    continue;
                }
                page => page?,
            };
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) if items.iter().all(Value::is_object) => {
                    items.into_iter().for_each(&mut each);
                }
                None | Some(Value::Null) => {}
                Some(_) => return Err(ClusterError::strange("GET", &of.path, "a list of what are no objects")),
            }
            let text = |key: &str| page["metadata"][key].as_str().unwrap_or_default().to_owned();
            rest = text("continue");
            if rest.is_empty() {
                return Ok(text("resourceVersion"));
            }
        }
    }

    async fn page(&self, of: &Collection, size: usize, rest: &str) -> Result<Value, ClusterError> {
        let (selector, size) = (of.selector(), size.to_string());
        let mut query = vec![("limit", size.as_str())];
        query.extend(selector.as_deref().map(|selector| ("fieldSelector", selector)));
        if !rest.is_empty() {
            query.push(("continue", rest));
        }
        let accept = if of.metadata_only { METADATA_LIST } else { JSON };
        let request = Request::get(self.url(&of.path, &query)).with(ACCEPT, HeaderValue::from_static(accept));
        let answer = self.outbound.send(request.bearer(&self.token().await?)).await?;
        if answer.status == 200 {
            return error::json("GET", &of.path, &answer.body);
        }
        Err(ClusterError::answered("GET", &of.path, &answer))
    }

    /// What changes from `since` on.
    pub async fn watch(&self, of: &Collection, since: &str) -> Result<Changes<'_>, ClusterError> {
        let selector = of.selector();
        let lasts = changes::LASTS.as_secs().to_string();
        let mut query = vec![("watch", "true"), ("allowWatchBookmarks", "true"), ("timeoutSeconds", &lasts)];
        query.extend(selector.as_deref().map(|selector| ("fieldSelector", selector)));
        query.push(("resourceVersion", since));
        let accept = if of.metadata_only { METADATA } else { JSON };
        let request = Request::get(self.url(&of.path, &query)).with(ACCEPT, HeaderValue::from_static(accept));
        let request = request.bearer(&self.token().await?);
        let opened = self.outbound.open(request, changes::LASTS + PATIENCE).await?;
        if opened.status() == 200 {
            return Ok(Changes::new(of.path.clone(), opened));
        }
        let answer = opened.whole().await?;
        Err(ClusterError::answered("GET", &of.path, &answer))
    }

    /// Puts an object in the place of the one whose `resourceVersion` it has. May be done although it is cancelled.
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Written, ClusterError> {
        let body = Zeroizing::new(object.to_string().into_bytes());
        self.write(Method::PUT, path, JSON, body).await
    }

    /// Carries out all of these or none. May be done although it is cancelled.
    pub async fn patch(&self, path: &str, operations: &[Operation]) -> Result<Written, ClusterError> {
        let body = Zeroizing::new(serde_json::json!(operations).to_string().into_bytes());
        self.write(Method::PATCH, path, "application/json-patch+json", body).await
    }

    async fn write(
        &self,
        method: Method,
        path: &str,
        kind: &'static str,
        body: Zeroizing<Vec<u8>>,
    ) -> Result<Written, ClusterError> {
        let verb = if method == Method::PUT { "PUT" } else { "PATCH" };
        let request = Request::change(method.clone(), self.url(path, &[]), HeaderValue::from_static(kind), body);
        let answer = self.outbound.send(request.bearer(&self.token().await?)).await?;
        match answer.status {
            200 => Ok(Written::Done),
            409 => Ok(Written::Conflict),
            // A `test` that failed, most likely. An object that is refused as it is (an immutable Secret) stays so.
            422 if method == Method::PATCH => Ok(Written::Conflict),
            _ => Err(ClusterError::answered(verb, path, &answer)),
        }
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.server.clone();
        url.set_path(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// On a thread of its own: a volume may hang.
    async fn token(&self) -> Result<Secret, ClusterError> {
        let path = self.token_file.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let text = std::fs::read_to_string(&path).map(Zeroizing::new);
            text.map(|text| Secret::new(text.trim())).map_err(|source| ClusterError::Token { path, source })
        });
        reading.await.map_err(|_| ClusterError::Stopped)?
    }
}

const JSON: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
