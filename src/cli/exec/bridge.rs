//! The private door in front of a running broker: the door that was asked for toward the child, the broker's socket behind.
//!
//! Checks the fresh key and the guard's rules, then hands the question on; policy is the broker's, by our uid. Nothing
//! is kept here: the broker's answers are as fast. Easy to get wrong: a success is the same body at all these doors, a refusal
//! is not, and SDKs report nonsense when they cannot parse one (contract B0.11).

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;

use crate::cli::via::{Answer, Via};
use crate::clock::{Clock, SystemClock};
use crate::dialect::{self, AppService, CloudShell, Dialect, Refusal};
use crate::front;
use crate::guard::{self, Guard, TurnedAway};
use crate::ids::{Door, Guid};
use crate::policy::{Denied, Peer, Selector};
use crate::problem::{Blame, Problem, chain};
use crate::secret::{Fingerprint, local_key};

/// Answers the child.
#[derive(Debug)]
pub(super) struct Bridge {
    /// One of those whose success is the universal body (contract B0).
    pub(super) door: Door,
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
            Self::Path => "ask at the URL that the command finds in its variables, as it stands",
            Self::Silent => "ask again; if it lasts, see to `unsecret run`",
        }))
    }
}

impl Bridge {
    /// One request of the child, or of whoever found the port.
    pub(super) async fn answer<B>(self: Arc<Self>, peer: Peer, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        match self.serve(&peer, &head, body).await {
            Ok(answer) => respond(answer.status, answer.retry_after, answer.body),
            Err(refusal) => {
                let dialect: &dyn Dialect = if self.is_nested() { &CloudShell::Keyed } else { &AppService };
                let body = dialect.refuse(&refusal, self.clock.now());
                respond(refusal.status, refusal.retry_after.map(HeaderValue::from), body.into())
            }
        }
    }

    async fn serve<B>(&self, peer: &Peer, head: &Parts, body: B) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        let elsewhere = || Refusal::of_problem(StatusCode::NOT_FOUND, "bad_request", &Unbridged::Path);
        let dialect = dialect::route(path).filter(|dialect| dialect.door_of(query, &head.headers) == self.door);
        let dialect = dialect.ok_or_else(elsewhere)?;
        let turn_away = |away: TurnedAway| Refusal::of_problem(away.status(), away.reason(), &away);
        Guard::default().check(peer, head, guard::MAX_BODY).map_err(turn_away)?;
        let body = front::whole(body, guard::MAX_BODY).await.map_err(turn_away)?;
        let request = dialect::Request { method: &head.method, path, query, headers: &head.headers, body: &body };
        let read = dialect.read(&request).map_err(|rejected| Refusal::of_rejected(&rejected))?;
        let ask = read.ask().ok_or_else(elsewhere)?;
        // Hashes are compared, in constant time.
        let shown = ask.key.as_deref().map(local_key::trim).unwrap_or_default();
        if Fingerprint::of(shown.as_bytes()) != self.key {
            return Err(Refusal::of_denied(self.door, &Denied::WrongKey));
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
            Ok(answer) => self.in_our_shape(answer).ok_or_else(silent),
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

    /// Cloud Shell's refusals are nested (contract B5), App Service's are not (B3).
    fn is_nested(&self) -> bool {
        self.door == Door::CloudShell
    }

    /// Entra's error object of the `imds` door as this door's; `None` for what no broker writes.
    fn in_our_shape(&self, answer: Answer) -> Option<Answer> {
        #[derive(Deserialize)]
        struct Theirs {
            error: String,
            error_description: String,
            #[serde(default)]
            correlation_id: String,
        }
        let Theirs { error, error_description, correlation_id } = serde_json::from_slice(&answer.body).ok()?;
        let ours = if self.is_nested() {
            json!({"error": {"code": error, "message": error_description}})
        } else {
            let status = answer.status.as_u16();
            json!({"statusCode": status, "message": error_description, "correlationId": correlation_id})
        };
        Some(Answer { body: ours.to_string().into(), ..answer })
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
