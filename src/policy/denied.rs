//! Policy's no: its texts, codes and remedies.
//!
//! Not the statuses (each dialect has its own). Easy to get wrong: a stranger reads these, so they quote only what the
//! caller sent and never say which identities, keys or scopes exist.

use std::borrow::Cow;

use super::Selector;
use crate::ids::{DEFAULT_SUFFIX, Door, IdentityName};
use crate::problem::{Blame, Problem};
use crate::secret::local_key;

/// Policy's no. The texts go to the caller: they quote only what the caller sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("no identity here has the {parameter} {value}")]
    UnknownIdentity { parameter: &'static str, value: String },
    #[error("this application is not configured for the tenant {asked}")]
    Tenant { asked: String },
    #[error("the request fits several identities and does not say which")]
    Unnamed,
    #[error("the local key presented is not one of this identity")]
    WrongKey,
    #[error("the key presented looks like a JSON Web Token; a local key was expected")]
    TokenAsKey,
    #[error(
        "the key presented looks like a real Entra client secret; a local key was expected, and the secret has now \
         been sent to a program that must not have it"
    )]
    EntraSecret,
    #[error("the local key presented belongs to another identity than the one named")]
    KeyOfAnother,
    #[error("this identity demands a local key and none was presented")]
    KeyMissing,
    #[error("this caller may not use the identity through the {door} door")]
    Peer { door: Door },
    #[error("identity `{identity}` may not ask for {asked}")]
    Resource { asked: String, identity: IdentityName },
    #[error("identity `{identity}` passes nothing on that belongs to a user")]
    RelayClosed { identity: IdentityName },
    #[error("identity `{identity}` may not have the scope {asked} passed on")]
    RelayScope { asked: String, identity: IdentityName },
    #[error(
        "the request names no scope, so Entra would take those of the sign-in, and identity `{identity}` may have only some \
         passed on"
    )]
    RelayUnscoped { identity: IdentityName },
    #[error(
        "a claims challenge was answered for {asked} at the {door} door; for applications there are challenges of Microsoft \
         Graph only, and they are answered at the oauth door"
    )]
    Challenge { asked: String, door: Door },
}

impl Denied {
    /// No identity here is of the tenant asked for.
    #[must_use]
    pub fn tenant(asked: &str) -> Self {
        Self::Tenant { asked: quoted(asked) }
    }

    pub(super) fn unknown(selector: &Selector<'_>) -> Self {
        let (parameter, value) = match selector {
            Selector::None => ("name", "(none given)"),
            Selector::ClientId(id) => ("client_id", id.as_ref()),
            Selector::ObjectId(id) => ("object_id", id.as_ref()),
            Selector::ResourceId(id) => ("resource id", id.as_ref()),
        };
        Self::UnknownIdentity { parameter, value: quoted(value) }
    }

    /// The label `reason` of `unsecret_requests_rejected_total`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UnknownIdentity { .. } | Self::Tenant { .. } | Self::Unnamed => "identity_denied",
            Self::WrongKey
            | Self::TokenAsKey
            | Self::EntraSecret
            | Self::KeyOfAnother
            | Self::KeyMissing
            | Self::Peer { .. } => "peer_denied",
            Self::Resource { .. } | Self::RelayClosed { .. } | Self::RelayScope { .. } | Self::RelayUnscoped { .. } => {
                "resource_denied"
            }
            Self::Challenge { .. } => "bad_request",
        }
    }
}

impl Problem for Denied {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownIdentity { .. } => "unknown-identity",
            Self::Tenant { .. } => "unknown-tenant",
            Self::Unnamed => "identity-not-named",
            Self::WrongKey => "wrong-local-key",
            Self::TokenAsKey => "token-presented-as-key",
            Self::EntraSecret => "entra-secret-presented",
            Self::KeyOfAnother => "key-of-another-identity",
            Self::KeyMissing => "local-key-missing",
            Self::Peer { .. } => "caller-not-allowed",
            Self::Resource { .. } => "resource-not-allowed",
            Self::RelayClosed { .. } => "relay-not-allowed",
            Self::RelayScope { .. } => "relay-scope-not-allowed",
            Self::RelayUnscoped { .. } => "relay-scope-missing",
            Self::Challenge { .. } => "claims-challenge-unsupported",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Peer { .. } | Self::Resource { .. } | Self::RelayClosed { .. } | Self::RelayScope { .. } => {
                Blame::Configuration
            }
            _ => Blame::Caller,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::UnknownIdentity { .. } => "compare it with the identities of the unsecret configuration",
            Self::Tenant { asked } if matches!(asked.as_str(), "`common`" | "`organizations`" | "`consumers`") => {
                "use the tenant of the identity in the path; this word stands for no single tenant"
            }
            Self::Tenant { .. } => "use the tenant of the identity in the path, or add this spelling to tenant_aliases",
            Self::Unnamed => "send client_id, object_id, a resource id or a local key",
            Self::WrongKey => "give the application the local key of this identity; `unsecret caller add` makes one",
            Self::TokenAsKey => {
                "put the local key of this identity where the application finds that token (the file that \
                 AZURE_FEDERATED_TOKEN_FILE names); `unsecret caller add` makes one"
            }
            Self::EntraSecret => {
                "delete that secret in Entra, and give the application a local key made by `unsecret caller add`"
            }
            Self::KeyOfAnother => "let client_id and local key name the same identity",
            Self::KeyMissing => {
                "send the local key as client_secret, in X-IDENTITY-HEADER, or in the path of the cloud-shell door"
            }
            Self::Peer { .. } => {
                "add a caller rule with the uid or gid of the caller and use the Unix socket, use a door that carries \
                 a local key, or set any_local_caller = true"
            }
            // Whole, so that it can be copied: a scope is the resource and exactly this suffix.
            Self::Resource { asked, identity } if !asked.contains('…') => {
                let scope = format!("{}{DEFAULT_SUFFIX}", asked.trim_matches('`'));
                return Some(Cow::Owned(format!("add `{scope}` to the scopes of identity `{identity}`")));
            }
            Self::Resource { .. } => "add it to the scopes of the identity in the unsecret configuration",
            Self::RelayClosed { identity } => {
                return Some(Cow::Owned(format!(
                    "list in relay_scopes of identity `{identity}` what its users' tokens are for"
                )));
            }
            Self::RelayScope { asked, identity } if !asked.contains('…') => {
                return Some(Cow::Owned(format!("add {asked} to relay_scopes of identity `{identity}`")));
            }
            Self::RelayScope { .. } => "add it to relay_scopes of the identity in the unsecret configuration",
            Self::RelayUnscoped { identity } => {
                return Some(Cow::Owned(format!(
                    "send scope (at the v1 endpoint resource) in the token request too, or set \
                     relay_scopes = [\"*\"] for identity `{identity}`"
                )));
            }
            Self::Challenge { .. } => {
                "ask without `claims`, and look into the challenge for what the resource wants: a new token does not bring it"
            }
        }))
    }
}

/// What the caller sent, fit for a message: short, and not a secret that was put into the wrong field.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 120;
    // A JSON Web Token begins with `{"`, which is `eyJ` in base64.
    if local_key::is_entra_secret(text) || text.starts_with("uns_") || text.starts_with("eyJ") {
        return "`…`".to_owned();
    }
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}
