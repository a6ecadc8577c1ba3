//! Who may have a token for what: `(Peer, Ask) → Grant` or `Denied`.
//!
//! Data and one pure function; no I/O, no clock. Not the guard (which refuses what no policy needs to see). Easy to get
//! wrong: **permission is a value** — a [`Grant`] has a private field, [`Policy::decide`] is its only maker, and the
//! broker accepts nothing else.

mod denied;
mod relay;

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::authority::Cloud;
use crate::claims::Challenge;
use crate::ids::{Door, Guid, IdentityName, Resource, Tenant, same_resource};
use crate::secret::{Fingerprint, local_key};

pub use denied::Denied;
use denied::quoted;
pub use relay::{GrantType, RelayAsk, RelayGrant};

/// Who is at the other end of the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP: nothing is known but the address.
    Tcp(SocketAddr),
    /// Over TLS, without a certificate of its own: nothing more is known.
    Tls(SocketAddr),
    /// Over a Unix socket: what `SO_PEERCRED` says, as seen from our user namespace.
    Unix { uid: u32, gid: u32, pid: Option<i32> },
}

impl fmt::Display for Peer {
    /// As the audit log names it: a TCP peer without its port, which changes with every connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) | Self::Tls(address) => write!(f, "{}", address.ip()),
            Self::Unix { uid, gid, .. } => write!(f, "uid {uid} gid {gid}"),
        }
    }
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
    /// The key as it stood in HTTP Basic, where form-decoding changed it: RFC 6749 2.3.1 says encoded, many clients
    /// do not encode. Either may match.
    pub raw_key: Option<Cow<'a, str>>,
    /// The caller can take a claims challenge (`xms_cc` with `cp1`, contract A10).
    pub capable: bool,
    /// The held token will not do.
    pub renew: Option<Renew>,
}

/// Why a held token will not do (contract A10, B8). It is the *flight* that this changes, not what the token is held for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renew {
    /// The resource answered with a challenge, which goes upstream.
    Claims(Challenge),
    /// The resource refused the token with this SHA-256.
    Refused(Fingerprint),
    /// The caller wants no held one.
    Bypass,
}

impl Renew {
    /// The label `reason` of `unsecret_forced_refreshes_total`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Claims(_) => "claims",
            Self::Refused(_) => "token-refused",
            Self::Bypass => "bypass",
        }
    }
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
    /// Whose Microsoft Graph it is that takes part in continuous access evaluation.
    pub cloud: Cloud,
    pub object_id: Option<Guid>,
    pub resource_id: Option<String>,
    pub allowed: Allowed,
    pub callers: Vec<CallerRule>,
    pub any_local_caller: bool,
    pub relay: Relayable,
}

/// What callers may have passed on in their own users' names (contract A14): scopes as the caller writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Relayable {
    #[default]
    Nothing,
    /// `relay_scopes = ["*"]`.
    Any,
    /// Each scope of a request must be among these, or one of `openid`, `profile`, `email` and `offline_access`.
    Listed(Vec<String>),
}

/// Permission to have a token for one resource as one identity. Only [`Policy::decide`] makes one.
#[derive(Debug)]
pub struct Grant<'a> {
    entry: &'a Arc<Entry>,
    resource: &'a str,
    capable: bool,
    renew: Option<&'a Renew>,
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

    /// The token may be one that its resource can revoke by a challenge.
    #[must_use]
    pub fn capable(&self) -> bool {
        self.capable
    }

    /// Why a held token will not do.
    #[must_use]
    pub fn renew(&self) -> Option<&'a Renew> {
        self.renew
    }
}

/// The identities and their rules, as one configuration has them.
#[derive(Debug)]
pub struct Policy {
    entries: Vec<Arc<Entry>>,
}

impl Policy {
    /// The configuration has checked that no key stands in two entries.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Self {
        Self { entries: entries.into_iter().map(Arc::new).collect() }
    }

    /// Every identity, in the order of the configuration.
    #[must_use]
    pub fn entries(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// Whether an identity has this client id in this tenant, as the OAuth door would find it.
    #[must_use]
    pub fn knows(&self, tenant: &str, client_id: &str) -> bool {
        let selector = Selector::ClientId(client_id.into());
        self.entries.iter().any(|entry| selects(&selector, entry) && of_tenant(entry, Some(tenant)))
    }

    /// Whether a caller of any identity proves itself by this key.
    #[must_use]
    pub fn knows_key(&self, key: &str) -> bool {
        let print = Fingerprint::of(local_key::trim(key).as_bytes());
        let mut rules = self.entries.iter().flat_map(|entry| &entry.callers);
        rules.any(|rule| matches!(rule, CallerRule::Key(known) if *known == print))
    }

    /// The one decision. The order matters: the caller is proven before the resource is looked at, so that a stranger
    /// does not learn what an identity may ask for.
    ///
    /// # Errors
    /// [`Denied`], with a text for the caller.
    pub fn decide<'a>(&'a self, peer: &Peer, ask: &'a Ask<'a>) -> Result<Grant<'a>, Denied> {
        let sender = Sender {
            door: ask.door,
            selector: &ask.selector,
            tenant: ask.tenant.as_deref(),
            keys: [ask.key.as_deref(), ask.raw_key.as_deref()],
        };
        let entry = self.proven(peer, &sender)?;
        let allowed = match &entry.allowed {
            Allowed::Any => true,
            Allowed::Listed(resources) => resources.iter().any(|one| same_resource(one.as_str(), &ask.resource)),
        };
        if !allowed {
            return Err(Denied::Resource { asked: quoted(&ask.resource), identity: entry.name.clone() });
        }
        // Contract A10: applications take part in continuous access evaluation with Microsoft Graph only. Their clients declare
        // cp1 in whatever they ask for, and Entra gives the ordinary token for anything else: so do we.
        let revocable = ask.door.takes_claims() && entry.cloud.is_graph(&ask.resource);
        if matches!(ask.renew, Some(Renew::Claims(_))) && !revocable {
            return Err(Denied::Challenge { asked: quoted(&ask.resource), door: ask.door });
        }
        Ok(Grant { entry, resource: &ask.resource, capable: ask.capable && revocable, renew: ask.renew.as_ref() })
    }

    /// The identity that the sender named and may use.
    fn proven(&self, peer: &Peer, sender: &Sender<'_>) -> Result<&Arc<Entry>, Denied> {
        // Even where any caller or, by its hash, this very secret would be welcome: it should have been deleted.
        if keys(sender).any(local_key::is_entra_secret) {
            return Err(Denied::EntraSecret);
        }
        let holder = self.holder(sender);
        let entry = self.named(sender, holder)?;
        admit(entry, peer, sender, holder)?;
        Ok(entry)
    }

    /// The identity that the presented key belongs to. Compares with every key, whichever matches.
    fn holder(&self, sender: &Sender<'_>) -> Option<&Arc<Entry>> {
        let mut holder = None;
        // A hash in the configuration does not tell how long its key is: here is the first place to see.
        for key in keys(sender).filter(|key| key.len() >= local_key::SHORTEST) {
            let print = Fingerprint::of(key.as_bytes());
            for entry in &self.entries {
                for rule in &entry.callers {
                    if matches!(rule, CallerRule::Key(known) if *known == print) {
                        holder = Some(entry);
                    }
                }
            }
        }
        holder
    }

    /// The identity that the request names. One client id may stand in several tenants: the tenant of the path decides,
    /// and after it the key.
    fn named<'a>(&'a self, sender: &Sender<'_>, holder: Option<&'a Arc<Entry>>) -> Result<&'a Arc<Entry>, Denied> {
        let selected = || self.entries.iter().filter(|entry| selects(sender.selector, entry));
        let mut fitting = selected().filter(|entry| of_tenant(entry, sender.tenant));
        let by_key = holder.filter(|entry| selects(sender.selector, entry) && of_tenant(entry, sender.tenant));
        match (by_key, fitting.next(), fitting.next()) {
            (Some(entry), ..) | (None, Some(entry), None) => Ok(entry),
            // Where keys tell identities apart, a key that tells none is a wrong one.
            (None, Some(_), Some(_)) if presents_key(sender) && selected().any(|entry| is_keyed(entry)) => {
                Err(Denied::WrongKey)
            }
            (None, Some(_), Some(_)) => Err(Denied::Unnamed),
            (None, None, _) => Err(match (selected().next(), sender.tenant) {
                (Some(_), Some(tenant)) => Denied::Tenant { asked: quoted(tenant) },
                _ => Denied::unknown(sender.selector),
            }),
        }
    }
}

/// What a request says of who sends it, whatever it asks for.
struct Sender<'a> {
    door: Door,
    selector: &'a Selector<'a>,
    tenant: Option<&'a str>,
    /// In both readings of HTTP Basic, where they differ.
    keys: [Option<&'a str>; 2],
}

/// What was presented as a local key, in either reading, without the line end that files leave at it.
fn keys<'a>(sender: &Sender<'a>) -> impl Iterator<Item = &'a str> {
    sender.keys.into_iter().flatten().map(local_key::trim)
}

/// HTTP Basic without a password, or a header of nothing but a line end, presents none.
fn presents_key(sender: &Sender<'_>) -> bool {
    keys(sender).any(|key| !key.is_empty())
}

fn is_keyed(entry: &Entry) -> bool {
    entry.callers.iter().any(|rule| matches!(rule, CallerRule::Key(_)))
}

fn selects(selector: &Selector<'_>, entry: &Entry) -> bool {
    let same = |one: Option<&str>, other: &str| one.is_some_and(|one| one.eq_ignore_ascii_case(other));
    match selector {
        Selector::None => true,
        Selector::ClientId(id) => same(Some(entry.client_id.as_str()), id),
        Selector::ObjectId(id) => same(entry.object_id.as_ref().map(Guid::as_str), id),
        Selector::ResourceId(id) => same(entry.resource_id.as_deref(), id),
    }
}

fn of_tenant(entry: &Entry, asked: Option<&str>) -> bool {
    let Some(asked) = asked else { return true };
    let mut known = std::iter::once(&entry.tenant).chain(&entry.tenant_aliases);
    known.any(|tenant| tenant.as_str().eq_ignore_ascii_case(asked))
}

/// Whether this caller may use this identity. A door whose clients always present a key demands it of identities that have
/// key rules, even from a known uid: a client that sends a wrong secret there is misconfigured and should hear so. Where any caller
/// is welcome the key may be left out, but one that is shown must be right: a wrong one is a mistake that would hide
/// itself until the day the identity is closed.
fn admit(entry: &Arc<Entry>, peer: &Peer, sender: &Sender<'_>, holder: Option<&Arc<Entry>>) -> Result<(), Denied> {
    let keyed = sender.door.carries_key() && is_keyed(entry);
    match holder {
        Some(holder) if Arc::ptr_eq(holder, entry) => return Ok(()),
        Some(_) => return Err(Denied::KeyOfAnother),
        // Of the platform, most likely, and meant for Entra: whoever sent it here believes that it was used.
        None if keys(sender).any(local_key::is_token) => return Err(Denied::TokenAsKey),
        None if keyed && presents_key(sender) => return Err(Denied::WrongKey),
        None if entry.any_local_caller => return Ok(()),
        None if keyed && sender.door.demands_key() => return Err(Denied::KeyMissing),
        None => {}
    }
    let known = |rule: &CallerRule| match (rule, peer) {
        (CallerRule::Uid(wanted), Peer::Unix { uid, .. }) => wanted == uid,
        (CallerRule::Gid(wanted), Peer::Unix { gid, .. }) => wanted == gid,
        _ => false,
    };
    match entry.callers.iter().any(known) {
        true => Ok(()),
        false if keyed => Err(Denied::KeyMissing),
        false => Err(Denied::Peer { door: sender.door }),
    }
}

#[cfg(test)]
mod tests;
