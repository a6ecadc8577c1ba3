//! Texts that are compared with a file: what differs from run to run is put aside.

use crate::support::snapshot;
use crate::support::world::{CLIENT, OTHER_CLIENT, TENANT};

/// Ids that the tests choose: they stay.
const KNOWN: [&str; 4] = [TENANT, CLIENT, OTHER_CLIENT, NO_TENANT];

/// Nobody's tenant.
pub(super) const NO_TENANT: &str = "99999999-aaaa-4bbb-8ccc-222222222222";

/// Ports, moments, ids, thumbprints and lengths of time under names of their own.
pub(super) fn steady(text: &str) -> String {
    text.split_inclusive('\n').map(line).collect()
}

fn line(line: &str) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let mut out = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (word, after) = rest.split_at(end);
        let digits = word.strip_prefix('-').unwrap_or(word);
        let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let moment = word.len() == 13 && word.as_bytes()[10] == b'T' && after.starts_with(':');
        match () {
            () if moment => {
                out.push_str("TIME");
                rest = after.split_once('Z').map_or("", |(_, rest)| rest);
                continue;
            }
            () if word.len() >= 27 && !KNOWN.contains(&word) && word.bytes().any(|byte| byte.is_ascii_digit()) => {
                out.push_str(if word.len() == 36 { "GUID" } else { "HASH" });
            }
            () if number && ["localhost:", "127.0.0.1:", "sport = :"].iter().any(|before| out.ends_with(before)) => {
                out.push_str("PORT");
            }
            // Seconds since 1970, in this decade and the next.
            () if number && digits.len() == 10 => out.push_str("EPOCH"),
            () if number && [" min", " s", " days"].iter().any(|unit| after.starts_with(unit)) => out.push('N'),
            () => out.push_str(word),
        }
        rest = after;
    }
    out
}

/// Holds a report to `tests/it/snapshots/doctor/NAME.txt`.
pub(super) fn hold(name: &str, text: &str) {
    snapshot::held([snapshot::compare(&format!("doctor/{name}.txt"), text)]);
}

/// The tests name their snapshots one by one, so their source tells which are in use.
#[test]
fn every_snapshot_is_held_by_a_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/doctor");
    let sources =
        std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let sources: String = sources.collect();
    let words = sources.split('"').filter(|word| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    snapshot::no_others("doctor", words.map(|word| format!("{word}.txt")));
}

#[test]
fn what_differs_from_run_to_run_is_put_aside_and_nothing_else() {
    for (text, wanted) in [
        ("https://localhost:40123/x", "https://localhost:PORT/x"),
        ("exp  2026-11-22T19:29:00Z, 59 min from now", "exp  TIME, N min from now"),
        ("correlation id 0d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10, for", "correlation id GUID, for"),
        (TENANT, TENANT),
        ("`exp` is 1795373500; this clock is -599 s", "`exp` is EPOCH; this clock is N s"),
        ("AADSTS700213 and exit status 17", "AADSTS700213 and exit status 17"),
        ("kid  ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0", "kid  HASH"),
    ] {
        assert_eq!(steady(text), wanted);
    }
}
