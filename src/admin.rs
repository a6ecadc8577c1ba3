//! `/metrics`, `/livez`, `/readyz`, `/startupz`, on their own listener.
//!
//! Reads what others hold and changes nothing. Not for applications: no door is here, and no token comes near. Easy to
//! get wrong: `/readyz?verbose` names identities and resources, so it answers peers on loopback only, while the rest may
//! be scraped from anywhere.

mod lines;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::assertion::CertificateSource;
use crate::broker::{Broker, Status};
use crate::guard::Guard;
use crate::metrics::{self, Metrics};
use crate::policy::Peer;
use crate::sink::Sinks;

const TEXT: &str = "text/plain; charset=utf-8";

/// How far the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    Starting,
    Listening,
    Draining,
}

/// What the admin pages read.
#[derive(Debug)]
pub struct AdminState {
    broker: ArcSwap<Broker>,
    signing: ArcSwap<Vec<Arc<CertificateSource>>>,
    sinks: Arc<Sinks>,
    metrics: Arc<Metrics>,
    phase: AtomicU8,
}

impl AdminState {
    #[must_use]
    pub fn new(
        broker: Arc<Broker>,
        signing: Vec<Arc<CertificateSource>>,
        sinks: Arc<Sinks>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            broker: ArcSwap::new(broker),
            signing: ArcSwap::from_pointee(signing),
            sinks,
            metrics,
            phase: AtomicU8::new(Phase::Starting as u8),
        }
    }

    /// The listeners are bound: `/startupz` says yes from now on.
    pub fn listening(&self) {
        self.phase.store(Phase::Listening as u8, Ordering::Relaxed);
    }

    /// The process is going down: `/readyz` says no from now on.
    pub fn draining(&self) {
        self.phase.store(Phase::Draining as u8, Ordering::Relaxed);
    }

    /// After a reload: read these from now on.
    pub fn rewire(&self, broker: Arc<Broker>, signing: Vec<Arc<CertificateSource>>) {
        self.broker.store(broker);
        self.signing.store(Arc::new(signing));
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    /// What `/readyz` says.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is(Phase::Listening) && self.broker.load().is_ready() && self.sinks.are_ready()
    }
}

/// The answer to one request; its body is not looked at.
pub fn answer<B>(request: &Request<B>, peer: Peer, state: &AdminState) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let response = match request.uri().path() {
        "/livez" => page(StatusCode::OK, TEXT, "alive\n".to_owned()),
        "/startupz" => startup(state),
        "/readyz" if asks_verbose(request.uri().query()) => {
            if is_near(request, &peer) {
                verbose(state)
            } else {
                page(StatusCode::FORBIDDEN, TEXT, FAR.to_owned())
            }
        }
        "/readyz" => readiness(state),
        "/metrics" => scrape(state),
        _ => page(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
    };
    if *request.method() == Method::HEAD { response.map(|_| Full::default()) } else { response }
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

fn startup(state: &AdminState) -> Response<Full<Bytes>> {
    if state.is(Phase::Starting) {
        page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not started: the listeners are not bound yet\n".to_owned())
    } else {
        page(StatusCode::OK, TEXT, "started\n".to_owned())
    }
}

fn scrape(state: &AdminState) -> Response<Full<Bytes>> {
    let status = state.broker.load().status();
    let ready = status.ready && state.is(Phase::Listening) && state.sinks.are_ready();
    page(StatusCode::OK, metrics::CONTENT_TYPE, state.metrics.scrape(&status, ready))
}

/// Without names: anybody may ask.
fn readiness(state: &AdminState) -> Response<Full<Bytes>> {
    let status = state.broker.load().status();
    let mut text = String::new();
    let ready = headline(&mut text, &status, state);
    page(verdict(ready), TEXT, text)
}

/// The first line of both forms.
fn headline(text: &mut String, status: &Status, state: &AdminState) -> bool {
    let waiting = status.identities.iter().filter(|identity| identity.required && !identity.ready).count();
    let reason = match () {
        () if state.is(Phase::Starting) => "the listeners are not bound yet".to_owned(),
        () if state.is(Phase::Draining) => "the process is going down".to_owned(),
        () if waiting > 0 => {
            format!("{waiting} of {} identities cannot serve yet; see /readyz?verbose", status.identities.len())
        }
        () if !state.sinks.are_ready() => "a sink's file is not written yet, or past; see /readyz?verbose".to_owned(),
        () => {
            text.push_str("ready\n");
            return true;
        }
    };
    let _ = writeln!(text, "not ready: {reason}");
    false
}

fn verdict(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn asks_verbose(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|part| part == "verbose" || part.starts_with("verbose=")))
}

const FAR: &str = "/readyz?verbose answers programs on loopback only, asked by a name of this machine\n";

/// On loopback, and not a page in a browser there: by DNS rebinding, one could read the answer.
fn is_near<B>(request: &Request<B>, peer: &Peer) -> bool {
    let near = match peer {
        Peer::Tcp(address) | Peer::Tls(address) => address.ip().to_canonical().is_loopback(),
        Peer::Unix { .. } => true,
    };
    near && Guard::default().check_sender(peer, request.uri(), request.headers()).is_ok()
}

fn verbose(state: &AdminState) -> Response<Full<Bytes>> {
    let status = state.broker.load().status();
    let mut text = String::new();
    let ready = headline(&mut text, &status, state);
    for identity in &status.identities {
        lines::identity(&mut text, identity, status.at);
    }
    for source in state.signing.load().iter() {
        for certificate in source.status() {
            lines::certificate(&mut text, source.identity(), &certificate, status.at);
        }
    }
    for sink in &state.sinks.status() {
        lines::sink(&mut text, sink, status.at);
    }
    page(verdict(ready), TEXT, text)
}

#[cfg(test)]
mod tests;
