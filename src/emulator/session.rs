//! What a code, a refresh token or a user's token stands for: somebody signed in, for an application.

use crate::ids::Guid;

/// One sign-in and what was asked for with it.
#[derive(Clone)]
pub(super) struct Session {
    /// The user's object id.
    pub(super) user: Guid,
    /// [`super::users::User::mark`] at the sign-in.
    pub(super) mark: u64,
    /// When the user signed in, in seconds since 1970.
    pub(super) signed_in: u64,
    /// The scope of the authorize request (v2), for a request that names none.
    pub(super) scope: String,
    /// The resource of the authorize request (v1).
    pub(super) resource: Option<String>,
    /// Goes into the id token of the code's redemption and no later one.
    pub(super) nonce: Option<String>,
}
