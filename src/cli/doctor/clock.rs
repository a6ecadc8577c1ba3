//! The link `clock`: this machine's against Entra's `Date`.
//!
//! Easy to get wrong: the sign. The skew is local time minus Entra's, so a positive one means that this clock is ahead.

use std::borrow::Cow;

use super::chain::{Finding, Link};
use crate::problem::{Blame, Problem};

/// Entra's own leeway on the times of an assertion; beyond it everything that is signed here is refused.
const LEEWAY: f64 = 300.0;
/// `Date` has whole seconds, and the answer was under way.
const UNNOTICED: f64 = 5.0;

pub(super) fn judge(skew: Option<f64>) -> Finding {
    let tried = "compared this machine's clock with the Date of Entra's answer";
    match skew {
        None => Finding::doubtful(Link::Clock, tried, "the answer has no Date to compare with"),
        Some(skew) if skew.abs() > LEEWAY => Finding::broken(Link::Clock, tried, &Skewed { seconds: skew }),
        Some(skew) if skew.abs() > UNNOTICED => {
            let side = side(skew);
            Finding::good(
                Link::Clock,
                tried,
                format!("it is {:.0} s {side} Entra's; up to 5 min do no harm", skew.abs()),
            )
        }
        Some(_) => Finding::good(Link::Clock, tried, "they agree"),
    }
}

fn side(skew: f64) -> &'static str {
    if skew > 0.0 { "ahead of" } else { "behind" }
}

/// Too far off.
#[derive(Debug, thiserror::Error)]
#[error("this clock is {:.0} min ({:.0} s) {} Entra's; more than 5 min are refused", seconds.abs() / 60.0, seconds.abs(), side(*seconds))]
struct Skewed {
    seconds: f64,
}

impl Problem for Skewed {
    fn code(&self) -> &'static str {
        "clock-skewed"
    }

    fn blame(&self) -> Blame {
        Blame::Platform
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        let way = if self.seconds > 0.0 { "back" } else { "forward" };
        let minutes = self.seconds.abs() / 60.0;
        Some(
            format!(
                "set this machine's clock {way} by {minutes:.0} min, and have NTP keep it (`timedatectl set-ntp true`)"
            )
            .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::State;
    use super::*;

    #[test]
    fn only_more_than_five_minutes_are_a_fault_and_the_direction_is_said() {
        assert_eq!(judge(Some(0.4)).seen, ["they agree"]);
        assert!(judge(Some(-299.0)).seen[0].starts_with("it is 299 s behind Entra's"));
        let ahead = judge(Some(600.0));
        assert_eq!((ahead.state, ahead.code.as_deref()), (State::Broken, Some("clock-skewed")));
        assert!(ahead.seen[0].contains("10 min (600 s) ahead of"), "{:?}", ahead.seen);
        assert!(ahead.remedy.unwrap().contains("back by 10 min"));
        assert!(judge(Some(-600.0)).remedy.unwrap().contains("forward by 10 min"));
        assert_eq!(judge(None).state, State::Doubtful);
    }
}
