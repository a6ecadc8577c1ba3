//! Who may have a token for what: `(Peer, Ask) → Grant` or `Denied`.
//!
//! Data and one pure function; no I/O, no clock. Not the guard (which refuses what no policy needs to see). Easy to get
//! wrong: **permission is a value** — a [`Grant`] has a private field, [`Policy::decide`] is its only maker, and the
//! broker accepts nothing else.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::ids::{Door, Guid, IdentityName, Resource, Tenant};
use crate::secret::Fingerprint;

/// Who is at the other end of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP: nothing is known but the address.
    Tcp(SocketAddr),
    /// Over a Unix socket: what `SO_PEERCRED` says, as seen from our user namespace.
    Unix { uid: u32, gid: u32, pid: Option<i32> },
}

/// Which identity the caller named, by the parameter it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector<'a> {
    /// Named nothing: fine with one identity, or with a local key that belongs to one.
    None,
    ClientId(Cow<'a, str>),
    ObjectId(Cow<'a, str>),
    ResourceId(Cow<'a, str>),
}

/// A neutral request: what every dialect boils down to.
pub struct Ask<'a> {
    pub door: Door,
    pub selector: Selector<'a>,
    /// The tenant segment of the OAuth path; `None` on managed-identity doors.
    pub tenant: Option<Cow<'a, str>>,
    /// What the token is for, without `/.default`, exactly as asked.
    pub resource: Cow<'a, str>,
    /// The local key presented, trailing newline trimmed. A secret: never print it.
    pub key: Option<Cow<'a, str>>,
}

impl fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("door", &self.door)
            .field("selector", &self.selector)
            .field("tenant", &self.tenant)
            .field("resource", &self.resource)
            .field("key", &self.key.as_ref().map(|_| "…"))
            .finish()
    }
}

/// What may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// `scopes = ["*"]`.
    Any,
    /// Listed resources; one trailing slash does not matter.
    Listed(Vec<Resource>),
}

/// One caller rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerRule {
    /// Presents the local key with this SHA-256.
    Key(Fingerprint),
    /// Connects over the Unix socket with this uid.
    Uid(u32),
    /// Connects over the Unix socket with this primary gid.
    Gid(u32),
}

/// What policy knows of one identity.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: IdentityName,
    pub tenant: Tenant,
    pub tenant_aliases: Vec<Tenant>,
    pub client_id: Guid,
    pub object_id: Option<Guid>,
    pub resource_id: Option<String>,
    pub allowed: Allowed,
    pub callers: Vec<CallerRule>,
    pub any_local_caller: bool,
}

/// Permission to have a token for one resource as one identity. Only [`Policy::decide`] makes one.
#[derive(Debug)]
pub struct Grant<'a> {
    entry: &'a Arc<Entry>,
    resource: &'a str,
}

impl<'a> Grant<'a> {
    /// The identity that may be used.
    #[must_use]
    pub fn identity(&self) -> &'a IdentityName {
        &self.entry.name
    }

    /// The client id to echo to the caller.
    #[must_use]
    pub fn client_id(&self) -> &'a Guid {
        &self.entry.client_id
    }

    /// The resource exactly as asked.
    #[must_use]
    pub fn resource(&self) -> &'a str {
        self.resource
    }
}
