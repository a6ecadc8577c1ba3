//! An HTTP message out of a fuzzer's bytes: `first line`, header lines, an empty line, the body.
//!
//! The corpus stays readable that way. What does not fit (a header name with a blank in it) is left out, so that most
//! inputs mean something.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Planted in the corpus wherever a secret stands. No answer, error or `Debug` may repeat it.
pub const CANARY: &str = "canary-b7f3e1";

/// A message, read leniently.
pub struct Message<'a> {
    pub first: &'a str,
    pub headers: HeaderMap,
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// `None` when the head is no text.
    pub fn of(input: &'a [u8]) -> Option<Self> {
        let end = input.windows(2).position(|pair| pair == b"\n\n");
        let (head, body) = end.map_or((input, &b""[..]), |at| (&input[..at], &input[at + 2..]));
        let mut lines = std::str::from_utf8(head).ok()?.lines();
        let first = lines.next()?;
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.append(name, value);
            }
        }
        Some(Self { first, headers, body })
    }
}

/// Fails when a secret came out.
pub fn assert_silent(said: &str) {
    assert!(!said.contains(CANARY), "a planted secret came out: {said}");
}
