//! When a new certificate is made, and which of those that there are is shown. Pure.
//!
//! A client reads what it trusts at its start. So a new root lies in the bundle for 95 days before its certificate is
//! needed, which is the time that an application has for its next restart. Easy to get wrong: a clock that is wrong for a moment
//! must not cost anybody their trust, so what is not valid just now is passed over and not thrown away.

/// How long a certificate lives.
pub(super) const LIFE: u64 = 365 * DAY;
/// At what age the next one is made.
const NEXT_AT: u64 = 240 * DAY;
/// With how much life left it is shown no longer, where there is another.
const LEFT_AT_LAST: u64 = 30 * DAY;
/// How long after its end a certificate is thrown away.
const FORGET_AFTER: u64 = 30 * DAY;
const DAY: u64 = 86_400;

/// One certificate, seen from the names that are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// Seconds since 1970.
    pub(super) not_before: u64,
    /// Seconds since 1970.
    pub(super) not_after: u64,
    pub(super) fit: Fit,
}

/// Which of the wanted names it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    All,
    /// Some, and none that is not wanted.
    Some,
    /// One that is wanted no longer, or is somebody else's.
    Stranger,
}

impl Life {
    fn is_valid_at(self, now: u64) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }

    /// Whether it is of no use to anybody any more.
    pub(super) fn is_over(self, now: u64) -> bool {
        self.not_after.saturating_add(FORGET_AFTER) < now
    }
}

/// Whether there has to be a new one.
pub(super) fn is_next_due(lives: &[Life], now: u64) -> bool {
    !lives
        .iter()
        .any(|life| life.fit == Fit::All && life.is_valid_at(now) && now < life.not_before.saturating_add(NEXT_AT))
}

/// Which are shown, the one that goes before the others first; by their places in `lives`. Where nothing is good the
/// last resort is what ends last.
pub(super) fn shown(lives: &[Life], now: u64) -> Vec<usize> {
    let ours = || lives.iter().enumerate().filter(|(_, life)| life.fit != Fit::Stranger);
    let good = |life: &Life| life.is_valid_at(now) && now.saturating_add(LEFT_AT_LAST) < life.not_after;
    let mut shown: Vec<_> = ours().filter(|(_, life)| good(life)).collect();
    shown.sort_by_key(|(_, life)| (life.not_before, life.not_after));
    if shown.is_empty() {
        shown = ours().max_by_key(|(_, life)| life.not_after).into_iter().collect();
    }
    shown.into_iter().map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: u64 = 1_800_000_000;

    fn made(day: u64, fit: Fit) -> Life {
        let not_before = START + day * DAY;
        Life { not_before, not_after: not_before + LIFE, fit }
    }

    fn on(day: u64) -> u64 {
        START + day * DAY + 1
    }

    #[test]
    fn the_next_one_is_made_at_240_days_and_shown_at_335() {
        let one = made(0, Fit::All);
        assert!(is_next_due(&[], on(0)));
        assert!(!is_next_due(&[one], on(239)));
        assert!(is_next_due(&[one], on(240)));
        let two = [made(240, Fit::All), one];
        assert!(!is_next_due(&two, on(240)));
        assert_eq!(shown(&two, on(240)), [1, 0]);
        assert_eq!(shown(&two, on(334)), [1, 0]);
        assert_eq!(shown(&two, on(335)), [0]);
    }

    #[test]
    fn more_names_need_a_new_one_at_once_and_leave_the_old_one_where_it_was() {
        let old = made(0, Fit::Some);
        assert!(is_next_due(&[old], on(1)));
        assert_eq!(shown(&[old, made(1, Fit::All)], on(1)), [0, 1]);
        let stranger = made(0, Fit::Stranger);
        assert!(is_next_due(&[stranger], on(1)));
        assert_eq!(shown(&[stranger, made(1, Fit::All)], on(1)), [1]);
    }

    #[test]
    fn what_has_ended_is_shown_only_where_there_is_nothing_else() {
        assert_eq!(shown(&[made(0, Fit::All), made(7, Fit::All)], on(900)), [1]);
        assert!(shown(&[made(0, Fit::Stranger)], on(1)).is_empty());
        assert!(!made(0, Fit::All).is_over(on(390)) && made(0, Fit::All).is_over(on(396)));
    }

    #[test]
    fn a_clock_that_was_wrong_for_a_moment_changes_nothing_after_it() {
        let kept = made(0, Fit::All);
        // A year ahead for a moment: one more was made, which is not valid yet once the clock is right again.
        let both = [kept, made(400, Fit::All)];
        assert_eq!(shown(&both, on(5)), [0]);
        assert!(!is_next_due(&both, on(5)));
    }

    proptest! {
        #[test]
        fn as_long_as_somebody_looks_daily_a_valid_one_is_shown_and_was_there_for_95_days(offset in 0_u64..DAY) {
            let (mut lives, mut shown_first) = (Vec::new(), None);
            for day in 0..2_000 {
                let now = START + day * DAY + offset;
                if is_next_due(&lives, now) {
                    // As certificates are stamped: from an hour before.
                    lives.push(Life { not_before: now - 3_600, not_after: now + LIFE, fit: Fit::All });
                }
                let first = lives[shown(&lives, now)[0]];
                prop_assert!(first.is_valid_at(now) && first.not_after > now + LEFT_AT_LAST - DAY);
                if shown_first.is_some_and(|before| before != first) {
                    prop_assert!(now - first.not_before > 94 * DAY);
                }
                shown_first = Some(first);
            }
        }
    }
}
