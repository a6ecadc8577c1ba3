//! The admin pages over a broker whose mints always succeed or always fail.

use std::borrow::Cow;
use std::time::Duration;

use futures_core::future::BoxFuture;
use http_body_util::BodyExt as _;

use super::*;
use crate::broker::{Fresh, Identity, Mint, MintError, Order};
use crate::clock::{Clock, TokioClock};
use crate::fault::Class;
use crate::ids::{Guid, IdentityName, Resource};
use crate::metrics::Build;
use crate::observe::{Fanout, Observer};
use crate::policy::Allowed;
use crate::problem::{Blame, Problem};
use crate::secret::{Fingerprint, Secret};
use crate::sink::Bell;

const NEAR: &str = "127.0.0.1:50000";

#[derive(Debug, thiserror::Error)]
#[error("read the token file: no such\nfile")]
struct Missing;

impl Problem for Missing {
    fn code(&self) -> &'static str {
        "missing"
    }

    fn blame(&self) -> Blame {
        Blame::Platform
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some("mount it".into())
    }
}

/// Succeeds or fails, always.
#[derive(Debug)]
struct Always(bool);

impl Mint for Always {
    fn mint(&self, _: Order) -> BoxFuture<'static, Result<Fresh, MintError>> {
        let outcome = self.outcome();
        Box::pin(async move {
            outcome.map(|()| Fresh {
                access_token: Secret::new("canary"),
                expires_in: Duration::from_secs(3_600),
                ext_expires_in: None,
                refresh_in: None,
            })
        })
    }

    fn probe(&self) -> BoxFuture<'static, Result<(), MintError>> {
        let outcome = self.outcome();
        Box::pin(async move { outcome })
    }
}

impl Always {
    fn outcome(&self) -> Result<(), MintError> {
        let error = || MintError {
            problem: Arc::new(Missing),
            class: Class::Configuration,
            local: false,
            error: None,
            numbers: Arc::default(),
            correlation_id: None,
            trace_id: None,
            retry_after: None,
            retry_in: None,
        };
        self.0.then_some(()).ok_or_else(error)
    }
}

fn identity(name: &str, mints: bool) -> Identity {
    Identity {
        name: IdentityName::parse(name).unwrap(),
        client_id: Guid::random(),
        mint: Arc::new(Always(mints)),
        relay: None,
        prefetch: vec![Resource::parse("https://vault.azure.net").unwrap()],
        required: true,
        allowed: Allowed::Any,
        mark: Fingerprint::of(b""),
    }
}

/// Bound, and the keeper has tried everything once.
async fn settled(identities: Vec<Identity>) -> AdminState {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::starting_at(1_800_000_000));
    let observer: Arc<dyn Observer> = Arc::new(Fanout::default());
    let broker = Arc::new(Broker::new(identities, Arc::clone(&clock), &observer, Duration::ZERO));
    let sinks = Sinks::new(Arc::clone(&clock), observer, Arc::new(Bell::new()), Duration::from_secs(60));
    let state = AdminState::new(
        Arc::clone(&broker),
        Vec::new(),
        Arc::new(sinks),
        Arc::new(Metrics::new(Build { version: "", revision: "", features: "" }, clock)),
    );
    let _ = tokio::time::timeout(Duration::from_secs(1), broker.keep(Duration::from_secs(60))).await;
    state.listening();
    state
}

async fn ask(state: &AdminState, method: Method, uri: &str, peer: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(uri).header("host", "localhost:9464").body(()).unwrap();
    let response = answer(&request, Peer::Tcp(peer.parse().unwrap()), state);
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(state: &AdminState, uri: &str) -> (StatusCode, String) {
    ask(state, Method::GET, uri, NEAR).await
}

#[tokio::test(start_paused = true)]
async fn alive_at_once_started_when_bound_ready_when_held_and_not_while_draining() {
    let state = settled(vec![identity("billing", true)]).await;
    assert_eq!(get(&state, "/livez").await.0, StatusCode::OK);
    assert_eq!(get(&state, "/startupz").await.0, StatusCode::OK);
    assert_eq!(get(&state, "/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
    state.phase.store(Phase::Starting as u8, Ordering::Relaxed);
    assert_eq!(get(&state, "/livez").await.0, StatusCode::OK);
    assert_eq!(get(&state, "/startupz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&state, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    state.draining();
    let (status, text) = get(&state, "/readyz").await;
    assert_eq!((status, text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "not ready: the process is going down\n"));
    assert!(get(&state, "/metrics").await.1.contains("\nunsecret_ready 0\n"));
}

#[tokio::test(start_paused = true)]
async fn verbose_tells_on_one_line_per_identity_what_is_held_and_what_failed() {
    let state = settled(vec![identity("billing", true), identity("reports", false)]).await;
    let (status, text) = get(&state, "/readyz?verbose").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "not ready: 1 of 2 identities cannot serve yet; see /readyz?verbose",
            "billing: ready; https://vault.azure.net held for 3599 s (until 1800003600)",
            "reports: not ready; https://vault.azure.net not held, last failure (1 in a row): \
             read the token file: no such file [missing], remedy: mount it, next try in 59 s",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn verbose_answers_peers_on_loopback_only() {
    let state = settled(vec![identity("billing", true)]).await;
    for (peer, wanted) in [
        ("10.0.0.7:1", StatusCode::FORBIDDEN),
        ("[2001:db8::1]:1", StatusCode::FORBIDDEN),
        ("[::1]:1", StatusCode::OK),
        ("[::ffff:127.0.0.1]:1", StatusCode::OK),
    ] {
        let (status, text) = ask(&state, Method::GET, "/readyz?verbose=1", peer).await;
        assert_eq!(status, wanted, "{peer}");
        assert_eq!(text.contains("billing"), wanted == StatusCode::OK, "{peer}");
        assert_eq!(ask(&state, Method::GET, "/readyz", peer).await.0, StatusCode::OK, "{peer}");
    }
}

#[tokio::test(start_paused = true)]
async fn verbose_is_not_for_pages_in_a_browser_on_this_machine() {
    let state = settled(vec![identity("billing", true)]).await;
    for (name, value) in [("host", "rebound.example:9464"), ("origin", "http://localhost"), ("x-forwarded-for", "::1")]
    {
        let mut request = Request::builder().uri("/readyz?verbose").body(()).unwrap();
        request.headers_mut().insert("host", HeaderValue::from_static("localhost:9464"));
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        let response = answer(&request, Peer::Tcp(NEAR.parse().unwrap()), &state);
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{name}");
        *request.uri_mut() = "/readyz".parse().unwrap();
        assert_eq!(answer(&request, Peer::Tcp(NEAR.parse().unwrap()), &state).status(), StatusCode::OK, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_these_pages_and_only_to_be_read() {
    let state = settled(vec![identity("billing", true)]).await;
    for unknown in ["/", "/metadata/identity/oauth2/token", "/readyz/", "/metrics/x"] {
        assert_eq!(get(&state, unknown).await.0, StatusCode::NOT_FOUND, "{unknown}");
    }
    assert_eq!(ask(&state, Method::POST, "/metrics", NEAR).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(&state, Method::HEAD, "/readyz", NEAR).await, (StatusCode::OK, String::new()));
}

#[tokio::test(start_paused = true)]
async fn no_page_shows_a_token() {
    let state = settled(vec![identity("billing", true)]).await;
    for page in ["/metrics", "/readyz?verbose", "/readyz"] {
        assert!(!get(&state, page).await.1.contains("canary"), "{page}");
    }
}
