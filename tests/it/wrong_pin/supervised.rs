//! Under a supervisor that starts the process again and again, with every verb beside it.

use std::process::{Child, Stdio};

use rustix::process::Signal;

use super::{Broker, Hsm, PIN, Stand};
use crate::support::world::{GRAPH, until};

/// One verb after the other, on the same state directory.
fn verb(stand: &Stand, round: usize) -> (&'static str, Child) {
    let (config, key) = (stand.text("config.toml"), &*stand.keys[round % stand.keys.len()]);
    let verbs: [(&str, &[&str]); 6] = [
        ("pin-refused", &["key", "test", key, "--config", &config]),
        ("pin-refused", &["doctor", "--config", &config]),
        ("pin-refused", &["key", "test", key, "--force", "--config", &config]),
        ("", &["check", "--config", &config]),
        ("pin-refused", &["token", "--identity", "billing", "--resource", GRAPH, "--config", &config]),
        // A TPM's keys are shown without their value.
        ("", &["key", "list", key, "--config", &config]),
    ];
    let (said, args) = verbs[round % verbs.len()];
    (said, super::command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

async fn reloaded(broker: &Broker) {
    broker.until_says("listening").await;
    broker.page("/healthz").await;
    broker.signal(Signal::HUP);
    broker.until_says("configuration reloaded").await;
}

/// So many starts: some end in peace, some after a reload, most by SIGKILL wherever they are.
pub(super) async fn supervised(stand: &Stand, restarts: usize) {
    let first = stand.start();
    first.until_says("pin-refused").await;
    first.end(Signal::KILL);
    for round in 0..restarts {
        let broker = stand.start();
        let (expected, child) = verb(stand, round);
        match round % 3 {
            0 => {
                reloaded(&broker).await;
                broker.end(Signal::TERM);
            }
            1 => {
                broker.until_says("pin-refused").await;
                broker.end(Signal::KILL);
            }
            // As far as it comes with so many words.
            _ => {
                let words = 40 * (round % 8);
                until("it starts", async || (broker.said().len() >= words).then_some(())).await;
                broker.end(Signal::KILL);
            }
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(said.contains(expected), "round {round}: {expected} is not in {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_restarts_for_ever_costs_one_failed_login_and_the_right_pin_is_taken_up() {
    let Some(hsm) = Hsm::new(3).await else { return };
    supervised(&hsm.stand, 30).await;
    assert_eq!(hsm.logins(), ["CKR_PIN_INCORRECT"]);

    let broker = hsm.stand.start();
    broker.until_says("pin-refused").await;
    let (status, page) = broker.page("/readyz?verbose").await;
    assert!(status == 503 && page.contains("pin-refused"), "{page}");
    hsm.stand.write_pin(PIN);
    broker.until_ready().await;
    assert_eq!(hsm.logins(), ["CKR_PIN_INCORRECT", "CKR_OK"], "one login serves all three");
    assert!(!hsm.softhsm.pin_count_low("prod"));
}

#[cfg(feature = "tpm")]
mod tpm {
    use super::*;
    use crate::support::swtpm::Swtpm;

    const HANDLE: u32 = 0x8101_0042;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_tpm_counts_one_failed_attempt_however_often_the_process_starts() {
        let Some(tpm) = Swtpm::start().await else { return };
        tpm.persistent_key(HANDLE, Some("geheim"), 2048).await;
        let mut stand = Stand::new().await;
        stand.write_pin("geheim");
        let key = format!("tpm:handle={HANDLE:#x}?auth-source=file:{}", stand.text("pin"));
        let tcti = tpm.tcti();
        for name in super::super::NAMES {
            stand.certify(name, &key, &["--tcti", &tcti]);
            stand.keys.push(key.clone());
        }
        stand.configure(&format!("[tpm]\ntcti = {tcti:?}"));
        stand.write_pin("geraten");
        assert_eq!(tpm.lockout().await.counter, 0);
        supervised(&stand, 12).await;
        assert_eq!(tpm.lockout().await.counter, 1);

        let broker = stand.start();
        broker.until_says("pin-refused").await;
        stand.write_pin("geheim");
        broker.until_ready().await;
        broker.end(Signal::TERM);
        assert_eq!(tpm.lockout().await.counter, 1);
    }
}
