//! Whole answers over a stream in memory: hyper, the listener's code and the front, and beside it hyper alone.
//!
//! The client's side costs the same in both.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use unsecret::front::Front;
use unsecret::listen::{self, Limits};

use super::scripted;

const IMDS: &[u8] =
    b"GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\r\n\
    Host: 169.254.169.254\r\nMetadata: true\r\n\r\n";

/// One connection that is kept alive, and the runtime that serves it.
pub(crate) struct Line {
    runtime: Arc<Runtime>,
    client: RefCell<(DuplexStream, Vec<u8>)>,
    _stop: watch::Sender<bool>,
}

impl Line {
    /// To the front, as the listeners connect it.
    pub(crate) fn to_front(runtime: &Arc<Runtime>, front: &Arc<Front>) -> Self {
        let front = front.clone();
        Self::open(runtime, |stream, stopped| {
            let answer = move |peer, request| front.answer(peer, request);
            runtime.spawn(listen::converse(stream, scripted::peer(), Limits::default(), answer, stopped));
        })
    }

    /// To hyper alone, which sends this body.
    pub(crate) fn to_bare_hyper(runtime: &Arc<Runtime>, body: Bytes) -> Self {
        Self::open(runtime, |stream, _| {
            let answer = service_fn(move |_| {
                let mut response = Response::new(Full::new(body.clone()));
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
                std::future::ready(Ok::<_, Infallible>(response))
            });
            runtime.spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        })
    }

    fn open(runtime: &Arc<Runtime>, serve: impl FnOnce(DuplexStream, watch::Receiver<bool>)) -> Self {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let (stop, stopped) = watch::channel(false);
        serve(server, stopped);
        Self { runtime: runtime.clone(), client: RefCell::new((client, vec![0; 64 * 1024])), _stop: stop }
    }

    /// One request and its answer; how long the answer was.
    pub(crate) fn ask(&self) -> std::io::Result<usize> {
        let (stream, buffer) = &mut *self.client.borrow_mut();
        self.runtime.block_on(async {
            stream.write_all(IMDS).await?;
            let mut length = 0;
            while !buffer[..length].ends_with(b"}") {
                length += stream.read(&mut buffer[length..]).await?;
            }
            Ok(length)
        })
    }
}
