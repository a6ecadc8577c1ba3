//! The private door in front of a running broker: App Service toward the child, the broker's socket behind.
//!
//! Checks the fresh key and the guard's rules, then hands the question on; policy is the broker's, by our uid. Nothing
//! is kept here: the broker's answers are as fast. Easy to get wrong: a success is the same body at both doors, a refusal
//! is not, and SDKs report nonsense when they cannot parse one (contract B0.11).

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde::{Deserialize, Serialize};

use crate::cli::via::{Answer, Via};
use crate::clock::{Clock, SystemClock};
use crate::dialect::{self, AppService, Dialect as _, Refusal};
use crate::guard::Guard;
use crate::ids::{Door, Guid};
use crate::policy::{Denied, Peer, Selector};
use crate::problem::{Blame, Problem, chain};
use crate::secret::{Fingerprint, local_key};

/// Answers the child.
#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) broker: Via,
    pub(super) key: Fingerprint,
    /// Named to the broker where the child names no identity.
    pub(super) client_id: Option<Guid>,
    pub(super) clock: SystemClock,
    pub(super) silent: AtomicBool,
}

/// What only this door says.
#[derive(Debug, thiserror::Error)]
enum Unbridged {
    #[error("this is the private door of `unsecret exec`, and it has no such path")]
    Path,
    #[error("the broker behind this door does not answer")]
    Silent,
}

impl Problem for Unbridged {
    fn code(&self) -> &'static str {
        match self {
            Self::Path => "private-door-path",
            Self::Silent => "broker-silent",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Path => Blame::Caller,
            Self::Silent => Blame::Platform,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Path => "ask at IDENTITY_ENDPOINT as it stands",
            Self::Silent => "ask again; if it lasts, see to `unsecret run`",
        }))
    }
}

impl Bridge {
    /// One request of the child, or of whoever found the port.
    pub(super) async fn answer<B>(self: Arc<Self>, peer: Peer, request: Request<B>) -> Response<Full<Bytes>> {
        let (head, _) = request.into_parts();
        match self.serve(&peer, &head).await {
            Ok(answer) => respond(answer.status, answer.retry_after, answer.body),
            Err(refusal) => {
                let body = AppService.refuse(&refusal, self.clock.now());
                respond(refusal.status, refusal.retry_after.map(HeaderValue::from), body.into())
            }
        }
    }

    async fn serve(&self, peer: &Peer, head: &Parts) -> Result<Answer, Refusal> {
        let path = head.uri.path();
        if dialect::route(path).map(dialect::Dialect::door) != Some(Door::AppService) {
            return Err(Refusal::of_problem(StatusCode::NOT_FOUND, "bad_request", &Unbridged::Path));
        }
        let guard = Guard::default();
        guard.check(peer, head).map_err(|away| Refusal::of_problem(away.status(), away.reason(), &away))?;
        let query = head.uri.query().unwrap_or_default();
        let request = dialect::Request { method: &head.method, path, query, headers: &head.headers, body: b"" };
        let ask = AppService::ask(&request).map_err(|rejected| Refusal::of_rejected(&rejected))?;
        // Hashes are compared, in constant time.
        let shown = ask.key.as_deref().map(local_key::trim).unwrap_or_default();
        if Fingerprint::of(shown.as_bytes()) != self.key {
            return Err(Refusal::of_denied(Door::AppService, &Denied::WrongKey));
        }
        let selector = match (ask.selector, &self.client_id) {
            (Selector::None, Some(id)) => Selector::ClientId(id.as_str().into()),
            (selector, _) => selector,
        };
        self.hand_on(&ask.resource, &selector).await
    }

    async fn hand_on(&self, resource: &str, selector: &Selector<'_>) -> Result<Answer, Refusal> {
        let outcome = self.broker.ask(resource, selector).await;
        let was_silent = self.silent.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Ok(answer) if answer.status == StatusCode::OK && holds_token(&answer.body) => Ok(answer),
            Ok(answer) => in_our_shape(answer).ok_or_else(silent),
            Err(error) => {
                // Once for each outage: the child asks again and again.
                if !was_silent {
                    let remedy = error.remedy().unwrap_or_default();
                    tracing::warn!(code = error.code(), remedy = &*remedy, "{}", chain(&error));
                }
                Err(silent())
            }
        }
    }
}

/// Passes by itself, so 503 and a short while (contract B17).
fn silent() -> Refusal {
    let mut refusal = Refusal::of_problem(StatusCode::SERVICE_UNAVAILABLE, "bad_request", &Unbridged::Silent);
    refusal.retry_after = Some(1);
    refusal
}

/// Whatever listens there says 200: only a broker writes this.
fn holds_token(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Theirs {
        #[serde(rename = "access_token")]
        _token: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Theirs>(body).is_ok()
}

/// Entra's error object of the `imds` door as App Service's (contract B3); `None` for what no broker writes.
fn in_our_shape(answer: Answer) -> Option<Answer> {
    #[derive(Deserialize)]
    struct Theirs {
        error_description: String,
        #[serde(default)]
        correlation_id: String,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Ours {
        status_code: u16,
        message: String,
        correlation_id: String,
    }
    let Theirs { error_description, correlation_id } = serde_json::from_slice(&answer.body).ok()?;
    let ours = Ours { status_code: answer.status.as_u16(), message: error_description, correlation_id };
    let body = serde_json::to_vec(&ours).ok()?.into();
    Some(Answer { body, ..answer })
}

fn respond(status: StatusCode, retry_after: Option<HeaderValue>, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, seconds);
    }
    response
}
