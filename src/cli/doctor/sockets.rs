//! The link `sockets`: are the doors open by a running broker, and if not, may they be opened?
//!
//! Easy to get wrong: a broker may be starting this very moment, so an address is bound for an instant and never held,
//! and the socket's own path is not touched at all.

use std::net::SocketAddr;
use std::path::Path;

use super::chain::{Finding, Link};
use super::knock::{self, Place, SOON};
use crate::config::{Listen, Unix};
use crate::listen::{self, BindError};

/// What was found, and the door at which a running broker answers.
pub(super) struct Sockets {
    pub(super) finding: Finding,
    pub(super) door: Option<Place>,
}

/// One socket.
enum Socket {
    /// Our broker answers there.
    Open(Place),
    /// Nobody listens there, and we may.
    Free(String),
    Taken(BindError),
}

pub(super) async fn look(settings: &Listen) -> Sockets {
    let tried = "bind each address for an instant; ask who answers where it is in use";
    let mut sockets = Vec::new();
    for &address in &settings.http {
        sockets.push(tcp("listen.http", address, "/unsecret-doctor").await);
    }
    if let Some(https) = &settings.https {
        sockets.push(tls(https.address).await);
    }
    if let Some(unix) = &settings.unix {
        sockets.push(socket(unix).await);
    }
    let admin = match settings.admin {
        Some(address) => Some(tcp("listen.admin", address, "/readyz").await),
        None => None,
    };
    let door = sockets.iter().find_map(|socket| match socket {
        Socket::Open(place @ (Place::Tcp(_) | Place::Unix(_))) => Some(place.clone()),
        _ => None,
    });
    let readiness = readiness(admin.as_ref()).await;
    Sockets { finding: judged(tried, sockets.into_iter().chain(admin), readiness), door }
}

fn judged(tried: &str, sockets: impl Iterator<Item = Socket>, readiness: Option<String>) -> Finding {
    let (mut open, mut free) = (Vec::new(), Vec::new());
    for socket in sockets {
        match socket {
            Socket::Taken(problem) => return Finding::broken(Link::Sockets, tried, &problem),
            Socket::Open(place) => open.push(place.to_string()),
            Socket::Free(name) => free.push(name),
        }
    }
    let finding = match (open.is_empty(), free.is_empty()) {
        (true, true) => Finding::good(Link::Sockets, "", "none of its own: systemd hands them over"),
        (true, false) => {
            Finding::good(Link::Sockets, tried, format!("no broker runs; `unsecret run` may have {}", free.join(", ")))
        }
        (false, true) => {
            Finding::good(Link::Sockets, tried, format!("a running broker answers at {}", open.join(", ")))
        }
        (false, false) => Finding::doubtful(
            Link::Sockets,
            tried,
            format!("a running broker answers at {}, and nobody at {}", open.join(", "), free.join(", ")),
        )
        .remedied("restart the broker if its configuration was changed: listeners are bound once"),
    };
    readiness.into_iter().fold(finding, Finding::and)
}

/// A TCP address; `path` is what an answer of ours is known by.
async fn tcp(setting: &'static str, address: SocketAddr, path: &str) -> Socket {
    let place = Place::Tcp(address);
    match listen::tcp(setting, address) {
        Ok(_closed_at_once) => Socket::Free(place.to_string()),
        // Without the right to a port below 1024 the kernel does not say whether it is in use.
        Err(problem @ (BindError::PortInUse { .. } | BindError::PortForbidden { .. })) => {
            if is_ours(&place, path).await { Socket::Open(place) } else { Socket::Taken(problem) }
        }
        Err(problem) => Socket::Taken(problem),
    }
}

/// The doors over TLS. Who answers there is known by the answer, not by the certificate: what clients trust is another
/// question.
async fn tls(address: SocketAddr) -> Socket {
    let place = Place::Tls(address);
    match listen::tcp("listen.https", address) {
        Ok(_closed_at_once) => Socket::Free(place.to_string()),
        Err(problem @ (BindError::PortInUse { .. } | BindError::PortForbidden { .. })) => {
            if knock::is_our_door(&place).await { Socket::Open(place) } else { Socket::Taken(problem) }
        }
        Err(problem) => Socket::Taken(problem),
    }
}

async fn is_ours(place: &Place, path: &str) -> bool {
    if path != "/readyz" {
        return knock::is_our_door(place).await;
    }
    let heard = knock::ask(place, path, &[("Host", "localhost")], SOON).await;
    heard.is_ok_and(|heard| heard.first_line() == "ready" || heard.first_line().starts_with("not ready: "))
}

/// The Unix socket. Whether it could be made is tried with another name in the same folder.
async fn socket(unix: &Unix) -> Socket {
    let place = Place::Unix(unix.path.clone());
    if knock::is_our_door(&place).await {
        return Socket::Open(place);
    }
    let probe = unix.path.with_file_name(format!("d{}", std::process::id()));
    let made = match taken(&unix.path) {
        Some(problem) => Err(problem),
        None => listen::unix(&probe, unix.mode, unix.group.as_deref()).await.map(drop),
    };
    match made {
        Ok(()) => Socket::Free(place.to_string()),
        Err(BindError::Unix { source, .. }) => Socket::Taken(BindError::Unix { path: unix.path.clone(), source }),
        Err(problem) => Socket::Taken(problem),
    }
}

/// Who is at the path and is not ours; a socket that nobody answers at is removed at the next start.
fn taken(path: &Path) -> Option<BindError> {
    use std::os::unix::fs::FileTypeExt as _;
    use std::os::unix::net::UnixStream;
    let kind = std::fs::symlink_metadata(path).ok()?.file_type();
    let path = path.to_owned();
    if !kind.is_socket() {
        return Some(BindError::PathTaken { path });
    }
    match UnixStream::connect(&path) {
        Ok(_) => Some(BindError::SocketInUse { path }),
        Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => Some(BindError::Unix { path, source }),
        Err(_) => None,
    }
}

/// What a running broker says of itself.
async fn readiness(admin: Option<&Socket>) -> Option<String> {
    let Some(Socket::Open(place)) = admin else { return None };
    let heard = knock::ask(place, "/readyz", &[("Host", "localhost")], SOON).await.ok()?;
    Some(format!("{place}/readyz says: {}", heard.first_line()))
}
