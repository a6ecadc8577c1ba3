//! A JWT taken apart for a reader, its signature neither verified nor shown.
//!
//! More lenient than `assertion::facts`, which judges what Entra will take: somebody who asks about a token was right to cut
//! its signature off first. Easy to get wrong: `Debug` and the report never carry the text; only [`Jwt::signed`] gives it,
//! to the verification.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// What is pasted may have lost or gained padding on its way.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What became of the third part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// It is there, whatever it is worth.
    Present,
    /// Cut off, perhaps on purpose.
    Missing,
    /// It is there and is no base64url.
    Damaged,
}

/// Header and claims of a JWT.
pub struct Jwt {
    pub header: Map<String, Value>,
    pub claims: Map<String, Value>,
    pub signature: Signature,
    text: Zeroizing<String>,
}

impl Jwt {
    /// `None` unless the first two parts are JSON objects in base64url and there are no more than three.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (header, claims) = (object(parts.next()?)?, object(parts.next()?)?);
        let signature = match (parts.next(), parts.next()) {
            (None | Some(""), None) => Signature::Missing,
            (Some(part), None) if LENIENT.decode(part).is_ok() => Signature::Present,
            (Some(_), None) => Signature::Damaged,
            (_, Some(_)) => return None,
        };
        Some(Self { header, claims, signature, text: Zeroizing::new(text.to_owned()) })
    }

    /// The header of an encrypted token (five parts), which is all that can be read of it.
    #[must_use]
    pub fn encrypted(text: &str) -> Option<Map<String, Value>> {
        let header = object(text.split('.').next()?)?;
        (text.split('.').count() == 5 && header.contains_key("enc")).then_some(header)
    }

    /// A header field that is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// A claim that is text.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }

    /// A claim that is a time.
    #[must_use]
    pub fn time(&self, name: &str) -> Option<i64> {
        super::time::seconds(self.claims.get(name)?)
    }

    /// Every audience; RFC 7519 4.1.3 allows one or several.
    #[must_use]
    pub fn audiences(&self) -> Vec<&str> {
        match self.claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether a claim is there and is not empty.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self.claims.get(name) {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(Value::Array(items)) => !items.is_empty(),
            Some(_) => true,
        }
    }

    /// What was signed, and the signature; for the verification and nobody else.
    pub(super) fn signed(&self) -> Option<(&str, &str)> {
        self.text.rsplit_once('.').filter(|(signed, _)| signed.contains('.'))
    }

    /// The whole text, for [`crate::assertion::facts`].
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jwt(…)")
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&LENIENT.decode(part).ok()?).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    /// A token with a signature that nobody made.
    pub(crate) fn token(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode("canary signature of nobody"))
    }

    #[test]
    fn a_token_whose_signature_was_cut_off_is_read_all_the_same() {
        let whole = token(&json!({"alg": "RS256"}), &json!({"aud": ["a", "b"]}));
        let (unsigned, _) = whole.rsplit_once('.').unwrap();
        let of = |text: &str| Jwt::parse(text).unwrap().signature;
        assert_eq!(of(&whole), Signature::Present);
        assert_eq!((of(unsigned), of(&format!("{unsigned}."))), (Signature::Missing, Signature::Missing));
        assert_eq!(of(&format!("{unsigned}.[signature]")), Signature::Damaged);
        assert_eq!(Jwt::parse(unsigned).unwrap().audiences(), ["a", "b"]);
        for no in ["", "a.b.c", "e30", &format!("{whole}.x"), &whole[..20]] {
            assert!(Jwt::parse(no).is_none(), "{no}");
        }
    }

    #[test]
    fn deep_json_and_huge_numbers_are_no_token_and_no_panic() {
        for claims in ["[".repeat(100_000), format!("{{\"a\":{}}}", "[".repeat(10_000)), "{\"a\":1e999}".to_owned()] {
            assert!(Jwt::parse(&format!("e30.{}.x", URL_SAFE_NO_PAD.encode(claims))).is_none());
        }
    }

    #[test]
    fn a_token_does_not_print() {
        let text = token(&json!({}), &json!({"sub": "canary"}));
        assert_eq!(format!("{:?}", Jwt::parse(&text).unwrap()), "Jwt(…)");
    }
}
