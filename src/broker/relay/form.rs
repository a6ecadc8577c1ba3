//! The form that is passed on: all that the caller sent but who it is and what proves it.
//!
//! Decoded once, and encoded anew when it is sent, so that Entra reads the very fields that were looked at here. Easy to
//! get wrong: it holds codes, refresh tokens and users' tokens, so it does not print and is wiped.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use zeroize::Zeroizing;

use super::held::Key;
use crate::authority::Endpoint;
use crate::claims::Claims;
use crate::ids::IdentityName;
use crate::policy::GrantType;

/// What is to be passed on.
pub struct Form {
    pub endpoint: Endpoint,
    pub grant: GrantType,
    /// What the field `claims` asks.
    pub claims: Claims,
    /// Names and values in the caller's order.
    pub fields: Vec<(String, Zeroizing<String>)>,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("endpoint", &self.endpoint).field("grant", &self.grant).finish_non_exhaustive()
    }
}

/// What libraries tell of themselves (contract A3). It differs from request to request and changes nothing in the answer.
const TELEMETRY: [&str; 11] = [
    "client-request-id",
    "return-client-request-id",
    "x-app-name",
    "x-app-ver",
    "x-client-cpu",
    "x-client-current-telemetry",
    "x-client-last-telemetry",
    "x-client-os",
    "x-client-sku",
    "x-client-ver",
    "x-ms-lib-capability",
];

impl Form {
    /// What an answer is held under: the identity, the user's token and whatever else may change the answer, in any order.
    /// Of `claims` only the capability counts: see [`super::held`].
    pub(super) fn key(&self, identity: &IdentityName) -> Key {
        let mut fields: Vec<_> =
            self.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str())).collect();
        fields.retain(|(name, _)| name != "claims" && !TELEMETRY.contains(&name.as_str()));
        fields.sort_unstable();
        let mut hash = Context::new(&SHA256);
        // Each length before its text, so that no two forms are one.
        let mut add = |text: &str| {
            hash.update(&text.len().to_le_bytes());
            hash.update(text.as_bytes());
        };
        for (name, value) in fields {
            add(&name);
            if name == "scope" {
                let mut words: Vec<_> = value.split_ascii_whitespace().collect();
                words.sort_unstable();
                words.dedup();
                add(&words.join(" "));
            } else {
                add(value);
            }
        }
        let mut form = [0; 32];
        form.copy_from_slice(hash.finish().as_ref());
        Key { identity: identity.clone(), endpoint: self.endpoint, form }
    }
}
