//! What is cut short, and what cannot be put on record.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use super::{Hsm, PIN, WRONG, key};
use crate::support::forwarding::Forwarding;
use crate::support::softhsm::VARIABLE;
use crate::support::world::until;

/// Waits until so many logins hang, and ends their processes: parent first, as a supervisor's SIGKILL does.
async fn hangs(hsm: &Hsm, count: usize) -> u32 {
    until("a login hangs", async || {
        let calls = hsm.module.calls("C_Login");
        (calls.len() == count && calls[count - 1].result == "hang").then(|| calls[count - 1].pid)
    })
    .await
}

fn kill(pid: u32) {
    // It may have gone with its parent.
    let _ = kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL);
}

#[tokio::test]
async fn a_login_that_was_killed_is_tried_once_more_and_then_by_force_only() {
    let Some(hsm) = Hsm::new(1).await else { return };
    hsm.stand.write_pin(PIN);
    hsm.module.hang("C_Login");
    for count in 1..=2 {
        let broker = hsm.stand.start();
        let child = hangs(&hsm, count).await;
        broker.end(Signal::KILL);
        kill(child);
    }
    let broker = hsm.stand.start();
    broker.until_says("pin-interrupted").await;
    let (status, said) = hsm.key_test(&[]);
    assert!(status == Some(1) && said.ends_with("code: pin-interrupted\n"), "{said}");
    assert_eq!(hsm.logins(), ["hang", "hang"]);

    hsm.module.release("C_Login");
    let (status, said) = hsm.key_test(&["--force"]);
    assert_eq!(status, Some(0), "{said}");
    // A success by hand is what the broker has waited for.
    broker.until_ready().await;
    assert_eq!(hsm.logins(), ["hang", "hang", "CKR_OK", "CKR_OK"]);
}

#[tokio::test]
async fn a_kill_between_a_failed_login_and_its_record_does_not_keep_the_right_pin_out() {
    let Some(hsm) = Hsm::new(1).await else { return };
    hsm.module.hang("C_Login");
    let broker = hsm.stand.start();
    let child = hangs(&hsm, 1).await;
    broker.end(Signal::KILL);
    kill(child);
    hsm.module.release("C_Login");
    // What the token has made of it before the kill.
    hsm.module.pin_flags("prod", 0x1_0000);
    let broker = hsm.stand.start();
    broker.until_says("pin-interrupted").await;
    assert_eq!(hsm.logins(), ["hang"]);
    hsm.stand.write_pin(PIN);
    broker.until_ready().await;
    assert_eq!(hsm.logins(), ["hang", "CKR_OK"]);
}

#[tokio::test]
async fn what_the_token_counts_is_heeded_by_the_broker_and_by_force() {
    let Some(hsm) = Hsm::new(1).await else { return };
    hsm.stand.write_pin(PIN);
    for (flags, code) in [(0x2_0000, "pin-final-try"), (0x4_0000, "pin-locked")] {
        hsm.module.pin_flags("prod", flags);
        let broker = hsm.stand.start();
        broker.until_says(code).await;
        for force in [&[][..], &["--force"]] {
            let (status, said) = hsm.key_test(force);
            assert!(status == Some(1) && said.ends_with(&format!("code: {code}\n")), "{said}");
        }
    }
    hsm.module.pin_flags("prod", 0x1_0000);
    let broker = hsm.stand.start();
    broker.until_says("pin-count-low").await;
    assert_eq!(hsm.logins(), [""; 0]);
    // SoftHSM's own count is clear; what the test adds stays until it is taken away.
    assert_eq!(hsm.key_test(&["--force"]).0, Some(0));
    hsm.module.pin_flags("prod", 0);
    broker.until_ready().await;
}

#[tokio::test]
async fn where_nothing_can_be_recorded_nothing_is_tried() {
    let Some(hsm) = Hsm::new(1).await else { return };
    hsm.stand.write_pin(PIN);
    fs::write(hsm.stand.path("state"), "a file in the way").unwrap();
    let broker = hsm.stand.start();
    broker.until_says("state-unwritable").await;
    let (_, page) = broker.page("/readyz?verbose").await;
    assert!(page.contains("state-unwritable"), "{page}");
    let (status, said) = hsm.key_test(&["--force"]);
    assert!(status == Some(1) && said.ends_with("code: state-unwritable\n"), "{said}");
    assert!(said.contains(&hsm.stand.text("state")) && said.contains("`state_dir`"), "{said}");
    assert_eq!(hsm.logins(), [""; 0]);
    fs::remove_file(hsm.stand.path("state")).unwrap();
    broker.until_ready().await;
}

#[tokio::test]
async fn a_token_is_known_again_through_any_module_and_any_uri_by_many_at_once() {
    let Some(hsm) = Hsm::new(1).await else { return };
    let (link, copy) = (hsm.stand.path("link"), Forwarding::over(&hsm.softhsm));
    symlink(hsm.module.path().parent().unwrap(), &link).unwrap();
    let pin = hsm.stand.path("pin");
    let serial = hsm.softhsm.serial("prod");
    let by_serial = key(&hsm.module.path(), "billing", &pin).replace("token=prod", &format!("serial={serial}"));
    let keys = [
        hsm.stand.keys[0].clone(),
        key(&link.join("forwarding.so"), "billing", &pin),
        key(&copy.path(), "billing", &pin),
        by_serial,
        key(&hsm.module.path(), "b%69lling", &pin),
    ];
    let variable = format!("{VARIABLE}={}", hsm.softhsm.config().display());
    let config = hsm.stand.text("config.toml");
    let test = |key: &String| -> Child {
        let args = ["key", "test", key, "--config", &config, "--module-environment", &variable];
        super::command(&args).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    for ending in ["", "\n", "\r\n"] {
        // The line end belongs to the file and not to the PIN.
        hsm.stand.write_pin(format!("{WRONG}{ending}"));
        let all: Vec<_> = keys.iter().map(test).collect();
        for child in all {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.ends_with("code: pin-refused\n"), "{said}");
        }
    }
    let logins: Vec<_> = hsm.module.calls("C_Login").into_iter().chain(copy.calls("C_Login")).collect();
    assert!(matches!(&logins[..], [only] if only.result == "CKR_PIN_INCORRECT"), "{logins:?}");
    hsm.stand.write_pin(PIN);
    assert_eq!(hsm.key_test(&[]).0, Some(0));
}
