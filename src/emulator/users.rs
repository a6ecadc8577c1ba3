//! The people who sign in: what settings said of them, and which of their sign-ins still count.
//!
//! Easy to get wrong: a revocation ends what was signed in before it, even within the same second, so sign-ins are
//! told apart by a count and not by the time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::EmulatorError;
use super::directory::derived_guid;
use super::settings::UserSettings;
use crate::ids::Guid;

/// Everybody, in the order of the settings.
pub(super) struct Users(Vec<User>);

/// Somebody who signs in.
pub(super) struct User {
    pub(super) settings: UserSettings,
    /// The claim `oid`.
    pub(super) object_id: Guid,
    revocations: AtomicU64,
}

impl Users {
    pub(super) fn new(settings: &[UserSettings]) -> Self {
        let user = |settings: &UserSettings| User {
            object_id: settings.object_id.clone().unwrap_or_else(|| derived_guid(&format!("user {}", settings.name))),
            settings: settings.clone(),
            revocations: AtomicU64::new(0),
        };
        Self(settings.iter().map(user).collect())
    }

    /// Who signs in: the one whom the hint names, or the first of the tenant.
    pub(super) fn signing_in(&self, tenant: &Guid, hint: Option<&str>) -> Option<&User> {
        let hinted = |user: &&User| hint.is_none_or(|hint| user.settings.name.eq_ignore_ascii_case(hint));
        self.0.iter().filter(|user| user.settings.tenant == *tenant).find(hinted)
    }

    /// By the claim `oid`.
    pub(super) fn by_object(&self, object_id: &str) -> Option<&User> {
        self.0.iter().find(|user| user.object_id.as_str() == object_id)
    }

    pub(super) fn named(&self, name: &str) -> Result<&User, EmulatorError> {
        let found = self.0.iter().find(|user| user.settings.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| EmulatorError::UnknownUser(name.to_owned()))
    }
}

impl User {
    /// Ends every sign-in of the past.
    pub(super) fn revoke(&self) {
        self.revocations.fetch_add(1, Ordering::Relaxed);
    }

    /// The mark of a sign-in that is made now.
    pub(super) fn mark(&self) -> u64 {
        self.revocations.load(Ordering::Relaxed)
    }
}
