//! Covers: src/inspect/mod.rs src/inspect/access.rs src/inspect/certificate.rs src/inspect/checks.rs src/inspect/claims.rs src/inspect/client.rs src/inspect/input.rs src/inspect/issuer.rs src/inspect/jwt.rs src/inspect/model.rs src/inspect/platform.rs src/inspect/refusals.rs src/inspect/resources.rs src/inspect/shown.rs src/inspect/time.rs
//!
//! Whatever somebody pastes. The report repeats no signature, key or secret, writes nothing to a terminal but text, and
//! what is only named is not described; a token never differs from itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unsecret::inspect::verify::{Expected, Keys, verify};
use unsecret::inspect::{Kind, Report, describe, differences, expect, require_secretless};
use unsecret::problem;
use unsecret_fuzz::assert_silent;

const NOW: u64 = 1_800_000_000;
const KEYS: &str = r#"{"keys":[{"kty":"RSA","kid":"k","n":"AQAB","e":"AQAB"}]}"#;

fuzz_target!(|input: &[u8]| {
    let report = describe(input, NOW);
    assert_silent(&format!("{report:?}"));
    let Ok(json) = serde_json::to_string(&report) else { panic!("a report is JSON") };
    assert_silent(&json);
    plain(&report);
    assert_eq!(report.model.is_some(), report.kind == Kind::AccessToken);
    if !report.is_described() {
        assert!(report.rows.is_empty() && report.refusals.is_empty(), "{:?}", report.kind);
    }
    checked(&report);
    let _ = Keys::parse(input);
});

/// Everything that is printed is a line of text, and no line is endless.
fn plain(report: &Report) {
    let rows = report.rows.iter().flat_map(|row| [&row.name, &row.shown]);
    let refusals = report.refusals.iter().map(|refusal| &refusal.why);
    let notes = report.notes.iter().map(|note| &note.text);
    let compared = report.compare.iter().map(|one| &one.value);
    for text in rows.chain(refusals).chain(notes).chain(compared).chain(&report.why).chain([&report.verdict]) {
        assert!(!text.chars().any(|letter| letter.is_control() || letter == '\u{202e}'), "{text:?}");
        assert!(text.chars().count() < 10_000, "{}", text.chars().count());
    }
}

fn checked(report: &Report) {
    for (claim, value) in [("aud", "https://graph.microsoft.com"), ("exp", "1"), ("roles", "Mail.Send"), ("uti", "x")] {
        if let Err(unmet) = expect(report, claim, value) {
            assert_silent(&problem::report(&unmet));
        }
    }
    match require_secretless(report) {
        Ok(()) => assert_eq!(report.kind, Kind::AccessToken),
        Err(unmet) => assert_silent(&problem::report(&unmet)),
    }
    match differences(report, report, NOW) {
        Ok(all) => assert!(all.is_empty()),
        Err(_) => assert!(report.jwt().is_none()),
    }
    // What differs from a token that has everything is shown, and shows no more than the table does.
    if let Ok(all) = differences(report, &describe(OTHER, NOW), NOW) {
        assert_silent(&format!("{all:?}"));
    }
    if let (Some(jwt), Ok(keys)) = (report.jwt(), Keys::parse(KEYS.as_bytes())) {
        let expected = Expected { issuer: "https://i.example".to_owned(), audience: "a".to_owned() };
        assert!(verify(jwt, &expected, &keys, NOW).iter().any(|check| check.refused.is_some()), "nobody signed this");
    }
}

/// `{"alg":"RS256"}` and `{"aud":"a","exp":1800000000}`, without a signature.
const OTHER: &[u8] = b"eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJhIiwiZXhwIjoxODAwMDAwMDAwfQ.";
