//! What a token request asks of the token itself: the parameter `claims` (contract A10).
//!
//! A capability says what the client can take: `cp1` is that resources may challenge it. A challenge is what a resource
//! answered: a new token has to meet it. Not who may have which of them (policy decides). Easy to get wrong: clients declare
//! their capability in every request and in every letter case, and merge it into each challenge; only what else stands there
//! is a challenge.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::ids::NotA;

/// What one request asks of its token. The ordinary one asks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The client can take a challenge (`xms_cc` with `cp1`).
    pub capable: bool,
    pub challenge: Option<Challenge>,
}

/// What a resource demands of the next token: a JSON object, without the capability. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge(Arc<Map<String, Value>>);

/// Challenges have a few hundred bytes; this one would name a hundred authentication contexts.
const LONGEST: usize = 4_096;
/// Real ones are four deep: claims, token, claim, its values.
const DEEPEST: usize = 8;

const RULE: NotA =
    NotA("it is a JSON object of at most 4,096 bytes and 8 levels, in which `access_token` is an object too");

impl Claims {
    /// # Errors
    /// When it is no such object.
    pub fn read(text: &str) -> Result<Self, NotA> {
        if text.len() > LONGEST {
            return Err(RULE);
        }
        let mut object: Map<String, Value> = serde_json::from_str(text).map_err(|_| RULE)?;
        if !object.values().all(|value| is_shallow(value, DEEPEST - 1)) {
            return Err(RULE);
        }
        let mut capable = false;
        if let Some(wanted) = object.get_mut("access_token") {
            let wanted = wanted.as_object_mut().ok_or(RULE)?;
            capable = wanted.remove("xms_cc").is_some_and(|capabilities| names_cp1(&capabilities));
            if wanted.is_empty() {
                object.remove("access_token");
            }
        }
        Ok(Self { capable, challenge: (!object.is_empty()).then(|| Challenge(Arc::new(object))) })
    }

    /// As it goes upstream; `None` where nothing is asked.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let mut object = self.challenge.as_ref().map(|challenge| Map::clone(&challenge.0)).unwrap_or_default();
        if self.capable {
            let wanted = object.entry("access_token").or_insert_with(|| json!({}));
            wanted["xms_cc"] = json!({"values": ["cp1"]});
        }
        (!object.is_empty()).then(|| Value::Object(object).to_string())
    }
}

impl fmt::Debug for Challenge {
    /// It may name a user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(…)")
    }
}

/// `{"values": ["cp1"]}`: Python and Go write `CP1`, JavaScript `cp1`.
fn names_cp1(capabilities: &Value) -> bool {
    let values = capabilities.get("values").and_then(Value::as_array);
    values.into_iter().flatten().filter_map(Value::as_str).any(|value| value.eq_ignore_ascii_case("cp1"))
}

fn is_shallow(value: &Value, levels: usize) -> bool {
    match value {
        Value::Object(object) => levels > 0 && object.values().all(|inner| is_shallow(inner, levels - 1)),
        Value::Array(list) => levels > 0 && list.iter().all(|inner| is_shallow(inner, levels - 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Claims {
        Claims::read(text).unwrap()
    }

    /// What goes upstream for this text.
    fn upstream(text: &str) -> Option<Value> {
        read(text).text().map(|text| serde_json::from_str(&text).unwrap())
    }

    const CAPABILITY: &str = r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#;
    const CHALLENGE: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}"#;

    #[test]
    fn a_declared_capability_is_no_challenge_in_any_letter_case() {
        for spelled in ["cp1", "CP1", "Cp1"] {
            let claims = read(&CAPABILITY.replace("CP1", spelled));
            assert_eq!(claims, Claims { capable: true, challenge: None }, "{spelled}");
            let wanted = json!({"access_token": {"xms_cc": {"values": ["cp1"]}}});
            assert_eq!(claims.text().map(|text| serde_json::from_str(&text).unwrap()), Some(wanted));
        }
    }

    #[test]
    fn other_capabilities_and_empty_objects_ask_nothing() {
        let other = CAPABILITY.replace("CP1", "protapp");
        for text in ["{}", r#"{"access_token":{}}"#, &other, r#"{"access_token":{"xms_cc":null}}"#] {
            assert_eq!(read(text), Claims::default(), "{text}");
            assert_eq!(upstream(text), None, "{text}");
        }
    }

    #[test]
    fn a_challenge_goes_upstream_merged_with_the_capability_and_alone_without_it() {
        let merged = r#"{"access_token":{"nbf":{"essential":true,"value":"1604106651"},"xms_cc":{"values":["cp1"]}}}"#;
        let claims = read(merged);
        assert!(claims.capable && claims.challenge.is_some());
        assert_eq!(upstream(merged), serde_json::from_str(merged).unwrap());
        let alone = read(CHALLENGE);
        assert!(!alone.capable);
        assert_eq!(alone.challenge, claims.challenge, "the same challenge, whoever answers it");
        assert_eq!(upstream(CHALLENGE), serde_json::from_str(CHALLENGE).unwrap());
        let elsewhere = r#"{"id_token":{"acr":{"values":["c1"]}}}"#;
        let capable = Claims { capable: true, ..read(elsewhere) };
        assert!(capable.text().unwrap().contains("xms_cc"));
    }

    #[test]
    fn what_is_no_object_too_long_or_too_deep_is_refused() {
        let long = format!(r#"{{"access_token":{{"acrs":"{}"}}}}"#, "x".repeat(LONGEST));
        let deep = format!("{}{}", r#"{"a":"#.repeat(DEEPEST + 1) + "1", "}".repeat(DEEPEST + 1));
        let bottomless = "[".repeat(LONGEST);
        for text in ["", "1", "[]", "null", "cp1", "{", r#"{"access_token":1}"#, &long, &deep, &bottomless] {
            assert_eq!(Claims::read(text), Err(RULE), "{text:.40}");
        }
        let as_deep_as_may_be = format!("{}{}", r#"{"a":"#.repeat(DEEPEST) + "1", "}".repeat(DEEPEST));
        assert!(Claims::read(&as_deep_as_may_be).is_ok());
    }

    #[test]
    fn a_challenge_does_not_print() {
        assert_eq!(format!("{:?}", read(CHALLENGE).challenge), "Some(Challenge(…))");
    }

    proptest! {
        #[test]
        fn no_text_panics_the_reader_and_what_goes_upstream_reads_back_the_same(text in r#"[{}\[\]":,a-z_ 0-9]{0,60}"#) {
            if let Ok(claims) = Claims::read(&text) {
                let again = claims.text().map_or_else(Claims::default, |text| Claims::read(&text).unwrap());
                prop_assert_eq!(again, claims);
            }
        }
    }
}
