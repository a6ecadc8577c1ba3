//! `unsecret health`: the exec probe of containers and of `HEALTHCHECK`.
//!
//! Blocking and tiny on purpose: it runs every few seconds in images that have no curl. Reads only the admin address,
//! so that a probe works where the configuration is not readable. Easy to get wrong: the probe must give up before the
//! container's runtime gives it up, or its reason is lost.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::Exit;

/// How long the whole probe may take; container probes give up after a second or two by default.
const PATIENCE: Duration = Duration::from_millis(900);

/// Ask a running broker whether it is alive or ready; exit 0 when it says yes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unsecret health                                  HEALTHCHECK of a container: is it alive?
  unsecret health --ready                          does it hold every token it should?
  unsecret health --admin 127.0.0.1:9999 --ready   a broker with another admin address")]
pub(crate) struct Args {
    /// The admin address of the broker
    #[arg(long, value_name = "ADDRESS", env = "UNSECRET_LISTEN_ADMIN", default_value = "127.0.0.1:9464")]
    admin: SocketAddr,
    /// Ask `/readyz` instead of `/livez`
    #[arg(long)]
    ready: bool,
}

#[expect(clippy::print_stderr, reason = "what is wrong, for the person who reads the probe's output")]
pub(super) fn run(args: &Args) -> Exit {
    let path = if args.ready { "/readyz" } else { "/livez" };
    match ask(reachable(args.admin), path) {
        Ok((200, _)) => Exit::Done,
        Ok((status, body)) => {
            eprintln!("{path} answered {status}: {}", body.trim_end());
            Exit::Failed
        }
        Err(error) => {
            eprintln!("error: ask {path} at {}: {error}", args.admin);
            eprintln!("remedy: start `unsecret run`, or name its `listen.admin` with --admin");
            Exit::Failed
        }
    }
}

/// A broker that listens on every address is asked on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
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
    fn a_broker_on_every_address_is_asked_on_loopback() {
        assert_eq!(reachable("0.0.0.0:9464".parse().unwrap()), "127.0.0.1:9464".parse().unwrap());
        assert_eq!(reachable("[::]:9464".parse().unwrap()), "[::1]:9464".parse().unwrap());
        assert_eq!(reachable("10.0.0.1:1".parse().unwrap()), "10.0.0.1:1".parse().unwrap());
    }
}
