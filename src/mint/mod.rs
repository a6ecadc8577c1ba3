//! Ways to get a new token for an identity: the real [`Mint`](crate::broker::Mint)s.
//!
//! Not the cadence of trying again (the broker's keeper has it) and not the wire (`entra` has it). Easy to get wrong:
//! one attempt may ask Entra several times, but only for the reasons `exchange` lists.

mod exchange;
mod keys;
mod relay;

pub use exchange::{Exchange, Timing};
pub use keys::TenantKeys;
