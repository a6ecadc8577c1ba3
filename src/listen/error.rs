//! Why a socket could not be had.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::problem::{Blame, Problem};

/// Each names the setting that asked for the socket, because that is what can be changed.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("listen on {address} ({setting}): another program has that port")]
    PortInUse { setting: &'static str, address: SocketAddr },
    #[error("listen on {address} ({setting}): that is no address of this machine")]
    NotLocal { setting: &'static str, address: SocketAddr },
    #[error("listen on {address} ({setting}): this user may not use that port")]
    PortForbidden { setting: &'static str, address: SocketAddr },
    #[error("listen on {address} ({setting})")]
    Tcp { setting: &'static str, address: SocketAddr, source: io::Error },
    #[error("listen on `{}` (listen.unix): the path has {length} bytes, but a socket's has at most {LONGEST_PATH}", path.display())]
    PathTooLong { path: PathBuf, length: usize },
    #[error("listen on `{}` (listen.unix): something that is no socket is there", path.display())]
    PathTaken { path: PathBuf },
    #[error("listen on `{}` (listen.unix): another program answers there", path.display())]
    SocketInUse { path: PathBuf },
    #[error("listen on `{}` (listen.unix)", path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error("give the socket to the group `{group}` (listen.unix_group): no such group in /etc/group")]
    UnknownGroup { group: String },
    #[error("take the sockets from systemd: {why}")]
    Inherited { why: String },
    #[error("take a socket from systemd: it listens on {address}, which is no loopback address")]
    InheritedFar { address: SocketAddr },
}

/// Of `sockaddr_un`, less the final zero.
pub(super) const LONGEST_PATH: usize = 107;

impl Problem for BindError {
    fn code(&self) -> &'static str {
        match self {
            Self::PortInUse { .. } => "listen-port-in-use",
            Self::NotLocal { .. } => "listen-address-not-local",
            Self::PortForbidden { .. } => "listen-port-forbidden",
            Self::Tcp { .. } | Self::Unix { .. } => "listen-failed",
            Self::PathTooLong { .. } => "listen-path-too-long",
            Self::PathTaken { .. } => "listen-path-taken",
            Self::SocketInUse { .. } => "listen-socket-in-use",
            Self::UnknownGroup { .. } => "listen-group-unknown",
            Self::Inherited { .. } => "listen-inherited",
            Self::InheritedFar { .. } => "listen-inherited-far",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Configuration
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::PortInUse { setting, address } => {
                let port = address.port();
                format!(
                    "see who has it with `ss -ltnp sport = :{port}` and stop that, or set {setting} to another port"
                )
                .into()
            }
            Self::NotLocal { setting, address } => {
                let ip = address.ip();
                format!("set {setting} to a loopback address, or add the address with `ip address add {ip}/32 dev lo`")
                    .into()
            }
            Self::PortForbidden { setting, .. } => {
                format!("set {setting} to a port from 1024 on, or let systemd open the socket").into()
            }
            Self::Tcp { setting, .. } => format!("set {setting} to another address").into(),
            Self::PathTooLong { .. } => "choose a shorter path".into(),
            Self::PathTaken { .. } => "choose another path, or remove what is there if it is not needed".into(),
            Self::SocketInUse { .. } => "stop the other program, or choose another path".into(),
            Self::Unix { .. } => {
                "make its directory and let this user write there (RuntimeDirectory= in a systemd unit)".into()
            }
            Self::UnknownGroup { .. } => "write the group's number, or create the group".into(),
            Self::Inherited { .. } => {
                "set FileDescriptorName= of each socket unit to http, https, unix or admin".into()
            }
            Self::InheritedFar { address } => format!(
                "write ListenStream=127.0.0.1:{} in the socket unit, or, if all who reach that address may ask for \
                 tokens, set listen.unsafe_any_address = true",
                address.port()
            )
            .into(),
        })
    }
}
