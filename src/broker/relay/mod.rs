//! Passes on what belongs to a caller's user: `RelayGrant` and form → Entra's answer (contract A14).
//!
//! Owns the trait [`Relay`]; does not know how the form reaches Entra. A code and a refresh token are passed on once each
//! and their answers never kept. On-behalf-of answers are held as tokens are, because its clients ask for every request
//! that they serve. Easy to get wrong: a refresh token in an answer would be given out twice, so such an answer is not
//! held; and what a resource has refused must not be what is held, so `claims` pass by it.

mod form;
mod held;
mod times;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_core::future::BoxFuture;

use super::{Broker, MintError, mishap};
use crate::policy::{GrantType, RelayGrant};

pub use self::form::Form;
pub(super) use self::held::Answers;

/// Passes a form on for one identity, with a fresh assertion in place of the caller's key.
///
/// Dropping the future may leave a code redeemed and its answer lost: nobody waits for it any more. It should end by itself.
pub trait Relay: Send + Sync + fmt::Debug {
    /// What Entra says, be it yes or no to the caller's own grant. An error is everything else: what is wrong with our
    /// proof, or with the way to Entra.
    fn relay(&self, form: Arc<Form>) -> BoxFuture<'static, Result<Relayed, MintError>>;
}

/// Entra's answer. It holds tokens, so it does not print; the body is wiped when its last reader is done.
#[derive(Clone)]
pub struct Relayed {
    pub status: u16,
    pub body: Bytes,
    /// Entra's first number, in a refusal.
    pub aadsts: Option<u32>,
    /// Out of what was held; nobody was asked.
    pub held: bool,
}

impl fmt::Debug for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, aadsts, held, .. } = self;
        f.debug_struct("Relayed")
            .field("status", status)
            .field("aadsts", aadsts)
            .field("held", held)
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// Entra's answer to a grant of the caller's own, or what is held of it.
    pub async fn relay(&self, grant: &RelayGrant<'_>, form: Form) -> Result<Relayed, MintError> {
        let Some(relay) = self.roster(grant.identity()).and_then(|roster| roster.relay()) else {
            return Err(mishap::unwired(grant.identity()));
        };
        if grant.grant() != GrantType::OnBehalfOf {
            return relay.relay(Arc::new(form)).await;
        }
        let key = form.key(grant.identity());
        let flight = self.answers.flight(&key);
        // Many requests of one user come at once. The first asks, the others wait for its answer and, where there is
        // none to hold, ask for themselves side by side: an outage must not be waited for in a queue.
        let mut turn = flight.lock().await;
        if let Some(answer) = self.answers.find(&key, &form, self.clock.now()) {
            return Ok(answer);
        }
        if std::mem::replace(&mut *turn, true) {
            drop(turn);
            return self.ask(relay, key, form).await;
        }
        let outcome = self.ask(relay, key, form).await;
        drop(turn);
        outcome
    }

    async fn ask(&self, relay: &dyn Relay, key: held::Key, form: Form) -> Result<Relayed, MintError> {
        let form = Arc::new(form);
        let relayed = relay.relay(Arc::clone(&form)).await?;
        self.answers.keep(key, &form, &relayed, self.clock.now());
        Ok(relayed)
    }
}

/// Users whose tokens an application exchanges within one life of a token; the rest costs a request each.
const MOST_HELD: usize = 1_024;
/// A token with its groups is some 20 KiB: what is much larger is passed on and not held.
const LARGEST_HELD: usize = 64 * 1024;
/// Longer than this no answer is believed to be good.
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);

#[cfg(test)]
mod tests;
