//! Times of a token: in UTC, with what is left of them by our clock.
//!
//! Not a calendar: what no calendar holds is said to be so. Easy to get wrong: a NumericDate may have a fraction, may be
//! text in assertions of .NET (contract A6), and may be negative or huge in a forged token.

use jiff::Timestamp;
use serde_json::Value;

/// Seconds since 1970 out of a claim; `None` for what is no time.
#[must_use]
pub(super) fn seconds(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(whole)),
        Value::String(text) => text.trim().parse::<f64>().ok().filter(|seconds| seconds.is_finite()).map(whole),
        _ => None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}

/// `2026-11-22 19:47:03 UTC`.
#[must_use]
pub(super) fn utc(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| format!("{seconds}, which no calendar holds"),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// `in 42 min`, `3 min ago`.
#[must_use]
pub(super) fn relative(seconds: i64, now: i64) -> String {
    match seconds.saturating_sub(now) {
        0 => "now".to_owned(),
        left if left > 0 => format!("in {}", span(left)),
        gone => format!("{} ago", span(gone.saturating_neg())),
    }
}

/// A length of time, as a person says it.
#[must_use]
pub(super) fn span(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    const TWO_YEARS: i64 = 2 * YEAR;
    match seconds {
        ..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        HOUR..DAY => match seconds % HOUR / MINUTE {
            0 => format!("{} h", seconds / HOUR),
            minutes => format!("{} h {minutes} min", seconds / HOUR),
        },
        DAY..TWO_YEARS => format!("{} d", seconds / DAY),
        _ => format!("{} years", seconds / YEAR),
    }
}

/// A time as a table shows it: `2026-11-22 19:47:03 UTC, in 42 min`.
#[must_use]
pub(super) fn shown(seconds: i64, now: i64) -> String {
    format!("{}, {}", utc(seconds), relative(seconds, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_fractions_and_text_are_times_and_nothing_else() {
        assert_eq!(seconds(&json!(1_800)), Some(1_800));
        assert_eq!(seconds(&json!(1_800.9)), Some(1_800));
        assert_eq!(seconds(&json!("1800")), Some(1_800));
        assert_eq!(seconds(&json!(-5)), Some(-5));
        assert_eq!(seconds(&json!(1e300)), Some(i64::MAX));
        for none in [json!("NaN"), json!("soon"), json!(null), json!([1])] {
            assert_eq!(seconds(&none), None, "{none}");
        }
    }

    #[test]
    fn a_time_reads_as_a_person_says_it() {
        assert_eq!(shown(1_800_000_000, 1_799_997_480), "2027-01-15 08:00:00 UTC, in 42 min");
        assert_eq!(relative(1_000, 1_180), "3 min ago");
        assert_eq!(relative(5 * 3_600 + 60, 0), "in 5 h 1 min");
        assert_eq!(relative(0, 90_000), "1 d ago");
        assert_eq!((relative(400 * 86_400, 0), relative(800 * 86_400, 0)), ("in 400 d".into(), "in 2 years".into()));
        assert_eq!(relative(7, 7), "now");
    }

    #[test]
    fn times_beyond_any_calendar_survive() {
        for odd in [i64::MIN, i64::MAX, -1] {
            assert!(shown(odd, 1_800_000_000).contains("ago") || shown(odd, 1_800_000_000).contains("in "), "{odd}");
        }
    }
}
