//! Covers: src/entra/wire.rs
//!
//! Whatever answers in Entra's place. A token comes only out of a 200 and is the one in the body, with a life between a
//! second and a week; nothing that fails repeats the body's secrets; and a page that does not bear Entra's marks is
//! never held against the configuration.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use unsecret::clock::{Clock as _, ManualClock, Now};
use unsecret::entra::{EntraError, read, read_keys, read_metadata};
use unsecret::facts::Facts;
use unsecret::fault::Class;
use unsecret::ids::Guid;
use unsecret::outbound::Answer;
use unsecret::problem::{Problem as _, chain};
use unsecret_fuzz::{CANARY, Message, assert_silent};

const SENT: &str = "0d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10";

fuzz_target!(|input: &[u8]| {
    let Some(message) = Message::of(input) else { return };
    let Ok(status @ 200..=599) = message.first.parse::<u16>() else { return };
    let answer = Answer { status, headers: message.headers, body: message.body.to_vec().into() };
    let sent = Guid::parse(SENT).expect("a GUID");
    let now = ManualClock::standing(1_800_000_000).now();
    documents(&answer, &sent, now);
    match read(&answer, &sent, now, &Facts::default()) {
        Ok(exchanged) => {
            assert_eq!(status, 200);
            let granted = exchanged.granted;
            // Fields that nobody reads may hold what this stricter reader refuses.
            if let Ok(object) = serde_json::from_slice::<serde_json::Value>(message.body) {
                assert_eq!(object["access_token"].as_str(), Some(granted.access_token.expose()));
            }
            assert!(granted.expires_in >= Duration::from_secs(1), "{:?}", granted.expires_in);
            assert!(granted.expires_in <= Duration::from_secs(7 * 24 * 3_600), "{:?}", granted.expires_in);
            assert_silent(&format!("{granted:?}"));
        }
        Err(error) => {
            // Headers and Entra's own `error` word are passed on: only what else is in the body must stay there.
            if error.fault().is_none() && !format!("{:?}", answer.headers).contains(CANARY) {
                assert_silent(&format!("{error:?} {} {:?}", chain(&error), error.remedy()));
            }
            if let EntraError::NotEntra { .. } = error {
                assert_ne!(error.class(), Class::Configuration);
                assert_ne!(error.class(), Class::Policy);
            }
            if let Some(wait) = error.marks().and_then(|marks| marks.retry_after) {
                assert!(wait <= Duration::from_secs(3_600), "{wait:?}");
            }
        }
    }
});

/// The same answer where a document of the tenant was asked for: keys come as they were sent, and only of a 200.
fn documents(answer: &Answer, sent: &Guid, now: Now) {
    if let Ok(keys) = read_keys(answer, sent, now) {
        assert_eq!((answer.status, &keys[..]), (200, &answer.body[..]));
        let document: serde_json::Value = serde_json::from_slice(&keys).expect("keys are JSON");
        assert!(document["keys"].is_array());
    }
    if let Ok(marks) = read_metadata(answer, sent, now) {
        assert_eq!((answer.status, marks.status), (200, 200));
    }
}
