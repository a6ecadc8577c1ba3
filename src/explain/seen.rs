//! The facts in pasted text that are safe to repeat: numbers, GUIDs and times.
//!
//! Easy to get wrong: a fact is made anew from what was parsed, never cut out of the text, so that a token in an odd
//! place stays there.

use jiff::{SignedDuration, Timestamp};

use super::text::{Pasted, digits};
use crate::ids::Guid;

/// What was seen beside what was recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The HTTP status.
    pub status: Option<u16>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
    /// Finds the request in Entra's sign-in logs.
    pub correlation_id: Option<Guid>,
    /// Finds it in Microsoft's own logs.
    pub trace_id: Option<Guid>,
    /// When Entra says it happened.
    pub timestamp: Option<Timestamp>,
    /// What Entra says of the assertion's validity (700024).
    pub validity: Option<Validity>,
}

/// Entra's clock against the assertion's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Entra's `Current time`.
    pub entra: Timestamp,
    /// From when the assertion is valid.
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Option<Timestamp>,
}

impl Seen {
    pub(super) fn of(pasted: &Pasted) -> Self {
        let guid = |names: &[&str]| names.iter().find_map(|name| pasted.values(name).find_map(guid));
        Self {
            status: STATUS.iter().find_map(|name| pasted.values(name).find_map(status)),
            retry_after: pasted.values("retry-after").find_map(|rest| digits(rest, 1, 7)),
            correlation_id: guid(&["correlation id", "correlation_id", "correlationid", "client-request-id"]),
            trace_id: guid(&["trace id", "trace_id", "traceid", "x-ms-request-id"]),
            timestamp: time(pasted, "timestamp"),
            validity: time(pasted, "current time").map(|entra| Validity {
                entra,
                from: time(pasted, "assertion valid from"),
                until: time(pasted, "expiry time of assertion"),
            }),
        }
    }

    /// True when there is nothing to repeat.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Validity {
    /// What the difference says, if it can be told.
    #[must_use]
    pub fn verdict(&self) -> Option<String> {
        let late = self.until.map(|until| self.entra.duration_since(until));
        let early = self.from.map(|from| from.duration_since(self.entra));
        if let Some(late) = late.filter(SignedDuration::is_positive) {
            return Some(format!("by Entra's clock the assertion had expired {} before", length(late)));
        }
        let early = early.filter(SignedDuration::is_positive)?;
        let early = length(early);
        Some(format!("by Entra's clock the assertion becomes valid {early} later: the clock of its maker is ahead"))
    }
}

/// `90 s`, `12 min`, `26 h`, `40 days`: whole units, since only the size matters.
fn length(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let units = [(120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")];
    let fits = units.into_iter().find(|(below, ..)| seconds < *below);
    let (_, unit, name) = fits.unwrap_or((i64::MAX, 86_400, "days"));
    format!("{} {name}", seconds / unit)
}

/// Where a status stands, the surest first.
const STATUS: &[&str] = &[
    "http/1.1",
    "http/1.0",
    "http/2",
    "http/2.0",
    "http/3",
    "statuscode",
    "status_code",
    "status code",
    "does not indicate success",
    "http status",
    "http error",
    "http",
    "status",
    "error code",
];

/// 200 to 599: nothing else is an answer.
fn status(rest: &str) -> Option<u16> {
    let number = u16::try_from(digits(rest, 3, 3)?).ok()?;
    (200..600).contains(&number).then_some(number)
}

fn guid(rest: &str) -> Option<Guid> {
    Guid::parse(rest.get(..36)?).ok()
}

/// `2026-01-02 03:04:05Z` or `2026-01-02T03:04:05.1234567Z`.
fn time(pasted: &Pasted, name: &str) -> Option<Timestamp> {
    pasted.values(name).find_map(|rest| {
        let end = rest.find('z').filter(|end| *end < 40)?;
        rest.get(..=end)?.to_ascii_uppercase().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Seen {
        Seen::of(&Pasted::new(text))
    }

    #[test]
    fn the_safe_facts_of_an_error_body_are_read() {
        let seen = seen(
            r#"HTTP/1.1 401 Unauthorized
Retry-After: 12

{"error":"invalid_client","error_description":"AADSTS700024: x. Trace ID: 0D8B4E0C-3f0a-4f0d-9c55-7a4f2c1b9e10 Timestamp: 2026-01-02 03:04:05Z",
"correlation_id":"1d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10"}"#,
        );
        assert_eq!((seen.status, seen.retry_after), (Some(401), Some(12)));
        assert_eq!(seen.trace_id.unwrap().as_str(), "0d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10");
        assert_eq!(seen.correlation_id.unwrap().as_str(), "1d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10");
        assert_eq!(seen.timestamp.unwrap().to_string(), "2026-01-02T03:04:05Z");
    }

    #[test]
    fn what_has_another_shape_is_not_repeated() {
        assert!(seen("correlation_id: hunter2hunter2hunter2hunter2hunter2-abc timestamp: now status: 4031").is_empty());
        assert!(seen("Retry-After: 12abc HTTP/1.1 999").is_empty());
        assert!(seen("correlation id: é1111111-aaaa-4bbb-8ccc-2222222222é2").is_empty(), "no cut inside a letter");
    }

    #[test]
    fn the_distance_to_entras_clock_is_told() {
        let text = "Current time: 2026-03-23T09:53:13.3318473Z, assertion valid from 2026-03-23T09:32:36.0000000Z, \
                    expiry time of assertion 2026-03-23T09:42:36.0000000Z.";
        let verdict = seen(text).validity.unwrap().verdict().unwrap();
        assert_eq!(verdict, "by Entra's clock the assertion had expired 10 min before");
        let ahead = text.replace("T09:42", "T10:55").replace("T09:32", "T09:54");
        assert!(seen(&ahead).validity.unwrap().verdict().unwrap().contains("valid 82 s later"));
        let valid = text.replace("T09:42", "T10:42");
        assert_eq!(seen(&valid).validity.unwrap().verdict(), None);
    }

    #[test]
    fn lengths_are_told_in_the_unit_that_fits() {
        let told = [90, 600, 90_000, 400_000].map(|seconds| length(SignedDuration::from_secs(seconds)));
        assert_eq!(told, ["90 s", "10 min", "25 h", "4 days"]);
    }
}
