//! What a sink is to write now, and when to look again.
//!
//! Tokens are the broker's to refresh: here they are only looked at. Assertions are asked for here. Easy to get wrong: a
//! client goes on for ten minutes with what it has read (contract B10), so an assertion has to be replaced that long before
//! its end, and not at its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zeroize::Zeroizing;

use super::error::SinkError;
use crate::assertion::{Assertion, AssertionError, AssertionSource, Wanted};
use crate::broker::Minted;
use crate::clock::{Clock, Deadline};
use crate::ids::IdentityName;
use crate::observe::{Event, Observer};
use crate::problem::Problem;
use crate::secret::Fingerprint;

use super::Format;

/// Contract B10: Azure's SDKs in Python, Go and Rust read the file again after ten minutes, the others after five.
pub(super) const CACHED: Duration = Duration::from_secs(600);
/// Of an assertion that we sign. Read just before it is replaced, after ten minutes, it lives another ten in a client's
/// cache; and ten more are for a signer that fails for a while. Contract A6: Entra sets no ceiling, but only a thief gains by more.
pub(super) const LIFE: Duration = Duration::from_secs(1_800);
/// A platform that rotates its token early, or an administrator who replaced it, is noticed within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// A file that its platform does not renew is no reason to read it all the time.
const SHORTEST_PAUSE: Duration = Duration::from_secs(30);
/// A source has deadlines of its own; this is for a network volume that hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Something to write.
pub(super) struct Supplied {
    pub(super) text: Zeroizing<String>,
    /// Of the token or assertion alone, to know it again.
    pub(super) print: Fingerprint,
    /// `None` where it does not say.
    pub(super) expires: Option<Deadline>,
}

impl Supplied {
    pub(super) fn token(minted: &Minted, format: &Format) -> Self {
        let print = minted.access_token.fingerprint();
        Self { text: format.render(minted), print, expires: Some(minted.expires) }
    }

    pub(super) fn assertion(assertion: &Assertion, clock: &dyn Clock) -> Self {
        let now = clock.now();
        let left = |expires: u64| Deadline::after(now, Duration::from_secs(expires.saturating_sub(now.epoch())));
        let text = Zeroizing::new(assertion.jwt.expose().to_owned());
        Self { text, print: assertion.jwt.fingerprint(), expires: assertion.facts.expires.map(left) }
    }
}

/// When to ask for the next assertion, with this much left of the one in the file: half way to the moment at which who
/// reads it could not keep it for ten minutes any more. Of one that was too short from the start, half of what is left.
pub(super) fn pause(left: Option<Duration>) -> Duration {
    let half = left.map_or(CACHED, |left| left.checked_sub(CACHED).unwrap_or(left) / 2);
    half.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

/// Asks the source, and tells of it as an exchange does.
pub(super) async fn ask(
    source: &Arc<dyn AssertionSource>,
    token_url: &str,
    identity: &IdentityName,
    (clock, observer): (&dyn Clock, &dyn Observer),
) -> Result<Assertion, Box<dyn Problem>> {
    let started = clock.now();
    let asked = timeout(PATIENCE, source.lasting(Wanted { token_url, refused: &[] }, LIFE)).await;
    let made: Result<_, Box<dyn Problem>> = match asked {
        Ok(made) => made.map_err(|problem: AssertionError| Box::new(problem) as Box<dyn Problem>),
        Err(_) => Err(Box::new(SinkError::NoAssertion { limit: PATIENCE })),
    };
    observer.on(&Event::Asserted {
        identity,
        source: source.kind(),
        outcome: made.as_ref().map_or_else(|problem| problem.code(), |_| "success"),
        took: clock.now().mono.saturating_sub(started.mono),
        expires: made.as_ref().ok().and_then(|assertion| assertion.facts.expires),
        source_expires: source.source_expires(),
    });
    made
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn what_we_sign_is_signed_anew_every_ten_minutes() {
        assert_eq!(pause(Some(LIFE)), minutes(10));
    }

    #[test]
    fn a_platforms_token_is_looked_for_ever_more_often_towards_its_end_and_not_all_the_time() {
        assert_eq!(pause(Some(minutes(60))), minutes(25));
        // The kubelet replaces a token of an hour when twelve minutes are left.
        assert_eq!(pause(Some(minutes(12))), minutes(1));
        assert_eq!(pause(Some(minutes(24 * 60))), LONGEST_PAUSE);
        assert_eq!(pause(Some(minutes(5))), Duration::from_secs(150));
        assert_eq!(pause(Some(Duration::ZERO)), SHORTEST_PAUSE);
        assert_eq!(pause(None), CACHED);
    }

    proptest! {
        #[test]
        fn where_there_is_time_there_are_ten_minutes_left_after_the_next_replacement(seconds in 661u64..100_000) {
            let left = Duration::from_secs(seconds);
            prop_assert!(left >= pause(Some(left)) + CACHED);
        }
    }
}
