//! Covers: src/config/check/mod.rs src/config/check/assertion.rs src/config/check/caller.rs src/config/check/distinct.rs src/config/check/hardware.rs src/config/check/identity.rs src/config/check/key.rs src/config/check/listen.rs src/config/check/outbound.rs src/config/shape.rs
//!
//! A configuration file. What is accepted keeps the promises that everything above relies on; what is refused names
//! every problem with a place and a remedy, and repeats no secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unsecret::config::{Config, Environment};
use unsecret::policy::Allowed;
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
            for address in &config.listen.http {
                let link_local = address.ip().to_string() == "169.254.169.254";
                assert!(address.ip().is_loopback() || link_local || config.listen.unsafe_any_address, "{address}");
            }
            for identity in &config.identities {
                let entry = &identity.entry;
                assert!(entry.any_local_caller || !entry.callers.is_empty(), "{} serves nobody", entry.name);
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
