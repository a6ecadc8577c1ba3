//! The way of one review: read, looked up, decided, counted, answered.
//!
//! Easy to get wrong: an answer that says no is final, an answer that fails is not. What the webhook cannot know it does not
//! deny: it answers 503, and the API server does as `failurePolicy` says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::around::{Around, LookupError};
use super::review::{Asked, Review, Told};
use crate::clock::Clock;
use crate::inject::{self, Surroundings, Values};
use crate::metrics::Injections;
use crate::problem::{Problem, chain};

const PATH: &str = "/v1/mutate";
/// An object has at most 1.5 MiB in etcd, and a review may have it twice.
const LARGEST: usize = 3 * 1024 * 1024;
/// Up to this size, which almost all have, reviews need not wait for room.
const USUAL: usize = 64 * 1024;
/// Bytes, for all larger ones at once. Whoever reaches the port may send some, and it must not be the container's whole memory.
const ROOM: usize = 16 * 1024 * 1024;
/// For a review to arrive; the API server gives up after its own `timeoutSeconds`, 5 unless the chart is told otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of a name, in a log line.
const LONGEST_NAME: usize = 64;

/// Answers reviews.
#[derive(Debug)]
pub struct Webhook {
    pub(super) values: Values,
    pub(super) around: Arc<Around>,
    pub(super) metrics: Arc<Injections>,
    pub(super) clock: Arc<dyn Clock>,
    /// A permit is a byte.
    pub(super) room: Semaphore,
}

/// What [`Webhook::room`] begins with.
pub(super) fn room() -> Semaphore {
    Semaphore::new(ROOM)
}

impl Webhook {
    /// The answer to one request. Cancel-safe.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send,
    {
        if request.uri().path() != PATH {
            return text(StatusCode::NOT_FOUND, format!("only {PATH} is here\n"));
        }
        if *request.method() != Method::POST {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only POST\n".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return refused;
        }
        let body = request.into_body();
        let arriving = async {
            let room = self.room_for(&body).await;
            // The room is kept until the answer is made.
            Limited::new(body, LARGEST).collect().await.map(|body| (body.to_bytes(), room))
        };
        match tokio::time::timeout(PATIENCE, arriving).await {
            Ok(Ok((body, _room))) => self.review(&body).await,
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                text(StatusCode::PAYLOAD_TOO_LARGE, format!("a review has at most {LARGEST} bytes\n"))
            }
            Ok(Err(_)) => text(StatusCode::BAD_REQUEST, "the body broke off\n".to_owned()),
            Err(_) => text(StatusCode::REQUEST_TIMEOUT, format!("the body was not read within {PATIENCE:?}\n")),
        }
    }

    /// Waits where large ones are under way already. One that does not say its size counts as the largest.
    async fn room_for(&self, body: &impl Body) -> Option<SemaphorePermit<'_>> {
        let announced = body.size_hint().upper().and_then(|size| usize::try_from(size).ok());
        let size = announced.unwrap_or(LARGEST).min(LARGEST);
        let permits = u32::try_from(size).ok().filter(|_| size > USUAL)?;
        // The semaphore is never closed.
        self.room.acquire_many(permits).await.ok()
    }

    async fn review(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let began = self.clock.now().mono;
        let review = match Review::read(body) {
            Ok(review) => review,
            Err(problem) => {
                self.metrics.reviewed("error", problem.code(), self.since(began));
                tracing::warn!(code = problem.code(), "a review cannot be read: {}", chain(&problem));
                return failed(StatusCode::BAD_REQUEST, &problem);
            }
        };
        let decided = self.decide(&review).await;
        let took = self.since(began);
        let (result, reason) = match &decided {
            Ok(told) => (told.result, told.reason),
            Err(problem) => ("error", problem.code()),
        };
        self.metrics.reviewed(result, reason, took);
        note(&review, result, reason, took);
        match decided {
            Ok(told) => {
                let mut response = Response::new(Full::from(told.body));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(problem) => {
                tracing::warn!(code = problem.code(), "a pod cannot be judged: {}", chain(&problem));
                failed(StatusCode::SERVICE_UNAVAILABLE, &problem)
            }
        }
    }

    async fn decide(&self, review: &Review) -> Result<Told, LookupError> {
        if review.asked() == Asked::Other {
            return Ok(review.skipped());
        }
        let namespace = review.namespace();
        let (around, account) = if inject::is_asked(review.pod()) {
            tokio::try_join!(
                self.around.namespace(namespace),
                self.around.account(namespace, review.service_account())
            )?
        } else {
            (None, None)
        };
        let surroundings = Surroundings {
            namespace,
            namespace_metadata: &around.as_deref().cloned().unwrap_or_default(),
            service_account: account.as_deref(),
            // The chart wants Kubernetes 1.29 or newer.
            native_sidecars: true,
        };
        Ok(review.answer(&inject::inject(review.pod(), &surroundings, &self.values)))
    }

    fn since(&self, began: Duration) -> Duration {
        self.clock.now().mono.saturating_sub(began)
    }

    /// As if a watch had told of a namespace or, with one, of a service account.
    pub fn know(&self, object: &serde_json::Value) {
        let is_account = object["metadata"]["namespace"].is_string();
        if is_account { self.around.accounts.put(object) } else { self.around.namespaces.put(object) }
    }
}

/// One line for each review; for what was only passed over, none unless it is wanted.
fn note(review: &Review, result: &'static str, reason: &'static str, took: Duration) {
    let short = |text: &str| text.chars().take(LONGEST_NAME).collect::<String>();
    let (uid, namespace, name) = (short(review.uid()), short(review.namespace()), short(review.name()));
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if matches!(result, "unchanged" | "skipped") {
        tracing::debug!(?uid, ?namespace, ?name, result, reason, micros, "review");
    } else {
        tracing::info!(?uid, ?namespace, ?name, result, reason, micros, "review");
    }
}

/// The API server shows this text to whoever made the pod.
fn failed(status: StatusCode, problem: &dyn Problem) -> Response<Full<Bytes>> {
    let remedy = problem.remedy().map_or_else(String::new, |remedy| format!("; remedy: {remedy}"));
    text(status, format!("{} [{}]{remedy}\n", chain(problem), problem.code()))
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
