//! How many values a JSON text has, counted before any of them is built.
//!
//! Built, a short text can take a hundred times its length: `{"a":1}` is a tree's node of 600 bytes. Whoever may make pods
//! chooses the text, so this decides whether it is built at all.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Every object, array, text, number and word; names of members are not counted.
///
/// # Errors
/// When it is no JSON.
pub(super) fn values(text: &[u8]) -> Result<usize, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let count = Counted.deserialize(&mut reader)?;
    reader.end().map(|()| count)
}

struct Counted;

impl<'de> DeserializeSeed<'de> for Counted {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<usize, E> {
        Ok(1)
    }

    fn visit_i64<E>(self, _: i64) -> Result<usize, E> {
        Ok(1)
    }

    fn visit_u64<E>(self, _: u64) -> Result<usize, E> {
        Ok(1)
    }

    fn visit_f64<E>(self, _: f64) -> Result<usize, E> {
        Ok(1)
    }

    fn visit_str<E>(self, _: &str) -> Result<usize, E> {
        Ok(1)
    }

    fn visit_unit<E>(self) -> Result<usize, E> {
        Ok(1)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<usize, A::Error> {
        let mut count = 1;
        while let Some(more) = elements.next_element_seed(Counted)? {
            count += more;
        }
        Ok(count)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<usize, A::Error> {
        let mut count = 1;
        while members.next_key::<IgnoredAny>()?.is_some() {
            count += members.next_value_seed(Counted)?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_counts_once_and_what_is_no_json_is_none() {
        assert_eq!(values(br#"{"a": [1, -2, 3.5, "x", null, true], "b": {}}"#).unwrap(), 9);
        assert_eq!(values(b" 1 ").unwrap(), 1);
        for wrong in [&b""[..], b"{", b"1 2", b"[1,]", b"\xff"] {
            assert!(values(wrong).is_err(), "{wrong:?}");
        }
        assert!(values("[".repeat(100_000).as_bytes()).is_err());
    }
}
