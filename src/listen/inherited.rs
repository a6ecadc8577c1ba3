//! Takes sockets from systemd (`LISTEN_FDS`), told apart by name: `http`, `https`, `unix`, `admin`, and `ready`.
//!
//! A socket that systemd holds cannot be squatted while we restart. `ready` is no door: it leads to whoever started us and
//! wants to hear when the doors are open. Easy to get wrong: descriptors meant for another process (`LISTEN_PID`) are not
//! ours, which `listenfd` checks; and an unnamed socket must not become a door by guess.

use std::io;
use std::os::unix::net::UnixStream;

use listenfd::ListenFd;
use rustix::net::{AddressFamily, SocketType};
use tokio::net::{TcpListener, UnixListener};

use super::bind::Socket;
use super::error::BindError;

/// The sockets that systemd gave, until they are taken.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(&'static str, Socket)>,
    ready: Option<UnixStream>,
}

const NAMES: [&str; 4] = ["http", "https", "unix", "admin"];
const READY: &str = "ready";

impl Inherited {
    /// `names` is the value of `LISTEN_FDNAMES`. Without `LISTEN_FDS` there is nothing, and that is fine. Call once,
    /// inside a runtime.
    pub fn from_systemd(names: Option<&str>) -> Result<Self, BindError> {
        Self::from_descriptors(ListenFd::from_env(), names)
    }

    fn from_descriptors(mut descriptors: ListenFd, names: Option<&str>) -> Result<Self, BindError> {
        let mut inherited = Self::default();
        let mut names = names.unwrap_or_default().split(':');
        for index in 0..descriptors.len() {
            let given = names.next().unwrap_or_default();
            let why = |error: io::Error| BindError::Inherited { why: format!("the socket `{given}`: {error}") };
            if given == READY {
                inherited.ready = Some(take_ready(&mut descriptors, index).map_err(why)?);
                continue;
            }
            let name = NAMES.into_iter().find(|name| *name == given);
            let name = name.ok_or_else(|| BindError::Inherited { why: format!("a socket is named `{given}`") })?;
            inherited.sockets.push((name, take(&mut descriptors, index, name).map_err(why)?));
        }
        Ok(inherited)
    }

    /// The connected socket on which whoever started us waits for word of the doors. Whoever drops it hangs up.
    pub fn take_ready(&mut self) -> Option<UnixStream> {
        self.ready.take()
    }

    /// Whether there is a socket of this name to be taken.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.sockets.iter().any(|(its, _)| *its == name)
    }

    /// The sockets of this name, each given out once.
    pub fn take(&mut self, name: &str) -> Vec<Socket> {
        self.sockets.extract_if(.., |(its, _)| *its == name).map(|(_, socket)| socket).collect()
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// What Node, for one, makes of `'pipe'` is a pair of stream sockets. No child of ours inherits it.
fn take_ready(descriptors: &mut ListenFd, index: usize) -> io::Result<UnixStream> {
    let (family, kind) = (AddressFamily::UNIX.as_raw().into(), SocketType::STREAM.as_raw().cast_signed());
    descriptors.take_custom(index, family, kind, "unix stream socket")?.ok_or_else(gone)
}

fn take(descriptors: &mut ListenFd, index: usize, name: &str) -> io::Result<Socket> {
    if name == "unix" {
        let listener = descriptors.take_unix_listener(index)?.ok_or_else(gone)?;
        listener.set_nonblocking(true)?;
        Ok(Socket::Unix(UnixListener::from_std(listener)?, None))
    } else {
        let listener = descriptors.take_tcp_listener(index)?.ok_or_else(gone)?;
        listener.set_nonblocking(true)?;
        Ok(Socket::Tcp(TcpListener::from_std(listener)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_systemd_there_is_nothing_to_take() {
        let mut none = Inherited::from_descriptors(ListenFd::empty(), Some("http")).unwrap();
        assert!(none.take("http").is_empty());
    }
}
