//! `/metrics`, `/livez`, `/readyz`, `/startupz`, on their own listener.
//!
//! Reads what others hold and changes nothing. Not for applications: no door is here, and no token comes near. Easy to
//! get wrong: `/readyz?verbose` names identities and resources, so it answers peers on loopback only, while the rest may
//! be scraped from anywhere.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use crate::broker::{Broker, IdentityStatus, SlotStatus, Status, Trouble};
use crate::guard::Guard;
use crate::metrics::{self, Metrics};
use crate::policy::Peer;
use crate::sink::{self, SinkStatus, Sinks};

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
    sinks: Arc<Sinks>,
    metrics: Arc<Metrics>,
    phase: AtomicU8,
}

impl AdminState {
    #[must_use]
    pub fn new(broker: Arc<Broker>, sinks: Arc<Sinks>, metrics: Arc<Metrics>) -> Self {
        Self { broker: ArcSwap::new(broker), sinks, metrics, phase: AtomicU8::new(Phase::Starting as u8) }
    }

    /// The listeners are bound: `/startupz` says yes from now on.
    pub fn listening(&self) {
        self.phase.store(Phase::Listening as u8, Ordering::Relaxed);
    }

    /// The process is going down: `/readyz` says no from now on.
    pub fn draining(&self) {
        self.phase.store(Phase::Draining as u8, Ordering::Relaxed);
    }

    /// After a reload: read this broker from now on.
    pub fn rewire(&self, broker: Arc<Broker>) {
        self.broker.store(broker);
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
        Peer::Tcp(address) => address.ip().to_canonical().is_loopback(),
        Peer::Unix { .. } => true,
    };
    near && Guard::default().check_sender(peer, request.uri(), request.headers()).is_ok()
}

fn verbose(state: &AdminState) -> Response<Full<Bytes>> {
    let status = state.broker.load().status();
    let mut text = String::new();
    let ready = headline(&mut text, &status, state);
    for identity in &status.identities {
        describe(&mut text, identity, status.at);
    }
    for sink in &state.sinks.status() {
        describe_sink(&mut text, sink, status.at);
    }
    page(verdict(ready), TEXT, text)
}

/// One line: `billing: ready; https://graph.microsoft.com held for 3120 s (until 1798765432); …`.
fn describe(text: &mut String, identity: &IdentityStatus, now: u64) {
    let ready = if identity.ready { "ready" } else { "not ready" };
    let optional = if identity.required { "" } else { " (not required)" };
    let _ = write!(text, "{}: {ready}{optional}", identity.name);
    for slot in &identity.slots {
        describe_slot(text, slot, now);
    }
    match &identity.probe_failure {
        Some(trouble) => describe_trouble(text, "; no assertion", trouble),
        None if identity.slots.is_empty() => text.push_str("; nothing held"),
        None => {}
    }
    text.push('\n');
}

fn describe_slot(text: &mut String, slot: &SlotStatus, now: u64) {
    let _ = write!(text, "; {} ", slot.resource);
    let _ = match slot.held {
        Some(held) => write!(text, "held for {} s (until {})", held.expires.saturating_sub(now), held.expires),
        None => write!(text, "not held"),
    };
    if let Some(trouble) = &slot.trouble {
        describe_trouble(text, ", last failure", trouble);
        if let Some(next) = slot.next_try {
            let _ = write!(text, ", next try in {} s", next.saturating_sub(now));
        }
    }
}

fn describe_trouble(text: &mut String, what: &str, trouble: &Trouble) {
    let Trouble { code, chain, remedy, consecutive } = trouble;
    describe_failure(text, what, *consecutive, (chain, code, remedy.as_deref()));
}

fn describe_failure(
    text: &mut String,
    what: &str,
    consecutive: u32,
    (chain, code, remedy): (&str, &str, Option<&str>),
) {
    // One line per identity or sink, whatever an upstream text holds.
    let chain = chain.replace(['\n', '\r'], " ");
    let _ = write!(text, "{what} ({consecutive} in a row): {chain} [{code}]");
    if let Some(remedy) = remedy {
        let _ = write!(text, ", remedy: {}", remedy.replace(['\n', '\r'], " "));
    }
}

/// One line: `sink /run/unsecret/pg.token of billing: good for 3120 s (until 1798765432)`.
fn describe_sink(text: &mut String, sink: &SinkStatus, now: u64) {
    let _ = write!(text, "sink {} of {}: ", sink.file.display(), sink.identity);
    let _ = match (sink.ready, sink.expires) {
        (true, Some(expires)) => write!(text, "good for {} s (until {expires})", expires.saturating_sub(now)),
        (true, None) => write!(text, "written"),
        (false, Some(expires)) => write!(text, "past since {expires}"),
        (false, None) => write!(text, "not written"),
    };
    if !sink.required {
        text.push_str(" (not required)");
    }
    if let Some(sink::Trouble { code, chain, remedy, consecutive }) = &sink.trouble {
        describe_failure(text, ", last failure", *consecutive, (chain, code, remedy.as_deref()));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests;
