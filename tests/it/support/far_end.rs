//! A scripted server: says to each request, over TLS or not, what it was told to say next.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use unsecret::clock::{Clock, SystemClock};
use unsecret::local_ca::LocalCa;

const LIFE: Duration = Duration::from_secs(3_600);

/// A fresh private CA.
pub(crate) fn ca(name: &str) -> LocalCa {
    LocalCa::create(name, SystemClock::new().now(), LIFE).unwrap()
}

/// TLS with a certificate for these names.
pub(crate) fn acceptor(ca: &LocalCa, names: &[&str]) -> TlsAcceptor {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let leaf = ca.leaf(&names, SystemClock::new().now(), LIFE).unwrap();
    TlsAcceptor::from(leaf.server_config().unwrap())
}

/// What happens to one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// The connection closes without a word.
    Reset,
    /// Nothing, for ever.
    Hang,
}

impl Reply {
    /// A whole HTTP answer.
    pub(crate) fn http(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        Self::Bytes(format!("{head}\r\n{body}").into_bytes())
    }

    /// An answer of Entra's with its marks.
    pub(crate) fn entra(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut all = vec![("x-ms-request-id", "trace-1"), ("content-type", "application/json")];
        all.extend_from_slice(headers);
        Self::http(status, &all, body)
    }

    /// An error object with this number.
    pub(crate) fn fault(number: u32) -> Self {
        let body = format!(r#"{{"error":"invalid_client","error_codes":[{number}],"correlation_id":"c-1"}}"#);
        Self::entra(401, &[], &body)
    }

    /// A token.
    pub(crate) fn token(text: &str) -> Self {
        Self::entra(200, &[], &format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"{text}"}}"#))
    }
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Reads one request with a head and a counted body.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let whole = String::from_utf8_lossy(&bytes).into_owned();
    Some(Seen { head: whole[..end].to_owned(), body: whole[end..].to_owned() })
}

/// Gives one reply.
pub(crate) async fn reply(stream: &mut (impl AsyncWrite + Unpin), with: &Reply) {
    match with {
        Reply::Reset => {}
        Reply::Hang => std::future::pending().await,
        Reply::Bytes(bytes) => {
            // The client may have hung up already; the test sees that on its side.
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
        }
    }
}

/// The server. Stops when dropped.
pub(crate) struct FarEnd {
    pub(crate) address: SocketAddr,
    script: Arc<Script>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
}

impl FarEnd {
    /// Serves on `localhost` with a certificate of this CA. The last reply of a script is given again and again.
    pub(crate) async fn start(ca: &LocalCa, replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::start_as(ca, "localhost", replies).await
    }

    /// The same under another name.
    pub(crate) async fn start_as(ca: &LocalCa, name: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Script { replies: Mutex::new(replies.into_iter().collect()), ..Script::default() });
        let (tls, serving) = (acceptor(ca, &[name]), Arc::clone(&script));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, script) = (tls.clone(), Arc::clone(&serving));
                tokio::spawn(async move {
                    let Ok(mut stream) = tls.accept(stream).await else { return };
                    let Some(seen) = request(&mut stream).await else { return };
                    let next = script.next(seen);
                    reply(&mut stream, &next).await;
                });
            }
        });
        Self { address, script, task }
    }

    /// Forgets what is left of the script and goes on with these.
    pub(crate) fn then(&self, replies: impl IntoIterator<Item = Reply>) {
        *self.script.replies.lock().unwrap() = replies.into_iter().collect();
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().unwrap().clone()
    }

    /// `https://localhost:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    fn next(&self, seen: Seen) -> Reply {
        self.seen.lock().unwrap().push(seen);
        let mut replies = self.replies.lock().unwrap();
        let next = replies.front().cloned().unwrap_or(Reply::Reset);
        if replies.len() > 1 {
            replies.pop_front();
        }
        next
    }
}
