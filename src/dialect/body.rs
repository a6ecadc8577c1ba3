//! Success bodies: rendered once per token and shape, in pieces around the times that change with every answer.
//!
//! The hot path writes digits and copies pieces into one exact allocation. Easy to get wrong: `expires_in` and
//! `expires_on` must describe the same instant (contract B0.2), and neither may be frozen into the pieces: Python on
//! IMDS and every OAuth client read only `expires_in`, JS only `expires_on`.

#![deny(clippy::disallowed_types)]

use std::time::Duration;

use zeroize::Zeroizing;

use crate::broker::{Minted, Parts, Relative, Shape};
use crate::clock::Now;

/// The body of an answer at this moment.
pub(super) fn write(minted: &Minted, shape: Shape, now: Now) -> Vec<u8> {
    let parts = minted.bodies[shape as usize].get_or_init(|| render(minted, shape));
    let times = Times::of(minted, now);
    let length = parts.pieces.iter().map(|(text, time)| text.len() + time.map_or(0, |time| digits(times.at(time))));
    // To the byte: `Bytes` allocates once more for a vector that has room left.
    let mut body = Vec::with_capacity(length.sum());
    for (text, time) in &parts.pieces {
        body.extend_from_slice(text.as_bytes());
        if let Some(time) = time {
            write_digits(&mut body, times.at(*time));
        }
    }
    body
}

/// The relative times of one answer.
struct Times {
    expires_in: u64,
    expires_on: u64,
    ext_expires_in: u64,
    refresh_in: u64,
}

impl Times {
    fn of(minted: &Minted, now: Now) -> Self {
        let left = minted.expires.remaining(now);
        // Half a second forgives that the two clocks are not read at the same moment; the wall clock set back by more
        // than that moves the instant, because the application reads the same clock.
        let on = (now.wall + left + Duration::from_millis(500)).as_secs().min(minted.expires.epoch());
        let ext = minted.ext_expires.map_or(left, |ext| ext.remaining(now));
        Self {
            expires_in: left.as_secs(),
            expires_on: on,
            ext_expires_in: ext.as_secs(),
            // Zero would be read as "no value" by some and as "at once, always" by others.
            refresh_in: minted.refresh.map_or(0, |refresh| refresh.remaining(now).as_secs()).max(1),
        }
    }

    fn at(&self, time: Relative) -> u64 {
        match time {
            Relative::ExpiresIn => self.expires_in,
            Relative::ExpiresOn => self.expires_on,
            Relative::ExtExpiresIn => self.ext_expires_in,
            Relative::RefreshIn => self.refresh_in,
        }
    }
}

fn render(minted: &Minted, shape: Shape) -> Parts {
    let mut pieces = Pieces { done: Vec::new(), text: Zeroizing::new(String::from("{")) };
    match shape {
        Shape::ManagedIdentity => {
            pieces.text_field("access_token", minted.access_token.expose());
            pieces.text_field("refresh_token", "");
            pieces.text_field("client_id", minted.client_id.as_str());
            pieces.time_field("expires_in", Relative::ExpiresIn, "\"");
            pieces.time_field("expires_on", Relative::ExpiresOn, "\"");
            pieces.time_field("ext_expires_in", Relative::ExtExpiresIn, "\"");
            pieces.text_field("not_before", &minted.received.epoch().to_string());
            pieces.text_field("resource", minted.resource.as_str());
            pieces.text_field("token_type", "Bearer");
        }
        Shape::OauthV2 => {
            pieces.text_field("token_type", "Bearer");
            pieces.time_field("expires_in", Relative::ExpiresIn, "");
            pieces.time_field("ext_expires_in", Relative::ExtExpiresIn, "");
            if minted.refresh.is_some() {
                pieces.time_field("refresh_in", Relative::RefreshIn, "");
            }
            pieces.text_field("access_token", minted.access_token.expose());
        }
        Shape::OauthV1 => {
            pieces.text_field("token_type", "Bearer");
            pieces.time_field("expires_in", Relative::ExpiresIn, "\"");
            pieces.time_field("ext_expires_in", Relative::ExtExpiresIn, "\"");
            pieces.time_field("expires_on", Relative::ExpiresOn, "\"");
            pieces.text_field("not_before", &minted.received.epoch().to_string());
            pieces.text_field("resource", minted.resource.as_str());
            pieces.text_field("access_token", minted.access_token.expose());
        }
    }
    pieces.finish()
}

/// A JSON object being written, cut after each place where a time belongs.
struct Pieces {
    done: Vec<(Zeroizing<String>, Option<Relative>)>,
    text: Zeroizing<String>,
}

impl Pieces {
    fn name(&mut self, name: &str) {
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    fn text_field(&mut self, name: &str, value: &str) {
        self.name(name);
        let value = Zeroizing::new(serde_json::Value::from(value).to_string());
        // Reserved at once: a string that grows leaves copies of the token behind.
        self.text.reserve_exact(value.len() + 256);
        self.text.push_str(&value);
    }

    fn time_field(&mut self, name: &str, time: Relative, quote: &str) {
        self.name(name);
        self.text.push_str(quote);
        let text = std::mem::replace(&mut self.text, Zeroizing::new(String::from(quote)));
        self.done.push((text, Some(time)));
    }

    fn finish(mut self) -> Parts {
        self.text.push('}');
        self.done.push((self.text, None));
        Parts { pieces: self.done }
    }
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn write_digits(body: &mut Vec<u8>, number: u64) {
    let mut buffer = [0; 20];
    let mut start = buffer.len();
    let mut rest = number;
    loop {
        start -= 1;
        // A remainder of ten is one digit.
        buffer[start] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    body.extend_from_slice(&buffer[start..]);
}

#[cfg(test)]
mod tests;
