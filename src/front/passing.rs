//! A taken-over host: what is ours there is answered as at any door, and all the rest is passed on.
//!
//! Easy to get wrong: browsers and proxies may use a login host as they like, so the guard is asked only where we answer
//! ourselves; and what we sent out may come back here, where the name leads.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::Full;

use super::{Front, Wiring, turn_away, whole};
use crate::dialect::{self, Heard, Refusal, Sender};
use crate::guard;
use crate::ids::Door;
use crate::observe::Event;
use crate::outbound::OutboundError;
use crate::passing::{self, Host};
use crate::policy::Peer;
use crate::problem::{Blame, Problem};
use crate::secret::local_key;

impl Wiring {
    /// The taken-over host that a request names.
    pub(super) fn taken_over(&self, head: &Parts) -> Option<Arc<Host>> {
        let named = guard::named_host(&head.headers)?;
        let host = self.passing.host(named)?;
        // In absolute form a request names its host twice (RFC 9112 3.2.2).
        head.uri.host().is_none_or(|other| other.eq_ignore_ascii_case(named)).then_some(host)
    }

    /// Whether we answer it. A token request of a configured identity, or one that shows a local key: better our word on a
    /// tenant that is spelt wrong than Entra's on a secret that it cannot know. And a document of a tenant of ours, unless a
    /// page wants it.
    ///
    /// # Errors
    /// When it is none of these and has a local key in it all the same.
    fn answers(&self, peer: &Peer, head: &Parts, body: &[u8]) -> Result<bool, KeyAstray> {
        let request = dialect::Request {
            method: &head.method,
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
            body,
        };
        if let Some(sender) = Sender::of(&request) {
            let is_local = |key: &str| key.starts_with(local_key::PREFIX) || self.policy.knows_key(key);
            let wants_us = || sender.wants_us() && self.policy.knows(sender.tenant, &sender.client_id);
            if sender.proofs().any(is_local) || wants_us() {
                return Ok(true);
            }
        }
        let oauth = dialect::route(request.path).filter(|dialect| dialect.door() == Door::Oauth);
        if dialect::holds_local_key(&request) {
            // Such as one whose fields stand twice: the dialect says what is wrong with it.
            return if oauth.is_some() { Ok(true) } else { Err(KeyAstray) };
        }
        let asks = oauth.and_then(|dialect| dialect.read(&request).ok());
        let ours = matches!(asks, Some(Heard::Document(asked)) if self.authorities.have(&asked));
        Ok(ours && self.guard.check(peer, head, guard::MAX_BODY).is_ok())
    }
}

impl Front {
    /// One request to a taken-over host.
    pub(super) async fn answer_for<B>(
        &self,
        host: &Host,
        wiring: &Wiring,
        peer: &Peer,
        head: Parts,
        body: B,
    ) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if passing::is_ours(&head) {
            let mut response = self.unpassed(peer, &host.came_back());
            passing::mark(&mut response);
            return response;
        }
        // To the end: what is small, as token requests are, waits for nobody.
        let _place = match body.size_hint().upper() {
            Some(most) if most <= guard::largest_body(Door::Oauth) as u64 => None,
            _ => wiring.passing.place().await,
        };
        let body = match whole(body, passing::LARGEST_REQUEST).await {
            Ok(body) => body,
            Err(away) => return self.refuse(None, peer, &turn_away(&away)),
        };
        match wiring.answers(peer, &head, &body) {
            Ok(true) => return self.answer_here(peer, head, Full::new(body)).await,
            Ok(false) => {}
            Err(astray) => {
                let refusal = Refusal::of_problem(StatusCode::BAD_REQUEST, "bad_request", &astray);
                return self.refuse(None, peer, &refusal);
            }
        }
        let passed = wiring.passing.pass(host, &head, body).await;
        let code = passed.as_ref().ok().map(Response::status);
        self.observer.on(&Event::PassedThrough { host: host.name(), code });
        passed.unwrap_or_else(|error| self.unpassed(peer, &error))
    }

    /// Our own words where the real host has none.
    fn unpassed(&self, peer: &Peer, error: &OutboundError) -> Response<Full<Bytes>> {
        self.refuse(None, peer, &Refusal::unpassed(error))
    }
}

/// A local key must not leave this machine.
#[derive(Debug, thiserror::Error)]
#[error("a local key stands in a request that asks for no token")]
struct KeyAstray;

impl Problem for KeyAstray {
    fn code(&self) -> &'static str {
        "local-key-astray"
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some("send the local key as `client_secret` of a token request, and nowhere else".into())
    }
}
