//! Binds sockets of our own.
//!
//! Which addresses are allowed is the configuration's business. Easy to get wrong: the Unix socket gets its mode and
//! group between `bind` and `listen`, so that nobody can connect under the permissions of the umask; and only a socket
//! that nobody answers at is ever removed.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream};

use super::error::{BindError, LONGEST_PATH};
use crate::ids::account_number;

/// A socket that peers may connect to.
#[derive(Debug)]
pub enum Socket {
    Tcp(TcpListener),
    /// What a peer says comes through TLS.
    Tls(TcpListener, Arc<ServerConfig>),
    /// With the file to remove at the end; systemd removes its own.
    Unix(UnixListener, Option<SocketFile>),
}

impl Socket {
    /// The address, with the port that the system chose for port 0.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// The same socket, with TLS on it.
    #[must_use]
    pub fn over_tls(self, config: &Arc<ServerConfig>) -> Self {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => Self::Tls(listener, Arc::clone(config)),
            unix @ Self::Unix(..) => unix,
        }
    }

    /// Refuses a TCP socket that other machines may reach. A bare port in a systemd unit means every address.
    pub fn check_near(&self) -> Result<(), BindError> {
        match self.address() {
            Some(address) if !is_near(address.ip()) => Err(BindError::InheritedFar { address }),
            _ => Ok(()),
        }
    }
}

/// Loopback, or the address of the metadata service, which no router forwards.
fn is_near(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback() || ip == IpAddr::from([169, 254, 169, 254])
}

/// A socket's file, removed on drop if it is still the one that was made.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same = |data: fs::Metadata| (data.dev(), data.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(same) {
            // What is left behind is removed at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens on an address. `setting` names the key that asked for it, such as `listen.http`. Call inside a runtime.
pub fn tcp(setting: &'static str, address: SocketAddr) -> Result<Socket, BindError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for the old connections' TIME_WAIT; on Linux this never shares a listening port.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map(Socket::Tcp).map_err(|source: io::Error| match source.kind() {
        ErrorKind::AddrInUse => BindError::PortInUse { setting, address },
        ErrorKind::AddrNotAvailable => BindError::NotLocal { setting, address },
        ErrorKind::PermissionDenied => BindError::PortForbidden { setting, address },
        _ => BindError::Tcp { setting, address, source },
    })
}

/// Listens on a path, with permission bits and, by name or number, a group.
pub async fn unix(path: &Path, mode: u32, group: Option<&str>) -> Result<Socket, BindError> {
    let length = path.as_os_str().len();
    if length > LONGEST_PATH {
        return Err(BindError::PathTooLong { path: path.to_owned(), length });
    }
    let group = group.map(group_number).transpose()?;
    let failed = |source| BindError::Unix { path: path.to_owned(), source };
    remove_stale(path).await?;
    let socket = UnixSocket::new_stream().map_err(failed)?;
    socket.bind(path).map_err(failed)?;
    let data = fs::symlink_metadata(path).map_err(failed)?;
    let file = SocketFile { path: path.to_owned(), device: data.dev(), inode: data.ino() };
    if group.is_some() {
        chown(path, None, group).map_err(failed)?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
    Ok(Socket::Unix(socket.listen(BACKLOG).map_err(failed)?, Some(file)))
}

/// Removes a socket that a killed process left behind, and nothing else.
async fn remove_stale(path: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Unix { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(data) if !data.file_type().is_socket() => return Err(BindError::PathTaken { path: path.to_owned() }),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // Permission denied: somebody else's, alive or not.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(failed(error)),
        // Also when its queue is full.
        _ => Err(BindError::SocketInUse { path: path.to_owned() }),
    }
}

fn group_number(group: &str) -> Result<u32, BindError> {
    let listing = fs::read_to_string("/etc/group").unwrap_or_default();
    account_number(group, &listing).ok_or_else(|| BindError::UnknownGroup { group: group.to_owned() })
}
