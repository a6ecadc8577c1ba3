//! Covers: src/assertion/jwt.rs
//!
//! A file or an answer that should hold a JWT. Facts come only out of three parts, fit a log line and never hold the
//! signature; what passes the check is what Entra could take.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unsecret::assertion::{Flaw, check, facts, peek_expiry};

const AUDIENCE: &str = "api://AzureADTokenExchange";
const NOW: u64 = 1_800_000_000;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let text = text.trim_end();
    let facts = match facts(text) {
        Ok(facts) => facts,
        Err(flaw) => return explained(&flaw),
    };
    let parts: Vec<&str> = text.split('.').collect();
    assert_eq!(parts.len(), 3);
    assert_eq!(facts.expires, peek_expiry(text));
    let texts = [&facts.issuer, &facts.subject, &facts.audience, &facts.key_id, &facts.algorithm, &facts.kind];
    for text in texts.into_iter().flatten() {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    if let Err(flaw) = check(&facts, AUDIENCE, NOW) {
        explained(&flaw);
    } else {
        assert!(facts.algorithm.as_ref().is_none_or(|algorithm| algorithm.starts_with("RS")));
        assert!(facts.expires.is_none_or(|expires| expires.saturating_add(60) > NOW));
        assert!(facts.audience.is_some(), "a token for nobody passed");
    }
});

/// What is wrong comes with a thing to do; only what the platform's next token may mend is passing.
fn explained(flaw: &Flaw) {
    assert!(!flaw.to_string().is_empty() && !flaw.remedy().is_empty());
    let mends_itself = ["assertion-incomplete", "assertion-expired"].contains(&flaw.code());
    assert_eq!(flaw.is_passing(), mends_itself, "{flaw:?}");
}
