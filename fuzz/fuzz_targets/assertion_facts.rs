//! Covers: src/assertion/jwt.rs
//!
//! A file or an answer that should hold a JWT. Facts come only out of three parts, fit a log line and never hold the
//! signature; what passes the check is what Entra could take.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unsecret::assertion::{check, facts, peek_expiry};

const AUDIENCE: &str = "api://AzureADTokenExchange";
const NOW: u64 = 1_800_000_000;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let text = text.trim_end();
    let Ok(facts) = facts(text) else { return };
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(facts.expires, peek_expiry(text));
    let texts = [&facts.issuer, &facts.subject, &facts.audience, &facts.key_id, &facts.algorithm, &facts.kind];
    for text in texts.into_iter().flatten() {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    if check(&facts, AUDIENCE, NOW).is_ok() {
        assert!(facts.algorithm.as_ref().is_none_or(|algorithm| algorithm.starts_with("RS")));
        assert!(facts.expires.is_none_or(|expires| expires.saturating_add(60) > NOW));
        assert!(facts.audience.is_some(), "a token for nobody passed");
    }
});
