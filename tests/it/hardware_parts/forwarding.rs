//! The forwarding module has exactly the bad days that it is asked for.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

use crate::support::forwarding::{Call, Forwarding};
use crate::support::softhsm::{Softhsm, finished};
use crate::support::world::until;

/// A SoftHSM with the tokens `prod` and `other`, a key in each, and a module over it.
fn parts() -> Option<(Softhsm, Forwarding)> {
    let hsm = Softhsm::new()?;
    for token in ["prod", "other"] {
        hsm.token(token, "1234");
        hsm.key(token, "billing", "01", 2048);
    }
    let forwarding = Forwarding::over(&hsm);
    Some((hsm, forwarding))
}

/// Signs something with the key of the token. Where `C_Sign` fails, the tool tries `C_SignUpdate`; not so with `C_SignInit`.
fn sign(hsm: &Softhsm, forwarding: &Forwarding, token: &str) -> Command {
    let mut command = hsm.tool(&forwarding.path(), token);
    command.args(["--login", "--pin", &hsm.pin(token), "--sign", "--id", "01", "--mechanism", "SHA256-RSA-PKCS-PSS"]);
    command.arg("--input-file").arg(hsm.config()).args(["--output-file", "/dev/null"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn list(hsm: &Softhsm, forwarding: &Forwarding, verb: &str) -> String {
    let mut command = hsm.child("pkcs11-tool");
    command.arg("--module").arg(forwarding.path()).arg(verb);
    finished(command)
}

fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?}: it went well");
    String::from_utf8(output.stderr).unwrap()
}

fn results(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.result.as_str()).collect()
}

#[test]
fn every_call_is_forwarded_and_counted() {
    let Some((hsm, forwarding)) = parts() else { return };
    finished(sign(&hsm, &forwarding, "prod"));
    finished(sign(&hsm, &forwarding, "other"));
    let calls = forwarding.calls("C_Sign");
    assert_eq!(results(&calls), ["CKR_OK", "CKR_OK"]);
    assert_ne!(calls[0].pid, calls[1].pid);
    let mut wrong = hsm.tool(&forwarding.path(), "prod");
    wrong.args(["--login", "--pin", "4321", "--list-objects"]);
    assert!(refusal(wrong).contains("CKR_PIN_INCORRECT"));
    assert_eq!(results(&forwarding.calls("C_Login")), ["CKR_OK", "CKR_OK", "CKR_PIN_INCORRECT"]);
    assert_eq!(forwarding.calls("C_Initialize").len(), 3);
}

#[test]
fn a_function_fails_as_often_as_it_is_asked_to() {
    let Some((hsm, forwarding)) = parts() else { return };
    forwarding.fail("C_SignInit", "CKR_DEVICE_ERROR", 2);
    for _ in 0..2 {
        assert!(refusal(sign(&hsm, &forwarding, "prod")).contains("CKR_DEVICE_ERROR"));
    }
    finished(sign(&hsm, &forwarding, "prod"));
    forwarding.fail_always("C_Login", "CKR_PIN_LOCKED");
    for _ in 0..3 {
        assert!(refusal(sign(&hsm, &forwarding, "prod")).contains("CKR_PIN_LOCKED"));
    }
    forwarding.mend("C_Login");
    finished(sign(&hsm, &forwarding, "prod"));
    assert_eq!(results(&forwarding.calls("C_SignInit")), ["CKR_DEVICE_ERROR", "CKR_DEVICE_ERROR", "CKR_OK", "CKR_OK"]);
}

#[tokio::test]
async fn a_function_hangs_until_it_is_released() {
    let Some((hsm, forwarding)) = parts() else { return };
    forwarding.hang("C_Sign");
    let mut child = sign(&hsm, &forwarding, "prod").spawn().unwrap();
    until("C_Sign hangs", async || (!forwarding.calls("C_Sign").is_empty()).then_some(())).await;
    assert!(child.try_wait().unwrap().is_none(), "it does not hang");
    forwarding.release("C_Sign");
    assert!(child.wait().unwrap().success());
    let calls = forwarding.calls("C_Sign");
    assert_eq!(results(&calls), ["hang", "CKR_OK"]);
    assert_eq!((calls[0].pid, calls[1].pid), (child.id(), child.id()));
}

#[test]
fn a_function_crashes_its_process_once() {
    let Some((hsm, forwarding)) = parts() else { return };
    forwarding.crash("C_Sign");
    assert_eq!(sign(&hsm, &forwarding, "prod").output().unwrap().status.signal(), Some(6));
    finished(sign(&hsm, &forwarding, "prod"));
    assert_eq!(results(&forwarding.calls("C_Sign")), ["crash", "CKR_OK"]);
}

#[test]
fn an_absent_token_leaves_its_slot_empty_and_the_others_alone() {
    let Some((hsm, forwarding)) = parts() else { return };
    forwarding.absent("prod");
    let slots = list(&hsm, &forwarding, "--list-slots");
    assert!(slots.contains("(empty)") && slots.contains("other") && !slots.contains("prod"), "{slots}");
    assert!(!list(&hsm, &forwarding, "--list-token-slots").contains("(empty)"));
    refusal(sign(&hsm, &forwarding, "prod"));
    finished(sign(&hsm, &forwarding, "other"));
    forwarding.present("prod");
    finished(sign(&hsm, &forwarding, "prod"));
    assert!(!list(&hsm, &forwarding, "--list-slots").contains("(empty)"));
}

#[test]
fn a_module_without_pss_neither_lists_nor_takes_it() {
    let Some((hsm, forwarding)) = parts() else { return };
    assert!(list(&hsm, &forwarding, "--list-mechanisms").contains("SHA256-RSA-PKCS-PSS"));
    forwarding.no_pss();
    let mechanisms = list(&hsm, &forwarding, "--list-mechanisms");
    assert!(!mechanisms.contains("PSS") && mechanisms.contains("SHA256-RSA-PKCS"), "{mechanisms}");
    refusal(sign(&hsm, &forwarding, "prod"));
    let mut plain = sign(&hsm, &forwarding, "prod");
    // The last word counts.
    plain.args(["--mechanism", "SHA256-RSA-PKCS"]);
    finished(plain);
}

#[test]
fn the_flags_of_a_pin_are_raised_for_one_token() {
    let Some((hsm, forwarding)) = parts() else { return };
    forwarding.pin_flags("prod", 0x2_0000);
    let slots = list(&hsm, &forwarding, "--list-token-slots");
    assert_eq!(slots.matches("final user PIN try").count(), 1, "{slots}");
    forwarding.pin_flags("prod", 0);
    assert!(!list(&hsm, &forwarding, "--list-token-slots").contains("final user PIN try"));
}

#[test]
fn two_modules_over_one_softhsm_do_not_share_their_bad_days() {
    let Some((hsm, first)) = parts() else { return };
    let second = Forwarding::over(&hsm);
    first.fail_always("C_SignInit", "CKR_GENERAL_ERROR");
    refusal(sign(&hsm, &first, "prod"));
    finished(sign(&hsm, &second, "prod"));
    assert_eq!((first.calls("C_SignInit").len(), second.calls("C_SignInit").len()), (1, 1));
}
