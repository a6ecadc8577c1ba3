//! Accepts connections and serves HTTP/1.1 on them, with or without TLS, for the doors and for admin alike.
//!
//! `bind` and `inherited` make the sockets; this file accepts, limits, says who the peer is, and drains. It knows no
//! request: what answers is given to [`serve`]. Easy to get wrong: a listener that dies on one failed `accept` (too many
//! open files) takes every application down with it.

mod bind;
mod error;
mod inherited;
mod patience;
mod seldom;

use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use self::patience::Patience;
use self::seldom::Seldom;
use crate::policy::Peer;

pub use bind::{Socket, tcp, unix};
pub use error::BindError;
pub use inherited::Inherited;

/// What one listener allows its peers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Time for a request's head to arrive, and so also how long a connection may idle between requests; up to a quarter
    /// more, but for the first.
    pub idle: Duration,
    /// Bytes of a request's head.
    pub head: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// How long requests under way may take once the listener is told to stop.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            // Longer than the pools of the Azure SDKs keep a connection that they still mean to use.
            idle: Duration::from_secs(120),
            head: 16 * 1024,
            // A program on this machine needs milliseconds.
            handshake: Duration::from_secs(10),
            // A caller waits at most `listen.wait` for a token.
            grace: Duration::from_secs(15),
        }
    }
}

/// Serves one socket until `stop` turns true (or its sender is gone); then closes the socket, lets requests under way
/// finish, and returns.
pub async fn serve<S, F>(socket: Socket, limits: Limits, answer: S, mut stop: watch::Receiver<bool>)
where
    S: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut failures = 0;
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_) = connections.join_next() => {}
            (permit, accepted) = admit(&socket, &permits) => match accepted {
                Ok((Connected::Tcp(stream), peer)) => {
                    connections.spawn(holding(permit, converse(stream, peer, limits, answer.clone(), stop.clone())));
                }
                Ok((Connected::Tls(stream, config), peer)) => {
                    // Here, in the connection's own task: a slow handshake keeps nobody waiting.
                    connections.spawn(holding(permit, encrypted(stream, config, peer, limits, answer.clone(), stop.clone())));
                }
                Ok((Connected::Unix(stream), peer)) => {
                    connections.spawn(holding(permit, converse(stream, peer, limits, answer.clone(), stop.clone())));
                }
                // A peer that left before it was accepted.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::NotConnected) => {}
                Err(error) => pause_after(&error, &mut failures).await,
            }
        }
    }
    drop(socket);
    let finished = async { while connections.join_next().await.is_some() {} };
    // What is still running after that is aborted with the set.
    let _ = tokio::time::timeout(limits.grace, finished).await;
}

enum Connected {
    Tcp(TcpStream),
    Tls(TcpStream, Arc<ServerConfig>),
    Unix(UnixStream),
}

/// Waits for room first: a connection that is accepted is served.
async fn admit(
    socket: &Socket,
    permits: &Arc<Semaphore>,
) -> (Option<OwnedSemaphorePermit>, io::Result<(Connected, Peer)>) {
    // The semaphore is never closed, so there always is a permit.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    (permit, accept(socket).await)
}

async fn accept(socket: &Socket) -> io::Result<(Connected, Peer)> {
    match socket {
        Socket::Tcp(listener) => {
            let (stream, address) = accept_tcp(listener).await?;
            Ok((Connected::Tcp(stream), Peer::Tcp(address)))
        }
        Socket::Tls(listener, config) => {
            let (stream, address) = accept_tcp(listener).await?;
            Ok((Connected::Tls(stream, Arc::clone(config)), Peer::Tls(address)))
        }
        Socket::Unix(listener, _) => {
            let (stream, _) = listener.accept().await?;
            let who = stream.peer_cred()?;
            Ok((Connected::Unix(stream), Peer::Unix { uid: who.uid(), gid: who.gid(), pid: who.pid() }))
        }
    }
}

async fn accept_tcp(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = listener.accept().await?;
    // Answers are small and whole: waiting for more to send would only add 40 ms to each. It fails for a peer that has
    // left, which shows when it is served.
    let _ = stream.set_nodelay(true);
    Ok((stream, address))
}

/// Out of file descriptors, most likely, which may last: tried again without end, told at the 1st, 2nd, 4th, 8th ….
async fn pause_after(error: &io::Error, failures: &mut u64) {
    *failures += 1;
    if failures.is_power_of_two() {
        tracing::warn!(%error, failures, "no connection can be accepted; trying again");
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// The room in the listener is given back when its connection is done.
async fn holding(_permit: Option<OwnedSemaphorePermit>, conversation: impl Future<Output = ()>) {
    conversation.await;
}

/// One connection over TLS, its handshake first.
async fn encrypted<S, F>(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    peer: Peer,
    limits: Limits,
    answer: S,
    mut stop: watch::Receiver<bool>,
) where
    S: Fn(Peer, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let handshake = tokio::time::timeout(limits.handshake, TlsAcceptor::from(config).accept(stream));
    let done = tokio::select! {
        done = handshake => done,
        () = stopped(&mut stop) => return,
    };
    match done {
        Ok(Ok(stream)) => converse(stream, peer, limits, answer, stop).await,
        // Most often a client that does not trust our certificate: without this line its operator sees only its side.
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}

/// One connection over any stream, from its first request to its last.
pub async fn converse<I, S, F>(stream: I, peer: Peer, limits: Limits, answer: S, mut stop: watch::Receiver<bool>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Fn(Peer, Request<Incoming>) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let patience = Patience::new(limits.idle);
    let (answer, patience) = (&answer, &patience);
    let service = service_fn(|request| {
        // At once, not when it is polled: hyper reads on in between, which costs a new buffer while the request is there.
        let answer = answer(peer, request);
        async move {
            // Not when hyper has read the head: it reads on while a peer takes no answers, and then polls none.
            patience.answer_begins();
            let answer = answer.await;
            patience.answer_ends();
            Ok::<_, Infallible>(answer)
        }
    });
    // Not `max_headers`: hyper's own limit of 100 is more than the guard takes, and one that is set costs a thousand
    // instructions for every request.
    let connection = http1::Builder::new()
        // That is what `patience` is for.
        .header_read_timeout(None)
        .max_buf_size(limits.head)
        .serve_connection(TokioIo::new(stream), service);
    let interruption = async {
        tokio::select! {
            () = stopped(&mut stop) => true,
            () = patience.lost() => false,
        }
    };
    tokio::pin!(connection, interruption);
    // A connection that breaks, idles out or talks nonsense is the peer's affair: nothing to log.
    let stopping = tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        stopping = Seldom::new(interruption) => stopping,
    };
    if !stopping {
        return;
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = patience.lost() => {}
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and with it whoever could want us to go on.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
