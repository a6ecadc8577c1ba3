//! A strict fake of the Kubernetes API server: what the webhook may call, with the rights of the chart and none more.
//!
//! Over TLS, with a certificate of its own CA for `localhost`. Not a cluster: nothing is defaulted and nobody is admitted
//! (`tests/deploy/cluster` has a real one). Every call stands in the journal, the refused ones too, so that a test can say that
//! there were none. Easy to get wrong: it runs on the test's own runtime, which a blocking call of the test would stop.

mod answer;
pub mod request;
pub mod store;
mod stream;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use unsecret::clock::{Clock as _, SystemClock};
use unsecret::local_ca::LocalCa;

use request::{Call, Verb};
use store::{Kind, Store};

const LIFE: Duration = Duration::from_secs(86_400);

/// What becomes of calls instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing, until the fault is mended.
    Hang,
    Status(u16),
}

/// Something that happens just before the webhook's next write is judged: somebody else was quicker.
type Before = Box<dyn FnOnce(&mut Store) + Send>;

pub struct State {
    pub store: Store,
    journal: Vec<Call>,
    tokens: BTreeSet<String>,
    faults: Vec<(Verb, Kind, Fault)>,
    before_write: Option<Before>,
}

pub struct Shared {
    pub state: Mutex<State>,
    /// Told after every change of the state.
    pub changed: watch::Sender<()>,
    /// Namespace, Secret and configuration of the webhook.
    own: [&'static str; 3],
}

#[derive(Clone)]
pub struct Api {
    shared: Arc<Shared>,
    pub port: u16,
    pub ca_pem: String,
}

impl Api {
    /// For a webhook with this namespace, Secret and configuration.
    pub async fn start(own: [&'static str; 3], token: &str) -> Self {
        let now = SystemClock::new().now();
        let ca = LocalCa::create("the cluster's CA", now, LIFE).unwrap();
        let acceptor =
            TlsAcceptor::from(ca.leaf(&["localhost".to_owned()], now, LIFE).unwrap().server_config().unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            store: Store::default(),
            journal: Vec::new(),
            tokens: BTreeSet::from([token.to_owned()]),
            faults: Vec::new(),
            before_write: None,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: watch::Sender::new(()), own });
        tokio::spawn(serve(listener, acceptor, Arc::clone(&shared)));
        Self { shared, port, ca_pem: ca.certificate_pem().to_owned() }
    }

    fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.shared.state.lock().unwrap());
        self.shared.changed.send_replace(());
        result
    }

    /// Changes the cluster, or looks at it; all at one moment.
    pub fn store<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        self.state(|state| change(&mut state.store))
    }

    /// From now on no other token is good.
    pub fn accept(&self, tokens: &[&str]) {
        self.state(|state| state.tokens = tokens.iter().map(|&token| token.to_owned()).collect());
    }

    /// What these calls meet until [`Api::mend`].
    pub fn fault(&self, verb: Verb, kind: Kind, fault: Fault) {
        self.state(|state| state.faults.push((verb, kind, fault)));
    }

    pub fn mend(&self) {
        self.state(|state| state.faults.clear());
    }

    /// Somebody else is quicker than the webhook's next write.
    pub fn before_write(&self, change: impl FnOnce(&mut Store) + Send + 'static) {
        self.state(|state| state.before_write = Some(Box::new(change)));
    }

    pub fn journal(&self) -> Vec<Call> {
        self.shared.state.lock().unwrap().journal.clone()
    }

    pub fn calls(&self, verb: Verb, kind: Kind) -> Vec<Call> {
        self.journal().into_iter().filter(|call| call.verb == verb && call.kind == Some(kind)).collect()
    }

    /// Every call was one that the webhook may make, and was made as it should be. (What failed by a race or a fault of the
    /// test's is neither.)
    pub fn assert_nothing_was_refused(&self) {
        let refused = [400, 401, 403, 405, 406, 415];
        let wrong: Vec<_> = self.journal().into_iter().filter(|call| refused.contains(&call.status)).collect();
        let wrong: Vec<_> = wrong.iter().map(|call| (call.verb, &call.path, &call.query, call.status)).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
            // The webhook may hang up as it likes.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let authorization = head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let call = Call::of(&head, &body);
    let at = {
        let mut state = shared.state.lock().unwrap();
        state.journal.push(call.clone());
        state.journal.len() - 1
    };
    let fault = fault(&shared, &call).await;
    let mut state = shared.state.lock().unwrap();
    let token = authorization.as_deref().and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let is_known = state.tokens.contains(token);
    let (code, body) = if is_known {
        let said = fault.map(|code| (code, answer::status(code, "InternalError", "as the test wants it")));
        said.map_or_else(|| judged(&shared, &mut state, &call), json)
    } else {
        json((401, answer::status(401, "Unauthorized", "Unauthorized")))
    };
    state.journal[at].status = code;
    drop(state);
    if matches!(call.verb, Verb::Update | Verb::Patch) {
        shared.changed.send_replace(());
    }
    let response = Response::builder().status(code).header("content-type", "application/json");
    Ok(response.body(body).unwrap())
}

/// The status that this call is to fail with; waits while it is to hang.
async fn fault(shared: &Shared, call: &Call) -> Option<u16> {
    let mut changed = shared.changed.subscribe();
    loop {
        let fault = {
            let state = shared.state.lock().unwrap();
            let mut faults = state.faults.iter();
            faults.find(|(verb, kind, _)| *verb == call.verb && Some(*kind) == call.kind).map(|(.., fault)| *fault)
        };
        match fault {
            None => return None,
            Some(Fault::Status(code)) => return Some(code),
            Some(Fault::Hang) => changed.changed().await.unwrap(),
        }
    }
}

type Body = BoxBody<Bytes, Infallible>;

fn json((code, object): (u16, Value)) -> (u16, Body) {
    (code, Full::from(object.to_string()).boxed())
}

fn judged(shared: &Arc<Shared>, state: &mut State, call: &Call) -> (u16, Body) {
    let [namespace, secret, configuration] = shared.own;
    let kind = match call.kind {
        Some(kind) if call.is_granted(namespace, secret, configuration) => kind,
        _ => return json((403, answer::status(403, "Forbidden", "the chart does not grant that"))),
    };
    if !call.is_acceptable() {
        return json((406, answer::status(406, "NotAcceptable", "ask for metadata only")));
    }
    if matches!(call.verb, Verb::Update | Verb::Patch)
        && let Some(before) = state.before_write.take()
    {
        before(&mut state.store);
    }
    match call.verb {
        Verb::Get => json(answer::get(&state.store, call, kind)),
        Verb::List => json(answer::list(&mut state.store, call, kind)),
        Verb::Watch => match answer::against_watch(&state.store, call, kind) {
            Some(said) => json(said),
            None => (200, stream::open(shared, &state.store, call, kind).boxed()),
        },
        Verb::Update => json(answer::update(&mut state.store, call)),
        Verb::Patch => json(answer::patch(&mut state.store, call)),
        Verb::Other => unreachable!("nobody is granted it"),
    }
}
