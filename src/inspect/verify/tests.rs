//! Verification: the right key and the wrong ones, each claim right and wrong.

use std::sync::LazyLock;

use super::*;
use crate::inspect::jwt::tests::token as unsigned;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

const NOW: u64 = 1_800_000_000;
const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";

/// Two keys of an issuer, made once.
static PEMS: LazyLock<[String; 2]> = LazyLock::new(|| {
    [0, 1].map(|_| {
        let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
        key.unwrap().serialize_pem()
    })
});

fn issuer() -> String {
    format!("https://sts.windows.net/{TENANT}/")
}

fn claims(change: &Value) -> Value {
    let mut claims = json!({"iss": issuer(), "aud": "api://shop", "nbf": NOW - 300, "exp": NOW + 600});
    claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    claims
}

fn signed(key: usize, algorithm: Algorithm, change: &Value) -> String {
    let header = Header { kid: Some(format!("key-{key}")), ..Header::new(algorithm) };
    let key = EncodingKey::from_rsa_pem(PEMS[key].as_bytes()).unwrap();
    jsonwebtoken::encode(&header, &claims(change), &key).unwrap()
}

/// A JWKS of one key, changed; Entra's keys name no `alg`.
fn keys(key: usize, change: &Value) -> Keys {
    let made = EncodingKey::from_rsa_pem(PEMS[key].as_bytes()).unwrap();
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&made, Algorithm::RS256).unwrap()).unwrap();
    jwk["kid"] = json!(format!("key-{key}"));
    jwk.as_object_mut().unwrap().remove("alg");
    jwk.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    let other = json!({"kty": "something new", "kid": "new"});
    Keys::parse(json!({"keys": [jwk, other]}).to_string().as_bytes()).unwrap()
}

/// The codes of what refused it.
fn codes(token: &str, keys: &Keys) -> Vec<&'static str> {
    let expected = Expected { issuer: issuer(), audience: "api://shop".to_owned() };
    let checks = verify(&Jwt::parse(token).unwrap(), &expected, keys, NOW);
    assert_eq!(checks.len(), 4);
    checks.iter().filter_map(|check| check.refused.as_ref().map(Problem::code)).collect()
}

#[test]
fn a_token_with_the_right_key_issuer_audience_and_times_passes() {
    for algorithm in [Algorithm::RS256, Algorithm::PS256] {
        assert_eq!(codes(&signed(0, algorithm, &json!({})), &keys(0, &json!({}))), [""; 0]);
    }
    assert_eq!(
        codes(&signed(0, Algorithm::RS256, &json!({"aud": ["x", "api://shop"]})), &keys(0, &json!({}))),
        [""; 0]
    );
}

#[test]
fn a_rolled_key_is_told_with_the_keys_that_are_there() {
    let (token, keys) = (signed(1, Algorithm::RS256, &json!({})), keys(0, &json!({})));
    assert_eq!(codes(&token, &keys), ["verify-key-unknown"]);
    let refused = signature(&Jwt::parse(&token).unwrap(), &keys).unwrap_err();
    let said =
        "verify the signature: its key `key-1` is not among the issuer's: `key-0`, 1 that cannot verify signatures";
    assert_eq!(refused.to_string(), said);
    assert!(refused.remedy().unwrap().contains("at most once in 5 minutes"));
}

#[test]
fn another_key_under_the_same_name_does_not_verify() {
    let token = signed(1, Algorithm::RS256, &json!({}));
    assert_eq!(codes(&token, &keys(0, &json!({"kid": "key-1"}))), ["verify-signature"]);
    let whole = signed(0, Algorithm::RS256, &json!({}));
    let (unsigned, _) = whole.rsplit_once('.').unwrap();
    assert_eq!(codes(unsigned, &keys(0, &json!({}))), ["verify-signature"]);
    assert_eq!(codes(&format!("{unsigned}.AAAA"), &keys(0, &json!({}))), ["verify-signature"]);
}

#[test]
fn a_public_key_is_no_hmac_secret_and_none_is_no_algorithm() {
    let confused = Header { kid: Some("key-0".to_owned()), ..Header::new(Algorithm::HS256) };
    let secret = EncodingKey::from_secret(PEMS[0].as_bytes());
    let token = jsonwebtoken::encode(&confused, &claims(&json!({})), &secret).unwrap();
    assert_eq!(codes(&token, &keys(0, &json!({}))), ["verify-algorithm"]);
    let none = unsigned(&json!({"alg": "none", "kid": "key-0"}), &claims(&json!({})));
    assert_eq!(codes(&none, &keys(0, &json!({}))), ["verify-algorithm"]);
}

#[test]
fn a_key_verifies_only_the_algorithm_it_is_for() {
    let token = signed(0, Algorithm::PS256, &json!({}));
    assert_eq!(codes(&token, &keys(0, &json!({"alg": "RS256"}))), ["verify-algorithm"]);
    let curve = unsigned(&json!({"alg": "ES256", "kid": "key-0"}), &claims(&json!({})));
    assert_eq!(codes(&curve, &keys(0, &json!({}))), ["verify-algorithm"]);
}

#[test]
fn every_wrong_claim_is_told_at_once() {
    let token = signed(0, Algorithm::RS256, &json!({"iss": "https://x.example", "aud": "y", "exp": NOW - 600}));
    assert_eq!(codes(&token, &keys(0, &json!({}))), ["verify-issuer", "verify-audience", "verify-time"]);
    let of = |change: Value| codes(&signed(0, Algorithm::RS256, &change), &keys(0, &json!({})));
    assert_eq!(of(json!({"nbf": NOW + 600})), ["verify-time"]);
    assert_eq!(of(json!({"exp": null})), ["verify-time"]);
    // Within the leeway the clocks may disagree.
    assert_eq!(of(json!({"exp": NOW - 60, "nbf": NOW - 900})), [""; 0]);
    assert_eq!(of(json!({"nbf": NOW + 60})), [""; 0]);
}

#[test]
fn the_issuer_of_the_other_version_is_explained() {
    let other = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let jwt = Jwt::parse(&signed(0, Algorithm::RS256, &json!({"iss": other}))).unwrap();
    let refused = of_issuer(&jwt, &issuer()).unwrap_err();
    assert!(refused.remedy().unwrap().contains("requestedAccessTokenVersion"), "{refused}");
    let slash = of_issuer(&jwt, &format!("{other}/")).unwrap_err();
    assert!(slash.remedy().unwrap().contains("trailing slash"), "{slash}");
}

#[test]
fn a_token_of_microsoft_graph_cannot_be_verified_by_others() {
    let header = json!({"alg": "RS256", "kid": "key-0", "nonce": "n"});
    let token = unsigned(&header, &claims(&json!({})));
    assert_eq!(codes(&token, &keys(0, &json!({}))), ["verify-only-by-resource"]);
}

#[test]
fn what_holds_no_key_for_signatures_is_no_jwks() {
    let encryption = json!({"keys": [{"kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"}]}).to_string();
    let symmetric = json!({"keys": [{"kty": "oct", "k": "AQAB"}]}).to_string();
    for no in ["", "[]", "{}", r#"{"keys": 7}"#, r#"{"keys": []}"#, &encryption, &symmetric] {
        assert!(Keys::parse(no.as_bytes()).is_err(), "{no}");
    }
}

#[test]
fn a_critical_extension_that_nobody_knows_is_refused() {
    let header = json!({"alg": "RS256", "kid": "key-0", "crit": ["b64"], "b64": false});
    let unsigned = unsigned(&header, &claims(&json!({})));
    let (message, _) = unsigned.rsplit_once('.').unwrap();
    let key = EncodingKey::from_rsa_pem(PEMS[0].as_bytes()).unwrap();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::RS256).unwrap();
    assert_eq!(codes(&format!("{message}.{signature}"), &keys(0, &json!({}))), ["verify-algorithm"]);
}
