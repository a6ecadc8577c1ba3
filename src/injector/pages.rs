//! `/livez`, `/readyz` and `/metrics` of the webhook.
//!
//! Easy to get wrong: ready is for good. A pod that is taken out of the Service because somebody emptied the caBundle would
//! only turn one failure of the API server's calls into another, for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use super::around::Around;
use crate::metrics::{self, Injections};

const TEXT: &str = "text/plain; charset=utf-8";

/// What the pages read.
#[derive(Debug)]
pub struct Pages {
    pub(super) around: Arc<Around>,
    pub(super) trusted: Arc<AtomicBool>,
    pub(super) metrics: Arc<Injections>,
    pub(super) draining: AtomicBool,
}

impl Pages {
    /// `/readyz` says no from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The answer to one request; its body is not looked at.
    #[must_use]
    pub fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let response = match request.uri().path() {
            "/livez" => page(StatusCode::OK, TEXT, "alive\n".to_owned()),
            "/readyz" => match self.lacking() {
                None => page(StatusCode::OK, TEXT, "ready\n".to_owned()),
                Some(what) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {what}\n")),
            },
            "/metrics" => page(StatusCode::OK, metrics::CONTENT_TYPE, self.metrics.scrape()),
            _ => page(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
        };
        if *request.method() == Method::HEAD { response.map(|_| Full::default()) } else { response }
    }

    fn lacking(&self) -> Option<&'static str> {
        match () {
            () if self.is_draining() => Some("the process is going down"),
            () if !self.around.namespaces.is_full() => Some("the namespaces are not read yet"),
            () if !self.around.accounts.is_full() => Some("the service accounts are not read yet"),
            () if !self.trusted.load(Ordering::Relaxed) => Some(
                "the API server does not trust the webhook's certificate yet: its Secret and its caBundle have to be written",
            ),
            () => None,
        }
    }
}

fn page(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let length = HeaderValue::from(text.len());
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Said here because a HEAD answer has no body to count.
    headers.insert(CONTENT_LENGTH, length);
    response
}
