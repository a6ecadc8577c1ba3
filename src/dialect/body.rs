//! Success bodies: written anew when a time in them has changed, which is once a second; all others are handed that one.
//!
//! The hot path compares four numbers. Easy to get wrong: `expires_in` and `expires_on` must describe the same instant
//! (contract B0.2), and neither may outlive its second: Python on IMDS and every OAuth client read only `expires_in`, JS
//! only `expires_on`.

#![deny(clippy::disallowed_types)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::broker::{Minted, Shape, Times, Written};
use crate::clock::Now;

/// The body of an answer at this moment.
pub(super) fn write(minted: &Minted, shape: Shape, now: Now) -> Bytes {
    let last = &minted.bodies[shape as usize];
    let times = times(minted, now);
    if let Some(written) = last.load().as_ref().filter(|written| written.times == times) {
        return written.body.clone();
    }
    // Wiped when neither an answer under way nor the token needs it.
    let body = Bytes::from_owner(render(minted, shape, times));
    last.store(Some(Arc::new(Written { times, body: body.clone() })));
    body
}

fn times(minted: &Minted, now: Now) -> Times {
    let left = minted.expires.remaining(now);
    // Half a second forgives that the two clocks are not read at the same moment; the wall clock set back by more
    // than that moves the instant, because the application reads the same clock.
    let on = (now.wall + left + Duration::from_millis(500)).as_secs().min(minted.expires.epoch());
    Times {
        expires_in: left.as_secs(),
        expires_on: on,
        ext_expires_in: minted.ext_expires.map_or(left, |ext| ext.remaining(now)).as_secs(),
        // Zero would be read as "no value" by some and as "at once, always" by others.
        refresh_in: minted.refresh.map(|refresh| refresh.remaining(now).as_secs().max(1)),
    }
}

fn render(minted: &Minted, shape: Shape, times: Times) -> Zeroizing<String> {
    let Times { expires_in, expires_on, ext_expires_in, refresh_in } = times;
    let (token, resource) = (quoted(minted.access_token.expose()), quoted(minted.resource.as_str()));
    let (client_id, not_before) = (&minted.client_id, minted.received.epoch());
    // Reserved at once, the names and numbers with room to spare: a string that grows leaves copies of the token behind.
    let mut text = Zeroizing::new(String::with_capacity(token.len() + 2 * resource.len() + 512));
    // Writing to a string cannot fail.
    let _ = match shape {
        Shape::ManagedIdentity => write!(
            text,
            r#"{{"access_token":{token},"refresh_token":"","client_id":"{client_id}","expires_in":"{expires_in}","expires_on":"{expires_on}","ext_expires_in":"{ext_expires_in}","not_before":"{not_before}","resource":{resource},"token_type":"Bearer"}}"#,
            token = *token,
            resource = *resource,
        ),
        Shape::OauthV2 => {
            let refresh = refresh_in.map(|seconds| format!(r#""refresh_in":{seconds},"#)).unwrap_or_default();
            write!(
                text,
                r#"{{"token_type":"Bearer","expires_in":{expires_in},"ext_expires_in":{ext_expires_in},{refresh}"access_token":{token}}}"#,
                token = *token,
            )
        }
        Shape::OauthV1 => write!(
            text,
            r#"{{"token_type":"Bearer","expires_in":"{expires_in}","ext_expires_in":"{ext_expires_in}","expires_on":"{expires_on}","not_before":"{not_before}","resource":{resource},"access_token":{token}}}"#,
            token = *token,
            resource = *resource,
        ),
        Shape::PlainToken => write!(
            text,
            r#"{{"access_token":{token},"token_type":"Bearer","expires_in":{expires_in},"expires_on":{expires_on},"resource":{resource},"scope":{scope}}}"#,
            token = *token,
            resource = *resource,
            scope = *quoted(&minted.resource.scope()),
        ),
        Shape::PlainHeader => write!(
            text,
            r#"{{"authorization":{authorization},"expires_on":{expires_on}}}"#,
            authorization = *quoted(&Zeroizing::new(format!("Bearer {}", minted.access_token.expose()))),
        ),
    };
    text
}

/// As JSON spells it.
fn quoted(text: &str) -> Zeroizing<String> {
    Zeroizing::new(serde_json::Value::from(text).to_string())
}

#[cfg(test)]
mod tests;
