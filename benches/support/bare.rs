//! The floor: hyper and fixed bytes, with the runtime, socket options and headers of the broker, and nothing else.

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::spawn_local;

#[expect(clippy::print_stderr, reason = "the broker says on stderr where it listens, too")]
pub(crate) async fn serve(body: Bytes, path: &Path) -> super::Outcome<Infallible> {
    let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").await?, UnixListener::bind(path)?);
    eprintln!("listening door=http://{}", tcp.local_addr()?);
    loop {
        tokio::select! {
            Ok((stream, _)) = tcp.accept() => {
                stream.set_nodelay(true)?;
                spawn_local(converse(stream, body.clone()));
            }
            Ok((stream, _)) = unix.accept() => drop(spawn_local(converse(stream, body.clone()))),
        }
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, body: Bytes) {
    let answer = service_fn(|_| {
        let mut response = Response::new(Full::new(body.clone()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}
