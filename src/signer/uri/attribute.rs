//! `name=value` pairs and their percent-encoding (RFC 7512 section 2.3).
//!
//! Easy to get wrong: a value is bytes, of which only some attributes are text; and a value may be a PIN that someone
//! put there, so no error repeats more of it than one character.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::error::{KeyUriError, shown};

/// What stands for itself when we write. RFC 7512 lets more stand, but commas part the values of our variables, and
/// shells have a mind of their own about the rest.
const WRITTEN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');
/// A slash may stand in the query only.
const WRITTEN_IN_QUERY: &AsciiSet = &WRITTEN.remove(b'/');

/// Which part of the URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Path,
    Query,
}

/// The attributes of one part, each to be taken once.
pub(super) struct Attributes<'a> {
    left: BTreeMap<&'a str, &'a str>,
}

impl<'a> Attributes<'a> {
    pub(super) fn read(text: &'a str, part: Part) -> Result<Self, KeyUriError> {
        let mut left = BTreeMap::new();
        let separator = if part == Part::Path { ';' } else { '&' };
        for piece in text.split(separator).filter(|_| !text.is_empty()) {
            let Some((name, value)) = piece.split_once('=').filter(|(name, _)| is_name(name)) else {
                let what = format!("has something else than `name=value` with `{separator}` between");
                let remedy = format!("write what belongs to a value percent-encoded (`{}`)", escape(separator));
                return Err(KeyUriError::malformed(what, remedy));
            };
            // "An unrecognized attribute in the URI query SHOULD be ignored", and a vendor's may be there twice.
            if part == Part::Query && name.starts_with("x-") {
                continue;
            }
            if left.insert(name, value).is_some() {
                return Err(KeyUriError::malformed(format!("has `{name}` twice"), "keep one of them"));
            }
        }
        Ok(Self { left })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// The value's bytes.
    pub(super) fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, KeyUriError> {
        self.left.remove(name).map(|value| decoded(name, value)).transpose()
    }

    /// The value as text, at most `longest` bytes of it: the modules' own limit, so that more would match nothing.
    pub(super) fn text(&mut self, name: &str, longest: usize) -> Result<Option<String>, KeyUriError> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        if bytes.len() > longest {
            let what = format!("has {} bytes in `{name}`, where no module has more than {longest}", bytes.len());
            return Err(KeyUriError::malformed(what, format!("write the `{name}` that `unsecret key list` shows")));
        }
        let unfit = |_| {
            let what = format!("has bytes in `{name}` that are no UTF-8");
            KeyUriError::malformed(what, format!("write the `{name}` that `unsecret key list` shows"))
        };
        String::from_utf8(bytes).map(Some).map_err(unfit)
    }

    /// The value as an absolute path.
    pub(super) fn path(&mut self, name: &str) -> Result<Option<PathBuf>, KeyUriError> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        if !bytes.starts_with(b"/") || bytes.contains(&0) {
            let what =
                format!("has {} as `{name}`, which is no absolute path", shown(&String::from_utf8_lossy(&bytes)));
            return Err(KeyUriError::malformed(what, format!("write `{name}=/…`")));
        }
        Ok(Some(PathBuf::from(OsString::from_vec(bytes))))
    }

    /// Refuses what nobody took.
    pub(super) fn end(self, known: &[&str]) -> Result<(), KeyUriError> {
        let Some(name) = self.left.into_keys().next() else { return Ok(()) };
        let near = |candidate: &&&str| strsim::damerau_levenshtein(name, candidate) <= 2;
        let remedy = match known.iter().find(near) {
            Some(near) => format!("write `{near}`"),
            None => format!("delete it; there are {}", known.join(", ")),
        };
        Err(KeyUriError::malformed(format!("has an attribute `{name}` that is not known there"), remedy))
    }
}

/// `pk11-v-attr-nm-char`. A name is repeated in errors, so it must look like one.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 32 && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
}

fn escape(letter: char) -> String {
    percent_encode(letter.encode_utf8(&mut [0; 4]).as_bytes(), NON_ALPHANUMERIC).to_string()
}

fn decoded(name: &str, value: &str) -> Result<Vec<u8>, KeyUriError> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(letter) = rest.next() {
        if letter == '%' {
            let mut digit = || rest.next().and_then(|digit| digit.to_digit(16));
            let (Some(high), Some(low)) = (digit(), digit()) else {
                let what = format!("has a `%` in `{name}` without two hexadecimal digits after it");
                return Err(KeyUriError::malformed(what, "write `%25` for the sign itself"));
            };
            bytes.extend(u8::try_from(high * 16 + low));
        } else if letter.is_ascii_alphanumeric() || "-._~:[]@!$'()*+,=&/?|".contains(letter) {
            bytes.extend(u8::try_from(letter));
        } else {
            let what = format!("has {letter:?} in `{name}`, which must be percent-encoded");
            return Err(KeyUriError::malformed(what, format!("write `{}` in its place", escape(letter))));
        }
    }
    Ok(bytes)
}

/// The value as a URI holds it.
pub(super) fn encoded(bytes: &[u8], part: Part) -> String {
    percent_encode(bytes, if part == Part::Path { WRITTEN } else { WRITTEN_IN_QUERY }).to_string()
}

/// Every byte encoded, as RFC 7512 advises for `id`.
pub(super) fn encoded_whole(bytes: &[u8]) -> String {
    bytes.iter().copied().map(percent_encoding::percent_encode_byte).collect()
}

/// `;`-separated pairs, then `?` and `&`-separated ones.
pub(super) fn written(path: &[(&str, String)], query: &[(&str, String)]) -> String {
    let joined = |pairs: &[(&str, String)], between: &str| {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(between)
    };
    let query_text = joined(query, "&");
    format!("{}{}{query_text}", joined(path, ";"), if query.is_empty() { "" } else { "?" })
}
