//! An answer of Entra's that is given again: the same bytes but for the times in it, which count down.
//!
//! Where they stand is found once. Easy to get wrong: v1 writes numbers as texts and v2 as numbers (contract A5), and each
//! client understands only its own; nothing else may change, not even the order.

use std::io::Write as _;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::LONGEST_LIFE;
use crate::clock::{Deadline, Now};

/// A body with the places of its times.
pub(super) struct Timed {
    body: Bytes,
    expires: Deadline,
    times: Vec<Time>,
}

/// The digits at `place` say how long it is until `deadline`, or when that is.
struct Time {
    place: Range<usize>,
    deadline: Deadline,
    absolute: bool,
}

/// What of an answer decides whether it may be held.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    access_token: Option<&'a RawValue>,
    #[serde(borrow)]
    refresh_token: Option<&'a RawValue>,
    #[serde(borrow)]
    expires_in: Option<&'a RawValue>,
    #[serde(borrow)]
    ext_expires_in: Option<&'a RawValue>,
    #[serde(borrow)]
    refresh_in: Option<&'a RawValue>,
    #[serde(borrow)]
    expires_on: Option<&'a RawValue>,
}

impl Timed {
    /// `None` for what is no token answer, and for one with a refresh token.
    pub(super) fn read(body: &Bytes, now: Now) -> Option<Self> {
        let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
        if answer.access_token.is_none() || answer.refresh_token.is_some() {
            return None;
        }
        let after = |field: &RawValue| {
            let (place, seconds) = digits(body, field)?;
            Some((place, Deadline::after(now, Duration::from_secs(seconds).min(LONGEST_LIFE))))
        };
        let (place, expires) = after(answer.expires_in?)?;
        let mut times = vec![Time { place, deadline: expires, absolute: false }];
        for field in [answer.ext_expires_in, answer.refresh_in].into_iter().flatten() {
            let (place, deadline) = after(field)?;
            times.push(Time { place, deadline, absolute: false });
        }
        if let Some(field) = answer.expires_on {
            times.push(Time { place: digits(body, field)?.0, deadline: expires, absolute: true });
        }
        times.sort_unstable_by_key(|time| time.place.start);
        Some(Self { body: body.clone(), expires, times })
    }

    pub(super) fn remaining(&self, now: Now) -> Duration {
        self.expires.remaining(now)
    }

    /// As it reads now.
    pub(super) fn written(&self, now: Now) -> Bytes {
        // Room for every number at its longest: growing would leave a copy of the token behind.
        let mut text = Zeroizing::new(Vec::with_capacity(self.body.len() + 20 * self.times.len()));
        let mut done = 0;
        for Time { place, deadline, absolute } in &self.times {
            text.extend_from_slice(&self.body[done..place.start]);
            let left = deadline.remaining(now);
            // By the wall clock as it is: set back, it would let the moment of receipt outlive the token.
            let on = (now.wall + left + Duration::from_millis(500)).as_secs().min(deadline.epoch());
            // Zero would be read as "no value" by some and as "at once, always" by others; a token below its margin is
            // not given, so only a refresh that is due comes to it.
            let number = if *absolute { on } else { left.as_secs().max(1) };
            // Writing to memory cannot fail.
            let _ = write!(text, "{number}");
            done = place.end;
        }
        text.extend_from_slice(&self.body[done..]);
        Bytes::from_owner(text)
    }
}

/// Where the digits of a number or of a text of digits stand in `body`, and what they say.
fn digits(body: &[u8], field: &RawValue) -> Option<(Range<usize>, u64)> {
    let text = field.get();
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let start = (bare.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    Some((start..start + bare.len(), bare.parse().ok()?))
}
