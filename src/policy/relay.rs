//! Who may have a grant of their own passed on: `(Peer, RelayAsk) → RelayGrant` or `Denied` (contract A14).
//!
//! The caller is proven as for any ask, by the same code; what `relay_scopes` says decides the rest. Where any local caller
//! is welcome, that goes for relays without a key too: what is passed on is worth nothing without the code, the refresh
//! token or the user's token that the caller brings along, while the same caller gets the application's own tokens for
//! the asking. Easy to get wrong: without a scope Entra takes those of the sign-in, which nobody here has seen, so a list
//! of scopes cannot be held to.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::denied::quoted;
use super::{Denied, Entry, Peer, Policy, Relayable, Selector, Sender};
use crate::ids::{DEFAULT_SUFFIX, Door, IdentityName, same_resource};

/// The grants that are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantType {
    AuthorizationCode,
    RefreshToken,
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer`.
    OnBehalfOf,
}

impl GrantType {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::AuthorizationCode, Self::RefreshToken, Self::OnBehalfOf];

    /// As `grant_type` spells it.
    #[must_use]
    pub fn on_the_wire(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::OnBehalfOf => "urn:ietf:params:oauth:grant-type:jwt-bearer",
        }
    }

    /// As metrics and the log name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnBehalfOf => "on_behalf_of",
            other => other.on_the_wire(),
        }
    }

    /// The one that a `grant_type` names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.on_the_wire() == text)
    }
}

/// A request to pass a grant on: who asks, and for which scopes.
pub struct RelayAsk<'a> {
    pub door: Door,
    pub selector: Selector<'a>,
    /// The tenant segment of the path.
    pub tenant: Option<Cow<'a, str>>,
    /// As in [`Ask`](super::Ask). A secret: never print it.
    pub key: Option<Cow<'a, str>>,
    pub raw_key: Option<Cow<'a, str>>,
    pub grant: GrantType,
    /// The words of `scope`; at the v1 endpoint the resource with `/.default` is one. Empty where the request leaves it to
    /// Entra.
    pub scopes: Vec<String>,
}

impl fmt::Debug for RelayAsk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayAsk")
            .field("door", &self.door)
            .field("selector", &self.selector)
            .field("tenant", &self.tenant)
            .field("key", &self.key.as_ref().map(|_| "…"))
            .field("grant", &self.grant)
            .field("scopes", &self.scopes)
            .finish()
    }
}

/// Permission to have one grant passed on as one identity. Only [`Policy::decide_relay`] makes one.
#[derive(Debug)]
pub struct RelayGrant<'a> {
    entry: &'a Arc<Entry>,
    grant: GrantType,
}

impl<'a> RelayGrant<'a> {
    /// The identity whose assertion goes along.
    #[must_use]
    pub fn identity(&self) -> &'a IdentityName {
        &self.entry.name
    }

    /// What is passed on.
    #[must_use]
    pub fn grant(&self) -> GrantType {
        self.grant
    }
}

/// They say who the user is and that the grant may be renewed: no application that signs users in asks without them.
const ALWAYS: [&str; 4] = ["openid", "profile", "email", "offline_access"];

impl Policy {
    /// Like [`Policy::decide`], for what the caller brings along.
    ///
    /// # Errors
    /// [`Denied`], with a text for the caller.
    pub fn decide_relay<'a>(&'a self, peer: &Peer, ask: &RelayAsk<'_>) -> Result<RelayGrant<'a>, Denied> {
        let sender = Sender {
            door: ask.door,
            selector: &ask.selector,
            tenant: ask.tenant.as_deref(),
            keys: [ask.key.as_deref(), ask.raw_key.as_deref()],
        };
        let entry = self.proven(peer, &sender)?;
        let identity = || entry.name.clone();
        match &entry.relay {
            Relayable::Nothing => return Err(Denied::RelayClosed { identity: identity() }),
            Relayable::Any => {}
            Relayable::Listed(_) if ask.scopes.is_empty() => {
                return Err(Denied::RelayUnscoped { identity: identity() });
            }
            Relayable::Listed(listed) => {
                if let Some(scope) = ask.scopes.iter().find(|scope| !is_covered(scope, listed)) {
                    return Err(Denied::RelayScope { asked: quoted(scope), identity: identity() });
                }
            }
        }
        Ok(RelayGrant { entry, grant: ask.grant })
    }
}

/// Letter for letter, but for the trailing slash of a resource, which means nothing elsewhere in the configuration either.
fn is_covered(scope: &str, listed: &[String]) -> bool {
    let all_of = |scope: &str| scope.strip_suffix(DEFAULT_SUFFIX).map(str::to_owned);
    let same = |one: &String| {
        one == scope || all_of(one).zip(all_of(scope)).is_some_and(|(one, other)| same_resource(&one, &other))
    };
    ALWAYS.contains(&scope) || listed.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::super::{Allowed, CallerRule};
    use super::*;
    use crate::authority::Cloud;
    use crate::ids::{Guid, Tenant};
    use crate::problem::Problem as _;
    use crate::secret::Fingerprint;

    const KEY: &str = "key-one-key-one-key-one-key-one-1";
    const ID: &str = "33333333-dddd-4eee-8fff-444444444444";

    fn policy(relay: Relayable, any_local_caller: bool) -> Policy {
        Policy::new(vec![Entry {
            name: IdentityName::parse("billing").unwrap(),
            tenant: Tenant::parse("contoso.example").unwrap(),
            tenant_aliases: vec![],
            client_id: Guid::parse(ID).unwrap(),
            cloud: Cloud::Public,
            object_id: None,
            resource_id: None,
            allowed: Allowed::Listed(vec![]),
            callers: vec![CallerRule::Key(Fingerprint::of(KEY.as_bytes()))],
            any_local_caller,
            relay,
        }])
    }

    fn ask<'a>(key: Option<&'a str>, scopes: &str) -> RelayAsk<'a> {
        RelayAsk {
            door: Door::Oauth,
            selector: Selector::ClientId(ID.into()),
            tenant: Some("contoso.example".into()),
            key: key.map(Cow::Borrowed),
            raw_key: None,
            grant: GrantType::AuthorizationCode,
            scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// The code of the refusal, or `granted`.
    fn verdict(policy: &Policy, ask: &RelayAsk<'_>) -> &'static str {
        let peer = Peer::Tcp(([127, 0, 0, 1], 50_000).into());
        policy.decide_relay(&peer, ask).map_or_else(|denied| denied.code(), |_| "granted")
    }

    fn listed() -> Relayable {
        Relayable::Listed(vec!["User.Read".into(), "api://orders/access".into(), "https://a.b/.default".into()])
    }

    #[test]
    fn the_caller_is_proven_before_its_scopes_are_looked_at() {
        for relay in [Relayable::Nothing, listed(), Relayable::Any] {
            let policy = policy(relay, false);
            assert_eq!(verdict(&policy, &ask(Some("wrong-wrong-wrong-wrong-wrong-wr"), "x")), "wrong-local-key");
            assert_eq!(verdict(&policy, &ask(None, "x")), "local-key-missing");
            let mut stranger = ask(Some(KEY), "x");
            stranger.selector = Selector::ClientId(Guid::random().to_string().into());
            assert_eq!(verdict(&policy, &stranger), "unknown-identity");
        }
    }

    #[test]
    fn where_any_caller_is_welcome_a_relay_needs_no_key_but_no_wrong_one_either() {
        let policy = policy(Relayable::Any, true);
        assert_eq!(verdict(&policy, &ask(None, "User.Read")), "granted");
        assert_eq!(verdict(&policy, &ask(Some("wrong-wrong-wrong-wrong-wrong-wr"), "")), "wrong-local-key");
    }

    #[test]
    fn each_scope_must_be_listed_or_be_about_the_user() {
        let policy = policy(listed(), false);
        for fine in [
            "openid",
            "openid profile email offline_access User.Read",
            "api://orders/access",
            "https://a.b/.default",
            "https://a.b//.default",
        ] {
            assert_eq!(verdict(&policy, &ask(Some(KEY), fine)), "granted", "{fine}");
        }
        for wrong in ["Mail.Read", "openid Mail.Read", "User.Read Mail.Read", "user.read", "https://a.b", "*"] {
            assert_eq!(verdict(&policy, &ask(Some(KEY), wrong)), "relay-scope-not-allowed", "{wrong}");
        }
    }

    #[test]
    fn a_request_without_scopes_is_passed_on_only_where_any_may_be_asked() {
        assert_eq!(verdict(&policy(listed(), false), &ask(Some(KEY), "")), "relay-scope-missing");
        assert_eq!(verdict(&policy(Relayable::Any, false), &ask(Some(KEY), "")), "granted");
        assert_eq!(verdict(&policy(Relayable::Nothing, false), &ask(Some(KEY), "openid")), "relay-not-allowed");
    }

    #[test]
    fn a_secret_of_entra_is_refused_and_nothing_prints_a_key() {
        let policy = policy(Relayable::Any, true);
        let secret = "abc8Q~canary-canary-canary-canary-canary";
        assert_eq!(verdict(&policy, &ask(Some(secret), "openid")), "entra-secret-presented");
        assert!(!format!("{:?}", ask(Some(secret), "openid")).contains("canary"));
    }

    #[test]
    fn grants_are_read_as_they_are_spelled() {
        for grant in GrantType::ALL {
            assert_eq!(GrantType::parse(grant.on_the_wire()), Some(grant));
        }
        assert_eq!(GrantType::parse("password"), None);
        assert_eq!(GrantType::parse("on_behalf_of"), None);
    }
}
