//! Answers as Entra writes them: success, refusal (contract A11), and the broken ones that faults ask for.
//!
//! Easy to get wrong: a refusal's `error_codes` are numbers, and the correlation id is the client's own when it sent one.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};
use serde_json::{Value, json};
use tokio::time::{Sleep, sleep};

use crate::ids::Guid;

const JSON: &str = "application/json; charset=utf-8";

/// A refusal's parts, whether by a rule or by a fault.
pub(super) struct Refused<'a> {
    pub(super) number: u32,
    pub(super) error: &'a str,
    pub(super) status: u16,
    pub(super) says: &'a str,
    pub(super) suberror: Option<&'a str>,
    /// What the user has to prove, as JSON text, for a client to pass on.
    pub(super) claims: Option<&'a str>,
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = plain(status, JSON, value.to_string());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
    response
}

/// Any other text.
pub(super) fn plain(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Some(text.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Entra's error body (contract A11).
pub(super) fn refused(refused: &Refused<'_>, correlation: &Guid, authority: &str, now: u64) -> Response<Body> {
    let (trace, at) = (Guid::random(), moment(now));
    let number = refused.number;
    let mut body = json!({
        "error": refused.error,
        "error_description": format!(
            "AADSTS{number}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}", refused.says
        ),
        "error_codes": [number],
        "timestamp": at,
        "trace_id": trace.as_str(),
        "correlation_id": correlation.as_str(),
        "error_uri": format!("{authority}/error?code={number}"),
    });
    for (name, value) in [("suberror", refused.suberror), ("claims", refused.claims)] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = json(status, &body);
    set(&mut response, "x-ms-request-id", trace.as_str());
    response
}

/// `2026-01-02 03:04:05Z`.
pub(super) fn moment(epoch: u64) -> String {
    let at = i64::try_from(epoch).ok().and_then(|epoch| jiff::Timestamp::from_second(epoch).ok());
    at.map_or_else(String::new, |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// The header `Date` by Entra's clock, which a fault may have moved; clients compare theirs with it.
pub(super) fn dated(response: &mut Response<Body>, epoch: u64) {
    let at = i64::try_from(epoch).ok().and_then(|epoch| jiff::Timestamp::from_second(epoch).ok());
    if let Some(at) = at {
        set(response, "date", &at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    }
}

/// Sets a header whose value is known to be printable; leaves it out otherwise.
pub(super) fn set(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// `Retry-After` in seconds.
pub(super) fn retry_after(response: &mut Response<Body>, seconds: Option<u64>) {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// A page as a proxy or a gateway would send it.
pub(super) fn page(status: u16) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    plain(
        status,
        "text/html",
        "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>",
    )
}

/// The body of an answer: at once, slowly, or far too much.
pub(super) enum Body {
    Whole(Option<Bytes>),
    /// Half at once, then a byte after each pause.
    Slow {
        rest: Bytes,
        pause: Duration,
        until: Option<Pin<Box<Sleep>>>,
    },
    /// White space, then the end.
    Huge {
        left: u64,
    },
}

impl Body {
    /// The same bytes, slowly.
    pub(super) fn slowed(self, pause: Duration) -> Self {
        match self {
            Self::Whole(Some(rest)) => Self::Slow { rest, pause, until: None },
            other => other,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = match &mut *self {
            Self::Whole(bytes) => bytes.take(),
            Self::Slow { rest, .. } if rest.is_empty() => None,
            Self::Slow { rest, pause, until } => {
                let length = match until {
                    None => rest.len().div_ceil(2),
                    Some(until) => {
                        std::task::ready!(until.as_mut().poll(cx));
                        1
                    }
                };
                *until = Some(Box::pin(sleep(*pause)));
                Some(rest.split_to(length))
            }
            Self::Huge { left: 0 } => None,
            Self::Huge { left } => {
                let length = (*left).min(SPACE.len() as u64);
                *left -= length;
                Some(Bytes::from_static(SPACE).slice(..usize::try_from(length).unwrap_or(SPACE.len())))
            }
        };
        Poll::Ready(chunk.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Slow { rest, .. } => SizeHint::with_exact(rest.len() as u64),
            // Chunked: a client that trusts Content-Length would refuse too early to show anything.
            Self::Huge { .. } => SizeHint::default(),
        }
    }
}

static SPACE: &[u8] = &[b' '; 16_384];

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn a_moment_is_written_as_entra_writes_it() {
        assert_eq!(moment(1_767_323_045), "2026-01-02 03:04:05Z");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slowed_body_says_the_same_and_takes_its_time() {
        let clock = crate::clock::TokioClock::starting_at(0);
        let body = Body::Whole(Some(Bytes::from_static(b"0123456789"))).slowed(Duration::from_secs(2));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "0123456789");
        assert_eq!(crate::clock::Clock::now(&clock).epoch(), 10);
    }

    #[tokio::test]
    async fn a_huge_body_is_as_large_as_was_said() {
        assert_eq!(Body::Huge { left: 40_000 }.collect().await.unwrap().to_bytes().len(), 40_000);
    }
}
