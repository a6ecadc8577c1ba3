//! Covers: src/config/check/mod.rs src/config/check/assertion.rs src/config/check/caller.rs src/config/check/distinct.rs src/config/check/doors.rs src/config/check/hardware.rs src/config/check/https.rs src/config/check/identity.rs src/config/check/key.rs src/config/check/listen.rs src/config/check/outbound.rs src/config/check/sink.rs src/config/check/takeover.rs src/config/shape.rs
//!
//! A configuration file. What is accepted keeps the promises that everything above relies on; what is refused names
//! every problem with a place and a remedy, and repeats no secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unsecret::config::{Config, Environment};
use unsecret::ids::Door;
use unsecret::policy::{Allowed, Relayable};
use unsecret_fuzz::{CANARY, assert_silent};

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // Key files are read: a device must not be.
    if text.contains("/dev") || text.contains("/proc") || text.contains("/sys") {
        return;
    }
    let environment: Environment = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://runner.example/token?api-version=2.0"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "canary-b7f3e1-runner-token"),
        ("CALLER_KEY", "canary-b7f3e1-5a1f0c2e-4b7d-9e86"),
        ("SHORT_KEY", "canary-b7f3e1"),
        ("HTTPS_PROXY", "http://proxy.example:3128"),
        ("NO_PROXY", "localhost,.internal.example,login.microsoftonline.us"),
    ]
    .into_iter()
    .collect();
    // What the file itself says is repeated on purpose: only what came from the environment must not be.
    match Config::from_text(text, "fuzzed.toml", &environment) {
        Ok(config) => {
            assert!(!config.identities.is_empty());
            let https = config.listen.https.as_ref().map(|https| &https.address);
            for address in config.listen.http.iter().chain(https) {
                let link_local = address.ip().to_string() == "169.254.169.254";
                assert!(address.ip().is_loopback() || link_local || config.listen.unsafe_any_address, "{address}");
            }
            let takeover = &config.listen.takeover;
            if !takeover.hosts.is_empty() {
                let https = https.expect("clients come to a login host over TLS only");
                assert!(config.listen.doors.has(Door::Oauth));
                assert!(!takeover.addresses.contains(https), "we would ask ourselves at {https}");
            }
            for identity in &config.identities {
                let entry = &identity.entry;
                // A sink is somebody too, where nobody may use a door.
                let serves = entry.any_local_caller || !entry.callers.is_empty() || !identity.sinks.is_empty();
                assert!(serves, "{} serves nobody", entry.name);
                assert!(entry.relay != Relayable::Listed(Vec::new()), "{} passes on nothing, as a list", entry.name);
                assert!(entry.allowed != Allowed::Listed(Vec::new()), "{} hands out nothing", entry.name);
            }
            if !text.contains(CANARY) {
                assert_silent(&format!("{config:?}"));
            }
        }
        Err(problems) => {
            assert!(!problems.items().is_empty());
            for problem in problems.items() {
                assert!(!problem.what.is_empty() && !problem.remedy.is_empty(), "{problem:?}");
            }
            if !text.contains(CANARY) {
                assert_silent(&problems.report());
            }
        }
    }
});
