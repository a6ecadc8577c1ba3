//! Any other HTTP server, asked in its own way: `--against URL` and what belongs to it.

use std::fmt::Write as _;
use std::net::ToSocketAddrs as _;
use std::path::PathBuf;

use crate::support::Outcome;
use crate::support::client::Place;

/// How to ask it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Another server to measure beside, over TCP
    #[arg(long, value_name = "URL")]
    against: Option<url::Url>,
    /// Its process, for its processor time and memory
    #[arg(long, requires = "against")]
    pid: Option<u32>,
    /// What to call it in the tables
    #[arg(long, requires = "against", default_value = "the other")]
    name: String,
    /// A header of its requests; may be given several times
    #[arg(long, requires = "against", value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// The body of its requests, which are then POST
    #[arg(long, requires = "against", value_name = "FILE")]
    body: Option<PathBuf>,
}

/// The other server.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) pid: Option<u32>,
    pub(crate) request: Vec<u8>,
    pub(crate) place: Place,
}

impl Args {
    pub(crate) fn read(&self) -> Outcome<Option<Peer>> {
        let Some(url) = &self.against else { return Ok(None) };
        let (host, port) = (url.host_str().ok_or("--against has no host")?, url.port_or_known_default().unwrap_or(80));
        let address = (host, port).to_socket_addrs()?.next().ok_or("--against has no address")?;
        let body = self.body.as_ref().map(std::fs::read).transpose()?;
        let method = if body.is_some() { "POST" } else { "GET" };
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut request = format!("{method} {}{query} HTTP/1.1\r\nhost: {host}:{port}\r\n", url.path());
        for header in &self.header {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if let Some(body) = &body {
            write!(request, "content-length: {}\r\n", body.len())?;
        }
        request.push_str("\r\n");
        let mut request = request.into_bytes();
        request.extend(body.unwrap_or_default());
        Ok(Some(Peer { name: self.name.clone(), pid: self.pid, request, place: Place::Tcp(address) }))
    }
}
