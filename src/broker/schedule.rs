//! When to refresh, when to try again, when to stop waiting: pure functions of durations.
//!
//! No clock and no state in here; `slot` and `keeper` ask with what they have. Easy to get wrong: `Duration` arithmetic
//! panics on overflow, and every number here may come from a broken answer, so only saturating forms are used.

use std::time::Duration;

use aws_lc_rs::rand;

use crate::fault::Class;

/// Azure SDKs treat a token with under five minutes as expired and ask again at every call (contract B0 5).
const WIDEST_MARGIN: Duration = Duration::from_secs(300);
/// Below the margin a caller waits this long for a better token before it gets the held one.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Never refresh sooner than this after minting: a broken `refresh_in` of 0 must not become a request loop (50196).
const SOONEST_REFRESH: Duration = Duration::from_secs(30);
/// Never ask again sooner than this, whatever went wrong.
const SOONEST_TRY: Duration = Duration::from_secs(1);
/// Contract A12: `Retry-After` is obeyed up to an hour.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// An outage of hours costs one request a minute and slot.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// What fails on this machine costs nobody anything: a key that is back is to serve again within a minute, whatever pause of
/// its own its hardware takes first.
const LONGEST_LOCAL_BACKOFF: Duration = Duration::from_secs(15);
/// Contract A11, class cfg: do not ask again for about a minute.
const NEGATIVE_CACHE: Duration = Duration::from_secs(60);
/// Contract A11, 50196 (client request loop): do not try this key again for several minutes.
const LOOP_PAUSE: Duration = Duration::from_secs(300);
/// Contract A11, class prop: replication is given ten minutes from the first failure that it may explain. Class fresh is
/// treated alike once the fresh assertion of the same attempt was refused too.
const PROPAGATION: Duration = Duration::from_secs(600);
/// Entra says that we ask in a loop.
pub(super) const CLIENT_LOOP: u32 = 50_196;

/// A share between nothing and all, so that jitter is an argument and not a hidden roll of dice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(u16);

impl Share {
    #[cfg(test)]
    pub(super) const NOTHING: Self = Self(0);

    /// A fresh one. Should randomness fail, the middle will do: this is no secret.
    pub(super) fn random() -> Self {
        let mut bytes = [0; 2];
        rand::fill(&mut bytes).map_or(Self(u16::MAX / 2), |()| Self(u16::from_le_bytes(bytes)))
    }

    /// This share of `whole`.
    fn of(self, whole: Duration) -> Duration {
        (whole / u32::from(u16::MAX)).saturating_mul(u32::from(self.0))
    }
}

/// How long after minting to refresh: the earlier of Entra's `refresh_in` and 70 % of the life, less 0–10 % of the life
/// so that many slots (and many sidecars) do not ask in step.
pub(super) fn refresh_after(life: Duration, refresh_in: Option<Duration>, jitter: Share) -> Duration {
    let seventy = (life / 10).saturating_mul(7);
    let wanted = refresh_in.map_or(seventy, |given| given.min(seventy));
    wanted.saturating_sub(jitter.of(life / 10)).max(SOONEST_REFRESH.min(seventy)).max(SOONEST_TRY)
}

/// With less than this left, a caller is better served by waiting a moment for a new token.
pub(super) fn margin(life: Duration) -> Duration {
    WIDEST_MARGIN.min(life / 4)
}

/// What is known about a failure when the next try is planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) class: Class,
    /// Nobody else was asked.
    pub(super) local: bool,
    /// Entra answered 50196.
    pub(super) client_loop: bool,
    pub(super) retry_after: Option<Duration>,
    /// How many in a row, this one included.
    pub(super) consecutive: u32,
    /// Since the first of them that replication may explain; an outage before it does not count.
    pub(super) spreading: Duration,
    /// What the held token still lasts, if there is one.
    pub(super) remaining: Option<Duration>,
}

impl Failure {
    /// The class as it is to be treated now: what replication cannot explain any more is configuration.
    pub(super) fn class(&self) -> Class {
        if may_be_spreading(self.class) && self.spreading >= PROPAGATION { Class::Configuration } else { self.class }
    }

    /// How long to leave Entra alone: max(`Retry-After`, 1 s, what the class asks for).
    pub(super) fn next_try(&self, jitter: Share) -> Duration {
        let own = match self.class() {
            _ if self.client_loop => LOOP_PAUSE,
            Class::Configuration | Class::Policy | Class::Client => NEGATIVE_CACHE,
            Class::Propagation | Class::Fresh | Class::Transient => {
                let longest = if self.local { LONGEST_LOCAL_BACKOFF } else { LONGEST_BACKOFF };
                let backoff = backoff(self.consecutive, jitter).min(longest);
                self.remaining.map_or(backoff, |left| backoff.min(left / 2))
            }
        };
        own.max(SOONEST_TRY).max(self.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
    }
}

/// Whether replication inside Entra may explain a failure of this class.
pub(super) fn may_be_spreading(class: Class) -> bool {
    matches!(class, Class::Propagation | Class::Fresh)
}

/// 1 s, 2 s, 4 s … one minute, each less up to half of it.
fn backoff(consecutive: u32, jitter: Share) -> Duration {
    let doublings = consecutive.saturating_sub(1).min(16);
    let whole = FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
    whole.saturating_sub(jitter.of(whole / 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn failure(class: Class) -> Failure {
        Failure {
            class,
            local: false,
            client_loop: false,
            retry_after: None,
            consecutive: 1,
            spreading: Duration::ZERO,
            remaining: None,
        }
    }

    #[test]
    fn without_refresh_in_a_token_is_refreshed_between_60_and_70_percent_of_its_life() {
        assert_eq!(refresh_after(HOUR, None, Share::NOTHING), Duration::from_secs(2_520));
        let earliest = refresh_after(HOUR, None, Share(u16::MAX));
        assert!(earliest.abs_diff(Duration::from_secs(2_160)) < Duration::from_millis(10), "{earliest:?}");
    }

    #[test]
    fn an_early_refresh_in_wins_but_a_broken_one_makes_no_loop() {
        let day = HOUR * 24;
        assert_eq!(refresh_after(day, Some(HOUR * 12), Share::NOTHING), HOUR * 12);
        assert_eq!(refresh_after(day, Some(HOUR * 23), Share::NOTHING), HOUR * 24 / 10 * 7);
        assert_eq!(refresh_after(day, Some(Duration::ZERO), Share::NOTHING), SOONEST_REFRESH);
        assert_eq!(refresh_after(Duration::ZERO, None, Share::NOTHING), SOONEST_TRY);
    }

    #[test]
    fn retry_after_is_obeyed_up_to_an_hour() {
        let asked = |seconds| {
            Failure { retry_after: Some(Duration::from_secs(seconds)), ..failure(Class::Transient) }
                .next_try(Share::NOTHING)
        };
        assert_eq!(asked(7), Duration::from_secs(7));
        assert_eq!(asked(86_400), HOUR);
    }

    #[test]
    fn what_fails_on_this_machine_is_tried_again_within_15_seconds() {
        let late = Failure { consecutive: 40, ..failure(Class::Transient) };
        assert_eq!(late.next_try(Share::NOTHING).as_secs(), 60);
        assert_eq!(Failure { local: true, ..late }.next_try(Share::NOTHING).as_secs(), 15);
    }

    #[test]
    fn each_class_has_its_pause() {
        let pause = |class| failure(class).next_try(Share::NOTHING).as_secs();
        assert_eq!(pause(Class::Configuration), 60);
        assert_eq!(pause(Class::Policy), 60);
        assert_eq!(pause(Class::Client), 60);
        assert_eq!(pause(Class::Transient), 1);
        assert_eq!(pause(Class::Fresh), 1);
        let looping = Failure { client_loop: true, ..failure(Class::Transient) };
        assert_eq!(looping.next_try(Share::NOTHING).as_secs(), 300);
    }

    #[test]
    fn what_replication_may_explain_becomes_configuration_after_ten_minutes() {
        for class in [Class::Propagation, Class::Fresh] {
            let early = Failure { spreading: Duration::from_secs(599), ..failure(class) };
            let late = Failure { spreading: PROPAGATION, ..early };
            assert_eq!((early.class(), early.next_try(Share::NOTHING).as_secs()), (class, 1));
            assert_eq!((late.class(), late.next_try(Share::NOTHING).as_secs()), (Class::Configuration, 60));
        }
        let outage = Failure { spreading: PROPAGATION, ..failure(Class::Transient) };
        assert_eq!(outage.class(), Class::Transient);
    }

    fn any_duration() -> impl Strategy<Value = Duration> {
        prop_oneof![
            (0u64..200_000).prop_map(Duration::from_secs),
            (any::<u64>(), 0u32..1_000_000_000).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        ]
    }

    fn any_class() -> impl Strategy<Value = Class> {
        prop::sample::select(vec![
            Class::Configuration,
            Class::Propagation,
            Class::Fresh,
            Class::Transient,
            Class::Policy,
            Class::Client,
        ])
    }

    proptest! {
        #[test]
        fn a_refresh_is_never_later_than_70_percent_nor_than_refresh_in_nor_at_once(
            life in any_duration(), given in prop::option::of(any_duration()), jitter in any::<u16>(),
        ) {
            let after = refresh_after(life, given, Share(jitter));
            let seventy = life / 10 * 7;
            prop_assert!(after >= SOONEST_TRY);
            prop_assert!(after <= seventy.max(SOONEST_TRY));
            prop_assert!(after <= given.unwrap_or(seventy).max(SOONEST_REFRESH));
        }

        #[test]
        fn a_refresh_leaves_room_before_the_margin(life in any_duration(), jitter in any::<u16>()) {
            prop_assume!(life >= Duration::from_secs(60));
            prop_assert!(refresh_after(life, None, Share(jitter)) <= life.saturating_sub(margin(life)));
        }

        #[test]
        fn a_next_try_keeps_its_bounds(
            class in any_class(), client_loop in any::<bool>(), retry_after in prop::option::of(any_duration()),
            consecutive in any::<u32>(), spreading in any_duration(), remaining in prop::option::of(any_duration()),
            jitter in any::<u16>(),
        ) {
            let failure = Failure { class, local: false, client_loop, retry_after, consecutive, spreading, remaining };
            let next = failure.next_try(Share(jitter));
            prop_assert!(next >= SOONEST_TRY && next <= LONGEST_RETRY_AFTER);
            prop_assert!(next >= retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
            if retry_after.is_none() {
                prop_assert!(next <= LOOP_PAUSE);
                if let (Some(left), false) = (remaining, client_loop) {
                    let patient = matches!(failure.class(), Class::Configuration | Class::Policy | Class::Client);
                    prop_assert!(patient || next <= (left / 2).max(SOONEST_TRY));
                }
            }
        }

        #[test]
        fn backoff_never_shrinks_by_more_than_its_jitter(consecutive in 1u32..40) {
            prop_assert!(backoff(consecutive + 1, Share::NOTHING) >= backoff(consecutive, Share::NOTHING));
            prop_assert!(backoff(consecutive, Share(u16::MAX)) * 2 + Duration::from_millis(5)
                >= backoff(consecutive, Share::NOTHING));
        }
    }
}
