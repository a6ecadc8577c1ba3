//! A PIN is given to a token once, and a wrong one never again.

use unsecret::problem::Problem as _;

use super::*;
use crate::support::forwarding::Forwarding;

/// The results of all logins so far.
fn logins(module: &Forwarding) -> Vec<String> {
    module.calls("C_Login").into_iter().map(|call| call.result).collect()
}

#[tokio::test]
async fn a_wrong_pin_is_tried_once_and_the_right_one_is_taken_up_by_itself() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    bench.softhsm.key("prod", "payroll", "02", 2048);
    let module = Forwarding::over(&bench.softhsm);
    bench.write_pin("prod", "wrong");
    let uris = ["object=billing", "object=payroll"].map(|key| bench.uri(key, &module.path()));
    // Two identities, each three times, and then another process with the same state directory.
    for _ in 0..3 {
        for uri in &uris {
            let refused = failure(&*bench.open(uri, None)).await;
            assert_eq!((refused.code(), refused.outcome()), ("pin-refused", "pin_error"));
        }
    }
    for force in [false, true] {
        let other = bench.ring(force);
        assert_eq!(refusal(&*other.open(&uris[0], None).unwrap()).await, "pin-refused");
    }
    assert_eq!(logins(&module), ["CKR_PIN_INCORRECT"]);

    bench.write_pin("prod", PIN);
    let public = bench.softhsm.public("prod", "01");
    proves(&*bench.open(&uris[0], None), Algorithm::Ps256, &public).await;
    assert_eq!(logins(&module), ["CKR_PIN_INCORRECT", "CKR_OK"]);
}

#[tokio::test]
async fn a_wrong_pin_for_a_single_signature_is_tried_once_too() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.always_authenticate_key("prod", "careful", "01", 2048);
    let module = Forwarding::over(&bench.softhsm);
    let signer = bench.open(&bench.uri("object=careful", &module.path()), None);
    let public = signer.public_key().await.unwrap();
    bench.write_pin("prod", "wrong");
    for _ in 0..3 {
        assert_eq!(refusal(&*signer).await, "pin-refused");
    }
    assert_eq!(logins(&module), ["CKR_OK", "CKR_PIN_INCORRECT"]);
    bench.write_pin("prod", PIN);
    proves(&*signer, Algorithm::Ps256, &public).await;
}

#[tokio::test]
async fn what_the_token_counts_is_heeded() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let module = Forwarding::over(&bench.softhsm);
    let uri = bench.uri("object=billing", &module.path());
    for (flags, code) in [(0x1_0000, "pin-count-low"), (0x2_0000, "pin-final-try"), (0x4_0000, "pin-locked")] {
        module.pin_flags("prod", flags);
        assert_eq!(refusal(&*bench.open(&uri, None)).await, code);
    }
    assert_eq!(logins(&module), [""; 0]);
    module.pin_flags("prod", 0x1_0000);
    let forced = bench.ring(true).open(&uri, None).unwrap();
    let public = bench.softhsm.public("prod", "01");
    proves(&*forced, Algorithm::Ps256, &public).await;
}

#[tokio::test]
async fn a_login_that_fails_for_another_reason_is_not_held_against_the_pin() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let module = Forwarding::over(&bench.softhsm);
    let signer = bench.open(&bench.uri("object=billing", &module.path()), None);
    module.fail("C_Login", "CKR_PIN_EXPIRED", 1);
    assert_eq!(refusal(&*signer).await, "signer-device-error");
    let public = bench.softhsm.public("prod", "01");
    proves(&*signer, Algorithm::Ps256, &public).await;
    assert_eq!(logins(&module), ["CKR_PIN_EXPIRED", "CKR_OK"]);
}

#[tokio::test]
async fn a_login_that_never_ended_is_repeated_once() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let module = Forwarding::over(&bench.softhsm);
    let signer = bench.open(&bench.uri("object=billing", &module.path()), None);
    for _ in 0..2 {
        module.crash("C_Login");
        assert_eq!(refusal(&*signer).await, "signer-died");
        bench.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(refusal(&*signer).await, "pin-interrupted");
    assert_eq!(logins(&module), ["crash", "crash"]);
    let forced = bench.ring(true).open(&bench.uri("object=billing", &module.path()), None).unwrap();
    let public = bench.softhsm.public("prod", "01");
    proves(&*forced, Algorithm::Ps256, &public).await;
}

#[tokio::test]
async fn a_key_that_needs_a_login_and_has_no_pin_says_so() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let uri = parse(&format!("pkcs11:token=prod;object=billing?module-path={}", bench.softhsm.module().display()));
    assert_eq!(refusal(&*bench.open(&uri, None)).await, "pin-missing");
}

#[tokio::test]
async fn a_pin_file_that_is_missing_is_read_again_when_it_comes() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let signer = bench.open(&bench.uri("object=billing", bench.softhsm.module()), None);
    fs::remove_file(bench.pin_file("prod")).unwrap();
    assert_eq!(refusal(&*signer).await, "pin-unreadable");
    bench.write_pin("prod", PIN);
    let public = bench.softhsm.public("prod", "01");
    proves(&*signer, Algorithm::Ps256, &public).await;
}
