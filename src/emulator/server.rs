//! Accepts connections and routes requests: the authority over TLS, played issuers and the admin listener in plain HTTP.
//!
//! Not what is answered. Easy to get wrong: whoever drops the emulator must have the port back at once, so every
//! connection belongs to a `JoinSet` that ends with its listener.

use std::future::{poll_fn, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::answer::{self, Body};
use super::entra::Entra;
use super::request::Endpoint;
use super::token_endpoint::{self, ResetWanted};
use super::{admin, authorize, continuous, documents, graph};

/// A larger request body is no token request.
const LARGEST: usize = 1 << 20;

/// After a failed accept (too many open files) the loop must not spin.
const PAUSE: Duration = Duration::from_millis(50);

/// What a listener serves.
#[derive(Clone)]
pub(super) enum Route {
    Authority(TlsAcceptor),
    Admin,
    /// The issuer at this place in the list.
    Issuer(usize),
}

/// Serves until dropped.
pub(super) async fn serve(listener: TcpListener, route: Route, entra: Arc<Entra>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) if matches!(route, Route::Authority(_)) && entra.faults.refuses_connections() => {
                reset(&stream);
            }
            Ok((stream, _)) => {
                connections.spawn(connection(stream, route.clone(), Arc::clone(&entra)));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The close of a reset connection sends RST in place of FIN.
fn reset(stream: &TcpStream) {
    // Fails only on a socket that is gone already.
    let _ = stream.set_zero_linger();
}

async fn connection(stream: TcpStream, route: Route, entra: Arc<Entra>) {
    // Fails only on a socket that is gone already.
    let _ = stream.set_nodelay(true);
    match route {
        Route::Authority(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let socket: fn(&TlsStream<TcpStream>) -> &TcpStream = |tls| tls.get_ref().0;
            speak(stream, socket, |request| authority(Arc::clone(&entra), request)).await;
        }
        Route::Admin => speak(stream, |tcp| tcp, |request| admin_only(Arc::clone(&entra), request)).await,
        Route::Issuer(index) => speak(stream, |tcp| tcp, |request| ready(Ok(issuer(&entra, index, &request)))).await,
    }
}

/// Speaks HTTP/1.1 until the other side is done or an answer asks for a reset.
async fn speak<S, F>(stream: S, socket: fn(&S) -> &TcpStream, answer: impl Fn(Request<Incoming>) -> F)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Result<Response<Body>, ResetWanted>>,
{
    let wants_reset = AtomicBool::new(false);
    let service = service_fn(|request| {
        let answering = answer(request);
        let noticed = |_: &ResetWanted| wants_reset.store(true, Ordering::Relaxed);
        Box::pin(async move { answering.await.inspect_err(noticed) })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Without hyper's own shutdown: a TLS close_notify before the reset would look like an orderly end.
    let _ = poll_fn(|cx| connection.poll_without_shutdown(cx)).await;
    let mut stream = connection.into_parts().io.into_inner();
    if wants_reset.load(Ordering::Relaxed) {
        reset(socket(&stream));
    } else {
        // The other side may be gone before us.
        let _ = stream.shutdown().await;
    }
}

async fn authority(entra: Arc<Entra>, request: Request<Incoming>) -> Result<Response<Body>, ResetWanted> {
    let (parts, body) = request.into_parts();
    let path: Vec<_> = parts.uri.path().split('/').skip(1).collect();
    let endpoint = match path.as_slice() {
        [tenant, "oauth2", "v2.0", "token"] => Some((Endpoint::V2, *tenant)),
        [tenant, "oauth2", "token"] => Some((Endpoint::V1, *tenant)),
        _ => None,
    };
    if parts.method == Method::GET {
        match path.as_slice() {
            [tenant, "oauth2", "v2.0", "authorize"] => {
                return Ok(authorize::answer(&entra, Endpoint::V2, tenant, &parts));
            }
            [tenant, "oauth2", "authorize"] => return Ok(authorize::answer(&entra, Endpoint::V1, tenant, &parts)),
            _ => {}
        }
    }
    let Some(body) = read(body).await else { return Ok(too_large()) };
    if let Some((endpoint, tenant)) = endpoint {
        return token_endpoint::answer(&entra, endpoint, tenant, &parts, &body).await;
    }
    let resource = graph::answer(&entra, &parts, &body).or_else(|| continuous::answer(&entra, &parts));
    if let Some(answered) = resource {
        return Ok(answered);
    }
    let document = if parts.method == Method::GET { documents::answer(&entra, &parts.uri) } else { None };
    let answered = document.or_else(|| admin::answer(&entra, &parts.method, parts.uri.path(), &body));
    Ok(answered.unwrap_or_else(not_found))
}

async fn admin_only(entra: Arc<Entra>, request: Request<Incoming>) -> Result<Response<Body>, ResetWanted> {
    let (parts, body) = request.into_parts();
    let Some(body) = read(body).await else { return Ok(too_large()) };
    Ok(admin::answer(&entra, &parts.method, parts.uri.path(), &body).unwrap_or_else(not_found))
}

fn issuer(entra: &Entra, index: usize, request: &Request<Incoming>) -> Response<Body> {
    let Some(issuer) = entra.issuers.0.get(index).filter(|_| request.method() == Method::GET) else {
        return not_found();
    };
    let (status, value) = issuer.answer(request.uri(), request.headers(), entra.clock.now().epoch());
    answer::json(status, &value)
}

async fn read(body: Incoming) -> Option<Bytes> {
    Some(Limited::new(body, LARGEST).collect().await.ok()?.to_bytes())
}

fn not_found() -> Response<Body> {
    answer::json(StatusCode::NOT_FOUND, &json!({ "error": "no such path on the emulator" }))
}

fn too_large() -> Response<Body> {
    answer::json(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "error": "the request body is larger than 1 MiB" }))
}
