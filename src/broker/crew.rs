//! What every flight of one identity needs besides its slot.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Mint;
use crate::clock::Clock;
use crate::ids::{Guid, IdentityName};
use crate::observe::Observer;

/// Shared by the slots of one identity; a reload makes a new one.
pub(super) struct Crew {
    pub(super) identity: IdentityName,
    pub(super) client_id: Guid,
    pub(super) mint: Arc<dyn Mint>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    /// How long a caller without a held token waits (`listen.wait`).
    pub(super) wait: Duration,
    /// Wakes the keeper: what it had planned may have changed.
    pub(super) poke: Arc<Notify>,
}
