//! A PIN is bytes, and may be absent.

use std::fs;

use super::{Hsm, PIN};

#[tokio::test]
async fn a_pin_is_whatever_bytes_the_token_has() {
    for pin in ["user:pass word", " Zürich\u{7f}\t€ "] {
        let Some(hsm) = Hsm::with_pin(1, pin).await else { return };
        hsm.stand.write_pin(format!("{pin}\n"));
        let (status, said) = hsm.key_test(&[]);
        assert_eq!(status, Some(0), "{pin:?}: {said}");
    }
    // Not text at all: it arrives, and is judged by the token.
    let Some(hsm) = Hsm::new(1).await else { return };
    hsm.stand.write_pin(b"\xff\0\x80:\n");
    assert!(hsm.key_test(&[]).1.ends_with("code: pin-refused\n"));
    assert_eq!(hsm.logins(), ["CKR_PIN_INCORRECT"]);
}

#[tokio::test]
async fn an_empty_pin_file_is_no_pin_and_is_not_tried() {
    let Some(hsm) = Hsm::new(1).await else { return };
    for content in ["", "\n"] {
        hsm.stand.write_pin(content);
        assert!(hsm.key_test(&["--force"]).1.ends_with("code: pin-unreadable\n"));
    }
    fs::remove_file(hsm.stand.path("pin")).unwrap();
    assert!(hsm.key_test(&[]).1.ends_with("code: pin-unreadable\n"));
    assert_eq!(hsm.logins(), [""; 0]);
    hsm.stand.write_pin(PIN);
    assert_eq!(hsm.key_test(&[]).0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_file_that_every_user_can_read_is_told_by_run_doctor_and_key_test() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(hsm) = Hsm::new(1).await else { return };
    hsm.stand.write_pin(PIN);
    fs::set_permissions(hsm.stand.path("pin"), fs::Permissions::from_mode(0o644)).unwrap();
    let told = format!("PIN file `{}` has mode 0644, not 0600", hsm.stand.text("pin"));
    let broker = hsm.stand.start();
    broker.until_says(&told).await;
    let doctor = super::Stand::ended(&["doctor", "--config", &hsm.stand.text("config.toml")]).1;
    for said in [hsm.key_test(&[]).1, doctor] {
        assert!(said.contains(&told), "{said}");
    }
}
