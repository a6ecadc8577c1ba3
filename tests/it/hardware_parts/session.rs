//! What SoftHSM, and the forwarding module over it, do to a process that keeps a session open.

use std::path::Path;

use super::client::Client;
use crate::support::forwarding::Forwarding;
use crate::support::softhsm::Softhsm;

const OPEN: [&str; 3] = ["open prod", "login 1234", "find 01"];

fn softhsm() -> Option<Softhsm> {
    let hsm = Softhsm::new()?;
    hsm.token("prod", "1234");
    hsm.key("prod", "billing", "01", 2048);
    Some(hsm)
}

/// A process that has just signed.
fn signing(hsm: &Softhsm, module: &Path) -> Client {
    Client::start(hsm, module).ready(&["initialize"]).ready(&OPEN).ready(&["sign"])
}

#[test]
fn a_session_outlives_a_change_of_its_pin() {
    let Some(hsm) = softhsm() else { return };
    let client = signing(&hsm, hsm.module());
    hsm.change_pin("prod", "5678");
    // The login is the process's, so a new session has it, too.
    let mut client = client.ready(&["sign", "open prod", "find 01", "sign"]);
    assert_eq!(client.ask("login 1234"), "UserAlreadyLoggedIn");
    client = client.ready(&["finalize", "initialize", "open prod"]);
    assert_eq!(client.ask("login 1234"), "PinIncorrect");
    client.ready(&["login 5678", "find 01", "sign"]);
}

#[test]
fn a_token_that_was_taken_away_is_lost_to_a_process_until_it_finalizes() {
    let Some(hsm) = softhsm() else { return };
    let mut client = signing(&hsm, hsm.module());
    hsm.take_away("prod");
    assert_eq!(client.ask("sign"), "ObjectHandleInvalid");
    assert_eq!(client.ask("open prod"), "GeneralError");
    hsm.put_back("prod");
    assert_eq!(client.ask("sign"), "ObjectHandleInvalid");
    assert_eq!(client.ask("open prod"), "GeneralError");
    client.ready(&["finalize", "initialize"]).ready(&OPEN).ready(&["sign"]);
}

#[test]
fn a_token_that_was_made_later_is_not_seen_by_a_process_until_it_finalizes() {
    let Some(hsm) = softhsm() else { return };
    let mut client = signing(&hsm, hsm.module());
    hsm.token("later", "1234");
    assert_eq!(client.ask("open later"), "not found");
    client.ready(&["finalize", "initialize", "open later"]);
}

#[test]
fn a_key_that_another_process_makes_or_deletes_is_noticed_at_once() {
    let Some(hsm) = softhsm() else { return };
    let client = signing(&hsm, hsm.module());
    hsm.key("prod", "next", "02", 2048);
    let mut client = client.ready(&["find 02", "sign"]);
    hsm.delete_private("prod", "02");
    assert_eq!(client.ask("sign"), "ObjectHandleInvalid");
    assert_eq!(client.ask("find 02"), "not found");
    client.ready(&["find 01", "sign"]);
}

#[test]
fn a_key_that_wants_the_pin_again_wants_it_for_each_signature() {
    let Some(hsm) = softhsm() else { return };
    hsm.always_authenticate_key("prod", "careful", "02", 2048);
    let mut client = signing(&hsm, hsm.module()).ready(&["find 02"]);
    assert_eq!(client.ask("sign"), "UserNotLoggedIn");
    let mut client = client.ready(&["open prod", "sign-init", "login-again 1234", "sign-on", "sign-init"]);
    assert_eq!(client.ask("sign-on"), "UserNotLoggedIn");
}

#[test]
fn an_absent_token_takes_its_sessions_and_its_login_along() {
    let Some(hsm) = softhsm() else { return };
    let forwarding = Forwarding::over(&hsm);
    let mut client = signing(&hsm, &forwarding.path());
    forwarding.absent("prod");
    assert_eq!(client.ask("sign"), "DeviceRemoved");
    assert_eq!(client.ask("sign"), "SessionHandleInvalid");
    assert_eq!(client.ask("open prod"), "not found");
    forwarding.present("prod");
    assert_eq!(client.ask("sign"), "SessionHandleInvalid");
    let mut client = client.ready(&["open prod"]);
    assert_eq!(client.ask("find 01"), "not found", "it is still logged in");
    client.ready(&["login 1234", "find 01", "sign"]);
}

#[test]
fn a_module_stays_broken_until_the_process_finalizes_it() {
    let Some(hsm) = softhsm() else { return };
    let forwarding = Forwarding::over(&hsm);
    let mut broken = signing(&hsm, &forwarding.path());
    forwarding.fail_until_finalize("C_OpenSession", "CKR_DEVICE_ERROR");
    for _ in 0..2 {
        assert_eq!(broken.ask("open prod"), "DeviceError");
    }
    assert_eq!(broken.ask("initialize"), "CryptokiAlreadyInitialized");
    assert_eq!(broken.ask("open prod"), "DeviceError");
    // A process that starts afterwards is well.
    signing(&hsm, &forwarding.path());
    let mut broken = broken.ready(&["finalize", "initialize"]).ready(&OPEN).ready(&["sign"]);
    forwarding.fail_until_finalize("C_OpenSession", "CKR_GENERAL_ERROR");
    assert_eq!(broken.ask("open prod"), "GeneralError", "it can break once only");
}
