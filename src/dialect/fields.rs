//! Reads the fields of a query or form body: each known name at most once, the rest ignored (contract B0.7).
//!
//! Borrows where nothing has to be decoded. Easy to get wrong: of two values for one name, two programs would pick
//! different ones, so that is refused rather than decided.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use super::Rejected;
use crate::ids::Resource;
use crate::policy::Selector;

/// More than any client sends; each field costs a comparison with every name.
const MOST: usize = 64;

/// A field's value. Empty counts as absent: Go always sends `clientid`, possibly empty (contract B4).
pub(super) type Field<'r> = Option<Cow<'r, str>>;

/// A field's name and value, decoded.
pub(super) type Pair<'r> = (Cow<'r, str>, Cow<'r, str>);

/// The values of `names`, in their order.
pub(super) fn read<'r, const N: usize>(text: &'r [u8], names: [&'static str; N]) -> Result<[Field<'r>; N], Rejected> {
    let mut values = [const { None }; N];
    let mut seen = [false; N];
    for (count, (name, value)) in pairs(text).enumerate() {
        if count >= MOST {
            return Err(Rejected::TooManyFields { most: MOST });
        }
        let Some(index) = index(&names, name) else { continue };
        if std::mem::replace(&mut seen[index], true) {
            return Err(Rejected::Twice { parameter: names[index] });
        }
        values[index] = Some(decode(value)).filter(|value| !value.is_empty());
    }
    Ok(values)
}

/// Every field, decoded, in order.
pub(super) fn all(text: &[u8]) -> Result<Vec<Pair<'_>>, Rejected> {
    let fields: Vec<_> = pairs(text).take(MOST + 1).map(|(name, value)| (decode(name), decode(value))).collect();
    if fields.len() > MOST { Err(Rejected::TooManyFields { most: MOST }) } else { Ok(fields) }
}

/// Which of `names` it is; decoded only where it stands for none as it is.
fn index(names: &[&'static str], name: &[u8]) -> Option<usize> {
    let plain = names.iter().position(|known| known.as_bytes() == name);
    plain.or_else(|| code(name).map(|_| decode(name)).and_then(|name| names.iter().position(|known| *known == name)))
}

/// Names and values as they stand.
fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = text;
    let pieces = std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = cut(rest, memchr(b'&', rest));
        rest = after;
        Some(piece)
    });
    // Not by `memchr`, which pays after some thirty bytes: names are shorter.
    let equals = |piece: &[u8]| piece.iter().position(|byte| *byte == b'=');
    pieces.filter(|piece| !piece.is_empty()).map(move |piece| cut(piece, equals(piece)))
}

/// What stands before and after the byte at `place`; all stands before where there is none.
fn cut(text: &[u8], place: Option<usize>) -> (&[u8], &[u8]) {
    place.map_or((text, &[]), |place| (&text[..place], &text[place + 1..]))
}

/// Where the first byte is that does not stand for itself. Near in most values that have one, and the others are short;
/// assertions are long.
fn code(raw: &[u8]) -> Option<usize> {
    let (near, far) = raw.split_at(raw.len().min(32));
    next_code(near).or_else(|| Some(near.len() + memchr2(b'%', b'+', far)?))
}

/// The same, byte by byte.
fn next_code(raw: &[u8]) -> Option<usize> {
    raw.iter().position(|byte| matches!(byte, b'%' | b'+'))
}

/// Form-decodes. Not the `url` crate's, which allocates four times for one resource: this is on the hot path.
pub(super) fn decode(raw: &[u8]) -> Cow<'_, str> {
    let Some(first) = code(raw) else {
        // Nearly always text, which this tells faster than the lossy reading.
        return std::str::from_utf8(raw).map_or_else(|_| String::from_utf8_lossy(raw), Cow::Borrowed);
    };
    let mut bytes = Vec::with_capacity(raw.len());
    let (plain, mut rest) = raw.split_at(first);
    bytes.extend_from_slice(plain);
    while !rest.is_empty() {
        let (byte, after) = decoded(rest);
        bytes.push(byte);
        // The codes of a URL stand so close that searching faster costs more.
        let (plain, coded) = after.split_at(next_code(after).unwrap_or(after.len()));
        bytes.extend_from_slice(plain);
        rest = coded;
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()).into()
}

/// The byte that a code stands for, and what comes after it. A `%` that begins none stands for itself, as the URL standard
/// has it.
fn decoded(coded: &[u8]) -> (u8, &[u8]) {
    match coded {
        [b'%', high, low, after @ ..] if digit(*high) | digit(*low) <= 0xf => (digit(*high) << 4 | digit(*low), after),
        [b'+', after @ ..] => (b' ', after),
        _ => (b'%', coded.get(1..).unwrap_or_default()),
    }
}

/// The value of a hexadecimal digit; more than 15 for any other byte.
fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ => u8::MAX,
    }
}

/// One selector out of the possible ones: `(client id, object ids, resource ids)`.
pub(super) fn selector<'r>(
    client_id: Field<'r>,
    object_ids: [Field<'r>; 2],
    resource_ids: [Field<'r>; 2],
) -> Result<Selector<'r>, Rejected> {
    // Most name none.
    if client_id.is_none() && object_ids.iter().chain(&resource_ids).all(Option::is_none) {
        return Ok(Selector::None);
    }
    let [object_id, principal_id] = object_ids;
    let [one_resource, other_resource] = resource_ids;
    let mut found = Selector::None;
    for selector in [
        client_id.map(Selector::ClientId),
        object_id.map(Selector::ObjectId),
        principal_id.map(Selector::ObjectId),
        one_resource.map(Selector::ResourceId),
        other_resource.map(Selector::ResourceId),
    ] {
        match (selector, &found) {
            (None, _) => {}
            (Some(selector), Selector::None) => found = selector,
            (Some(_), _) => return Err(Rejected::SeveralSelectors),
        }
    }
    Ok(found)
}

/// The resource, which must be there and be one.
pub(super) fn resource(field: Field<'_>) -> Result<Cow<'_, str>, Rejected> {
    let resource = field.ok_or(Rejected::Missing { parameter: "resource" })?;
    Resource::check(&resource).map_err(Rejected::NoResource)?;
    Ok(resource)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::form_urlencoded;

    use super::*;

    #[test]
    fn a_field_is_decoded_once_and_borrowed_where_it_can_be() {
        let [one, two] = read(b"a=x%2525&b=plain&c=1", ["a", "b"]).unwrap();
        assert_eq!(one.as_deref(), Some("x%25"));
        assert!(matches!(two, Some(Cow::Borrowed("plain"))));
    }

    proptest! {
        #[test]
        fn fields_are_decoded_as_the_url_standard_says(text in "[a-b%+=&0-9A-Fé]{0,40}") {
            let ours: Vec<_> = pairs(text.as_bytes()).map(|(name, value)| (decode(name), decode(value))).collect();
            let standard: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
            prop_assert_eq!(ours, standard);
        }
    }

    #[test]
    fn a_known_field_may_stand_once() {
        assert_eq!(read(b"a=&a=1", ["a"]).unwrap_err(), Rejected::Twice { parameter: "a" });
        assert!(read(b"z=1&z=2&a=", ["a"]).is_ok_and(|[a]| a.is_none()));
    }

    #[test]
    fn too_many_fields_are_refused() {
        let text = "x=1&".repeat(MOST + 1);
        assert_eq!(read(text.as_bytes(), ["a"]).unwrap_err(), Rejected::TooManyFields { most: MOST });
        assert_eq!(all(text.as_bytes()).unwrap_err(), Rejected::TooManyFields { most: MOST });
        assert_eq!(all("x=1&".repeat(MOST).as_bytes()).map(|fields| fields.len()), Ok(MOST));
    }
}
