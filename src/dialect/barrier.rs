//! Headers that only a program sets: what keeps out a page in a browser, and a server that was tricked into fetching a URL.
//!
//! Not the guard, whose rules hold for every door. Easy to get wrong: an empty header counts as none, because Terraform
//! sends an empty key beside the right one, and a header that stands twice is refused rather than chosen from.

use http::{HeaderMap, HeaderName};

use super::Rejected;

/// Parsed once, not at every request.
static METADATA: HeaderName = HeaderName::from_static("metadata");

/// `Metadata: true`, in any letter case: JS writes `true`, older .NET `True`.
pub(super) fn metadata(headers: &HeaderMap) -> Result<(), Rejected> {
    // Requests have few headers, at most the guard's sixty-four: going through them costs less than hashing the name.
    let metadata = headers.iter().find(|(name, _)| **name == METADATA).map(|(_, value)| value);
    if metadata.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true")) {
        return Ok(());
    }
    Err(Rejected::NoMetadataHeader { present: metadata.is_some() })
}

/// The text of a header, if it is there and not empty.
pub(super) fn text<'r>(headers: &'r HeaderMap, name: &'static str) -> Result<Option<&'r str>, Rejected> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text).filter(|text| !text.is_empty())),
        _ => Err(Rejected::Header { name }),
    }
}
