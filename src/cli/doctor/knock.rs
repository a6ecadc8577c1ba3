//! Asks a broker that runs on this machine, over the same sockets as an application.
//!
//! One request, one answer, a deadline; not the way out (`outbound` is). Easy to get wrong: an answer may be a token, so
//! bodies are wiped and never shown, only the code that a refusal names.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use zeroize::Zeroizing;

use super::anyone::handshake;
use crate::cli::health::reachable;

/// A program on this machine that takes longer to say who it is does not serve.
pub(super) const SOON: Duration = Duration::from_secs(5);

/// More than any answer of a door or an admin page that is asked for here.
const LARGEST: u64 = 256 * 1024;

/// Where to knock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(SocketAddr),
    Tls(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Tls(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What came back.
pub(super) struct Heard {
    body: Zeroizing<String>,
}

impl Heard {
    /// The code that a refusal of ours names.
    pub(super) fn code(&self) -> Option<&str> {
        let (_, rest) = self.body.split_once("(unsecret: ")?;
        rest.split_once(')').map(|(code, _)| code)
    }

    /// The first line, of pages that hold no secret.
    pub(super) fn first_line(&self) -> &str {
        self.body.lines().next().unwrap_or_default()
    }

    fn read(text: &str) -> Option<Self> {
        text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse::<u16>().ok()?;
        let (_, body) = text.split_once("\r\n\r\n")?;
        Some(Self { body: Zeroizing::new(body.to_owned()) })
    }
}

/// One GET. `headers` are sent as they are; the caller has seen to it that no line end is in them.
pub(super) async fn ask(
    place: &Place,
    target: &str,
    headers: &[(&str, &str)],
    patience: Duration,
) -> io::Result<Heard> {
    let mut request = Zeroizing::new(format!("GET {target} HTTP/1.1\r\nConnection: close\r\n"));
    for (name, value) in headers {
        request.push_str(name);
        request.push_str(": ");
        request.push_str(value);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let asking = async {
        match place {
            Place::Tcp(address) => over(TcpStream::connect(reachable(*address)).await?, &request).await,
            Place::Tls(address) => {
                over(handshake(TcpStream::connect(reachable(*address)).await?).await?, &request).await
            }
            Place::Unix(path) => over(UnixStream::connect(path).await?, &request).await,
        }
    };
    tokio::time::timeout(patience, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn over(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> io::Result<Heard> {
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(32 * 1024));
    stream.take(LARGEST).read_to_end(&mut bytes).await?;
    let text = std::str::from_utf8(&bytes).ok().and_then(Heard::read);
    text.ok_or_else(|| io::Error::other("the answer is not HTTP"))
}

/// True when one of our doors answers. Asked for a path that is none, so that nothing is handed out.
pub(super) async fn is_our_door(place: &Place) -> bool {
    let heard = ask(place, "/unsecret-doctor", &[("Host", "localhost")], SOON).await;
    heard.is_ok_and(|heard| heard.code().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_its_status_and_the_code_in_its_body() {
        let text = "HTTP/1.1 404 Not Found\r\na: b\r\n\r\n{\"error_description\":\"x (unsecret: no-such-path) C\"}";
        let heard = Heard::read(text).unwrap();
        assert_eq!(heard.code(), Some("no-such-path"));
        for other in ["SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n", ""] {
            assert!(Heard::read(other).is_none(), "{other}");
        }
    }
}
