//! A small client that keeps a number of connections busy with one request, the same for every server.
//!
//! It speaks just enough HTTP: whole answers with a `Content-Length`. Easy to get wrong: connecting and the first answer
//! of each connection are not part of what is measured.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use super::{Outcome, figures};

/// Where a server is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// Over TLS, as `localhost`.
    Tls(SocketAddr, Arc<rustls::ClientConfig>),
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// One connection, kept alive.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(place: &Place) -> Outcome<Self> {
        let stream: Box<dyn Stream> = match place {
            Place::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Place::Tls(address, config) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
                Box::new(connector.connect(ServerName::try_from("localhost")?, stream).await?)
            }
        };
        Ok(Self { stream, buffer: vec![0; 64 * 1024] })
    }

    /// Sends the request and reads its whole answer: head and body.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Outcome<(&str, &[u8])> {
        self.stream.write_all(request).await?;
        let (mut filled, mut end) = (0, None);
        while end.is_none_or(|(_, end)| filled < end) {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            filled += read;
            end = match end {
                Some(end) => Some(end),
                None => measure(&self.buffer[..filled])?,
            };
        }
        let (head, end) = end.unwrap_or_default();
        Ok((std::str::from_utf8(&self.buffer[..head])?, &self.buffer[head..end]))
    }
}

/// Where the head and where the body of an answer end, once its head is there.
fn measure(bytes: &[u8]) -> Outcome<Option<(usize, usize)>> {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..head])?;
    if !text.starts_with("HTTP/1.1 200 ") {
        return Err(format!("the answer is no success: {text}{}", String::from_utf8_lossy(&bytes[head..])).into());
    }
    let length = text.lines().filter_map(|line| line.split_once(": "));
    let length = length.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = length.ok_or("the answer has no Content-Length")?;
    Ok(Some((head, head + length.parse::<usize>()?)))
}

/// What one run of load came to.
pub(crate) struct Run {
    pub(crate) answers: u64,
    pub(crate) took: Duration,
    /// Of every answer, ascending.
    latencies: Vec<Duration>,
}

impl Run {
    pub(crate) fn rate(&self) -> f64 {
        figures::share(self.answers, 1) / self.took.as_secs_f64()
    }

    /// The latency that `percent` of the answers did not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let index = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(index).copied().unwrap_or_default()
    }
}

/// Connections that are open and have been answered once.
pub(crate) struct Crowd(Vec<Connection>);

impl Crowd {
    pub(crate) async fn gather(place: &Place, request: &[u8], connections: usize) -> Outcome<Self> {
        let mut crowd = Vec::with_capacity(connections);
        for _ in 0..connections {
            let mut connection = Connection::open(place).await?;
            connection.ask(request).await?;
            crowd.push(connection);
        }
        Ok(Self(crowd))
    }

    /// Every connection asks again as soon as it is answered, for `time` or until `most` answers came.
    #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
    pub(crate) async fn press(self, request: &[u8], time: Duration, most: u64) -> Outcome<Run> {
        let left = std::rc::Rc::new(Cell::new(most));
        let mut tasks = JoinSet::new();
        let start = Instant::now();
        for mut connection in self.0 {
            let (left, request) = (left.clone(), request.to_owned());
            tasks.spawn_local(async move {
                let mut latencies = Vec::new();
                let mut asked = start.elapsed();
                while asked < time && left.get() > 0 {
                    left.set(left.get() - 1);
                    connection.ask(&request).await.map_err(|error| error.to_string())?;
                    let answered = start.elapsed();
                    latencies.push(answered.saturating_sub(asked));
                    asked = answered;
                }
                Ok::<_, String>(latencies)
            });
        }
        let mut latencies = Vec::new();
        while let Some(done) = tasks.join_next().await {
            latencies.extend(done??);
        }
        let took = start.elapsed();
        latencies.sort_unstable();
        Ok(Run { answers: u64::try_from(latencies.len())?, took, latencies })
    }
}
