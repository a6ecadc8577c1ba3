//! Which of the keys that fit is the one that is meant. Pure.
//!
//! Keys come from ceremonies: with twins of one label, without a public half, without an id. Easy to get wrong: a key that
//! shows no public half may still be the right one; possession is proved by a signature, not here.

use super::messages::Key;
use super::rsa;
use crate::signer::{Pkcs11Uri, SignError};

/// The one key, with its `RSAPublicKey` as far as it is known. `wanted` is that of the certificate.
pub(super) fn one(keys: Vec<Key>, wanted: Option<&[u8]>, uri: &Pkcs11Uri) -> Result<(Key, Option<Vec<u8>>), SignError> {
    let candidates: Vec<_> = keys
        .into_iter()
        .filter(|key| key.sign != Some(false))
        .map(|key| {
            let public = rsa::public_key(&key);
            (key, public)
        })
        .collect();
    let certain = |(_, public): &&(Key, Option<Vec<u8>>)| wanted.is_some() && public.as_deref() == wanted;
    // Two with one modulus are one key, listed twice.
    if let Some(found) = candidates.iter().find(certain) {
        return Ok(found.clone());
    }
    let hidden: Vec<_> = candidates.iter().filter(|(_, public)| public.is_none()).cloned().collect();
    // With none hidden, a single key is let through: that it is another than the certificate's is told with both names.
    let left = if wanted.is_some() && !hidden.is_empty() { hidden } else { candidates };
    match <[_; 1]>::try_from(left) {
        Ok([found]) => Ok(found),
        Err(left) if left.is_empty() => Err(SignError::KeyAbsent { key: named(uri) }),
        Err(left) => {
            let found = left.iter().map(|(key, _)| label_and_id(key)).collect::<Vec<_>>().join(", ");
            Err(SignError::KeyAmbiguous { key: named(uri), found })
        }
    }
}

/// The URI without what is no business of a log: where the PIN is.
pub(super) fn named(uri: &Pkcs11Uri) -> String {
    Pkcs11Uri { pin: None, ..uri.clone() }.to_string()
}

fn label_and_id(key: &Key) -> String {
    let id = key.id.as_ref().map_or_else(|| "no id".to_owned(), |id| format!("id={}", percent(id)));
    match &key.label {
        Some(label) => format!("`{label}` with {id}"),
        None => id,
    }
}

/// As it is written in a URI.
fn percent(id: &[u8]) -> String {
    id.iter().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem as _;

    fn key(id: u8, modulus: Option<u8>) -> Key {
        Key {
            handle: id.into(),
            label: Some("billing".to_owned()),
            id: Some(vec![id]),
            modulus: modulus.map(|byte| vec![byte; 256]),
            exponent: modulus.map(|_| vec![1, 0, 1]),
            ..Key::default()
        }
    }

    fn public(modulus: u8) -> Vec<u8> {
        rsa::public_key(&key(0, Some(modulus))).unwrap()
    }

    /// The id of the key that was chosen, or the code of the refusal.
    fn chosen(keys: &[Key], wanted: Option<u8>) -> Result<u64, &'static str> {
        let wanted = wanted.map(public);
        let chosen = one(keys.to_vec(), wanted.as_deref(), &Pkcs11Uri::default());
        chosen.map(|(key, _)| key.handle).map_err(|error| error.code())
    }

    #[test]
    fn twins_are_told_apart_by_the_certificate() {
        let twins = [key(1, Some(7)), key(2, Some(8))];
        assert_eq!(chosen(&twins, Some(7)), Ok(1));
        assert_eq!(chosen(&twins, Some(8)), Ok(2));
        assert_eq!(chosen(&twins, None), Err("key-ambiguous"));
        assert_eq!(chosen(&twins, Some(9)), Err("key-ambiguous"));
    }

    #[test]
    fn both_ids_of_twins_are_named() {
        let error = one(vec![key(1, Some(7)), key(0xab, Some(8))], None, &Pkcs11Uri::default()).unwrap_err();
        assert!(error.to_string().contains("(`billing` with id=%01, `billing` with id=%AB)"), "{error}");
    }

    #[test]
    fn a_single_key_is_let_through_whatever_it_shows() {
        assert_eq!(chosen(&[key(1, None)], Some(7)), Ok(1));
        assert_eq!(chosen(&[key(1, None)], None), Ok(1));
        assert_eq!(chosen(&[key(1, Some(8))], Some(7)), Ok(1));
    }

    #[test]
    fn a_key_that_hides_its_public_half_is_left_when_the_others_are_not_it() {
        assert_eq!(chosen(&[key(1, None), key(2, Some(8))], Some(7)), Ok(1));
        assert_eq!(chosen(&[key(1, None), key(2, Some(8))], Some(8)), Ok(2));
        assert_eq!(chosen(&[key(1, None), key(2, None)], Some(7)), Err("key-ambiguous"));
    }

    #[test]
    fn a_key_that_may_not_sign_is_no_candidate() {
        let mute = Key { sign: Some(false), ..key(1, Some(7)) };
        assert_eq!(chosen(&[mute.clone(), key(2, Some(8))], None), Ok(2));
        assert_eq!(chosen(&[mute], None), Err("key-absent"));
        assert_eq!(chosen(&[], Some(7)), Err("key-absent"));
    }

    #[test]
    fn one_key_that_is_listed_twice_is_one_key() {
        assert_eq!(chosen(&[key(1, Some(7)), key(2, Some(7))], Some(7)), Ok(1));
    }
}
