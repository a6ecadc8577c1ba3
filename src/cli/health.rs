//! `unsecret health`: the exec probe of containers and of `HEALTHCHECK`.
//!
//! Blocking and tiny on purpose: it runs every few seconds in images that have no curl. Reads only the admin address,
//! so that a probe works where the configuration is not readable. Easy to get wrong: the probe must give up before the
//! container's runtime gives it up, or its reason is lost.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{Exit, complain};
use crate::inspect::escaped;
use crate::problem::{Blame, Problem};

/// How long the whole probe may take; container probes give up after a second or two by default.
const PATIENCE: Duration = Duration::from_millis(900);

/// Where a broker answers that was told nothing else.
const DEFAULT: &str = "127.0.0.1:9464";

/// Ask a running broker whether it is alive or ready.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unsecret health                                  HEALTHCHECK of a container: is it alive?
  unsecret health --ready                          does it hold every token it should?
  unsecret health --admin 127.0.0.1:9999 --ready   a broker with another admin address

Exit status: 0 it says yes, 1 it says no or nothing.")]
pub(crate) struct Args {
    /// The admin address of the broker
    #[arg(long, value_name = "ADDRESS", env = "UNSECRET_LISTEN_ADMIN", default_value = DEFAULT, value_parser = address)]
    admin: SocketAddr,
    /// Ask `/readyz` instead of `/livez`
    #[arg(long)]
    ready: bool,
}

/// The same words as the broker takes: an empty variable counts as unset, and `off` serves no probes.
fn address(text: &str) -> Result<SocketAddr, &'static str> {
    match text {
        "" => address(DEFAULT),
        "off" => Err("with `listen.admin` off the broker answers no probes; give it an address such as 127.0.0.1:9464"),
        _ => text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:9464"),
    }
}

/// No answer came.
#[derive(Debug, thiserror::Error)]
#[error("ask {path} at {address}")]
struct Unanswered {
    path: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

impl Problem for Unanswered {
    fn code(&self) -> &'static str {
        "health-unanswered"
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some("start `unsecret run`, or name its `listen.admin` with --admin".into())
    }
}

#[expect(clippy::print_stderr, reason = "what is wrong, for the person who reads the probe's output")]
pub(super) fn run(args: &Args) -> Exit {
    let path = if args.ready { "/readyz" } else { "/livez" };
    match ask(reachable(args.admin), path) {
        Ok((200, _)) => Exit::Done,
        Ok((status, body)) => {
            eprintln!("{path} answered {status}: {}", escaped(body.trim_end()));
            Exit::Failed
        }
        Err(source) => {
            complain(&Unanswered { path, address: args.admin, source });
            Exit::Failed
        }
    }
}

/// A broker that listens on every address is asked on loopback.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    address
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| std::io::Error::other("the answer is not HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_as_the_broker_reads_it() {
        assert_eq!(address(""), Ok(DEFAULT.parse().unwrap()), "an empty variable counts as unset");
        assert_eq!(address("[::1]:9"), Ok("[::1]:9".parse().unwrap()));
        assert!(address("off").unwrap_err().contains("`listen.admin` off"));
        assert!(address("localhost:9464").unwrap_err().contains("such as 127.0.0.1:9464"));
    }

    #[test]
    fn a_broker_on_every_address_is_asked_on_loopback() {
        assert_eq!(reachable("0.0.0.0:9464".parse().unwrap()), "127.0.0.1:9464".parse().unwrap());
        assert_eq!(reachable("[::]:9464".parse().unwrap()), "[::1]:9464".parse().unwrap());
        assert_eq!(reachable("10.0.0.1:1".parse().unwrap()), "10.0.0.1:1".parse().unwrap());
    }
}
