//! Takes sockets from systemd (`LISTEN_FDS`), told apart by name: `http`, `https`, `unix`, `admin`.
//!
//! A socket that systemd holds cannot be squatted while we restart. Easy to get wrong: descriptors meant for another
//! process (`LISTEN_PID`) are not ours, which `listenfd` checks; and an unnamed socket must not become a door by guess.

use std::io;

use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};

use super::bind::Socket;
use super::error::BindError;

/// The sockets that systemd gave, until they are taken.
#[derive(Debug, Default)]
pub struct Inherited {
    sockets: Vec<(&'static str, Socket)>,
}

const NAMES: [&str; 4] = ["http", "https", "unix", "admin"];

impl Inherited {
    /// `names` is the value of `LISTEN_FDNAMES`. Without `LISTEN_FDS` there is nothing, and that is fine. Call once,
    /// inside a runtime.
    pub fn from_systemd(names: Option<&str>) -> Result<Self, BindError> {
        Self::from_descriptors(ListenFd::from_env(), names)
    }

    fn from_descriptors(mut descriptors: ListenFd, names: Option<&str>) -> Result<Self, BindError> {
        let mut names = names.unwrap_or_default().split(':');
        let sockets = (0..descriptors.len()).map(|index| {
            let given = names.next().unwrap_or_default();
            let name = NAMES.into_iter().find(|name| *name == given);
            let name = name.ok_or_else(|| BindError::Inherited { why: format!("a socket is named `{given}`") })?;
            let why = |error: io::Error| BindError::Inherited { why: format!("the socket `{name}`: {error}") };
            let socket = take(&mut descriptors, index, name).map_err(why)?;
            Ok((name, socket))
        });
        Ok(Self { sockets: sockets.collect::<Result<_, _>>()? })
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

fn take(descriptors: &mut ListenFd, index: usize, name: &str) -> io::Result<Socket> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
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
