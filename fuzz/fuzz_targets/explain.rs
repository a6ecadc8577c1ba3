//! Covers: src/explain/mod.rs src/explain/read.rs src/explain/seen.rs src/explain/text.rs
//!
//! Whatever somebody pastes. What is said of it are our own words, numbers, GUIDs and times: no word of the text comes
//! back, and no letter case of it changes what is recognised.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use unsecret::explain::{Mark, Reading, all, look_up, read};
use unsecret_fuzz::assert_silent;

/// A shorter word may stand in our own text by chance.
const WORD: usize = 12;

/// All that we ever say by ourselves.
static OWN: LazyLock<String> = LazyLock::new(|| {
    let advice: Vec<_> = all().iter().map(|one| one.retry.advice()).collect();
    format!("{:?} {advice:?}", all())
});

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let reading = read(&text);
    told(&reading);
    let said = format!("{reading:?} {:?} {:?}", reading.seen.validity.and_then(|it| it.verdict()), look_up(&text));
    assert_silent(&said);
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() >= WORD) {
        // The last group of a GUID has twelve digits.
        let of_a_guid = word.len() == WORD && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
        // `ADSTS700024` stands in the `AADSTS700024` that is said of another place in the text.
        let number = !letters.is_empty() && "AADSTS".ends_with(letters);
        assert!(of_a_guid || number || OWN.contains(word) || !said.contains(word), "`{word}` came back");
    }
    let names = |reading: &Reading| reading.found.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&reading), names(&read(&text.to_ascii_uppercase())));
});

/// What is found is whole: it says where it stands, once, and what to look at.
fn told(reading: &Reading) {
    assert!(reading.found.len() <= 12);
    for (place, one) in reading.found.iter().enumerate() {
        assert!(reading.found[..place].iter().all(|earlier| earlier.name != one.name), "{} twice", one.name);
        assert!(!one.meaning.is_empty() && !one.causes.is_empty() && !one.checks.is_empty(), "{}", one.name);
        let here = one.walk().into_iter().filter(|(_, mark)| matches!(mark, Mark::Here | Mark::Probably));
        assert_eq!(here.count(), 1, "{}", one.name);
    }
    if let Some(status) = reading.seen.status {
        assert!((200..600).contains(&status));
    }
}
