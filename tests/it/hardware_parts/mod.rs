//! The software key stores that the tests of hardware keys stand on behave as those tests believe.

mod client;
mod forwarding;
mod session;

use crate::support::softhsm::{Softhsm, finished};
use crate::support::swtpm::{Lockout, Swtpm};

const HANDLE: u32 = 0x8101_0042;

#[test]
fn a_key_made_in_softhsm_cannot_be_read_out() {
    let Some(hsm) = Softhsm::new() else { return };
    hsm.token("prod", "1234");
    hsm.key("prod", "billing", "01", 2048);
    let attributes = hsm.attributes("prod", "01");
    for wanted in ["sensitive", "always sensitive", "never extractable", "local"] {
        assert!(attributes.contains(wanted), "{wanted}: {attributes:?}");
    }
    assert!(!attributes.contains("extractable") && !attributes.contains("always authenticate"), "{attributes:?}");
}

#[test]
fn a_key_without_its_public_object_still_signs_and_has_a_twin() {
    let Some(hsm) = Softhsm::new() else { return };
    hsm.token("prod", "1234");
    hsm.key("prod", "billing", "01", 2048);
    hsm.key("prod", "billing", "02", 2048);
    assert_ne!(hsm.public("prod", "01"), hsm.public("prod", "02"));
    hsm.delete_public("prod", "01");
    let objects = hsm.objects("prod");
    assert_eq!(objects.matches("Private Key Object").count(), 2, "{objects}");
    assert_eq!(objects.matches("Public Key Object").count(), 1, "{objects}");
    assert_eq!(objects.matches("label:      billing").count(), 3, "{objects}");
}

#[test]
fn a_key_in_softhsm_may_want_the_pin_for_each_signature() {
    let Some(hsm) = Softhsm::new() else { return };
    hsm.token("prod", "1234");
    hsm.always_authenticate_key("prod", "billing", "01", 2048);
    assert!(hsm.attributes("prod", "01").contains("always authenticate"));
    hsm.delete_private("prod", "01");
    assert!(!hsm.objects("prod").contains("Private Key Object"));
}

#[test]
fn softhsm_remembers_a_wrong_pin_and_forgets_it_at_the_right_one() {
    let Some(hsm) = Softhsm::new() else { return };
    hsm.token("prod", "1234");
    hsm.token("other", "1234");
    assert_ne!(hsm.serial("prod"), hsm.serial("other"));
    let wrong = hsm.tool(hsm.module(), "prod").args(["--login", "--pin", "4321", "--list-objects"]).output().unwrap();
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("CKR_PIN_INCORRECT"), "{wrong:?}");
    assert!(hsm.pin_count_low("prod") && !hsm.pin_count_low("other"));
    hsm.objects("prod");
    assert!(!hsm.pin_count_low("prod"));
}

#[test]
fn softhsm_pins_are_changed_and_reset() {
    let Some(hsm) = Softhsm::new() else { return };
    hsm.token("prod", "1234");
    hsm.change_pin("prod", "5678");
    hsm.objects("prod");
    hsm.reset_pin("prod", "9012");
    hsm.objects("prod");
    assert_eq!(hsm.pin("prod"), "9012");
    let old = hsm.tool(hsm.module(), "prod").args(["--login", "--pin", "5678", "--list-objects"]).output().unwrap();
    assert!(!old.status.success());
}

#[test]
fn a_softhsm_token_that_was_taken_away_comes_back() {
    let Some(hsm) = Softhsm::new() else { return };
    hsm.token("prod", "1234");
    hsm.key("prod", "billing", "01", 2048);
    let serial = hsm.serial("prod");
    hsm.take_away("prod");
    let mut list = hsm.child("pkcs11-tool");
    list.arg("--module").arg(hsm.module()).arg("--list-token-slots");
    let slots = finished(list);
    assert!(!slots.contains("prod"), "{slots}");
    hsm.put_back("prod");
    assert_eq!(hsm.serial("prod"), serial);
    assert!(hsm.objects("prod").contains("billing"));
}

#[tokio::test]
async fn a_key_in_swtpm_signs_and_outlives_a_restart() {
    let Some(mut tpm) = Swtpm::start().await else { return };
    tpm.persistent_key(HANDLE, None, 2048).await;
    let public = tpm.public(HANDLE).await;
    assert!(public.starts_with("-----BEGIN PUBLIC KEY-----"), "{public}");
    let tcti = tpm.tcti();
    tpm.kill();
    assert!(!tpm.attempt("tpm2_getcap", &["properties-variable"]).await.status.success(), "it still answers");
    tpm.restart().await;
    assert_eq!(tpm.tcti(), tcti);
    assert_eq!(tpm.public(HANDLE).await, public);
    tpm.evict(HANDLE).await;
    assert!(!tpm.attempt("tpm2_readpublic", &["-c", "0x81010042"]).await.status.success(), "it is still there");
}

#[tokio::test]
async fn swtpm_counts_wrong_passwords_and_locks() {
    let Some(mut tpm) = Swtpm::start().await else { return };
    tpm.persistent_key(HANDLE, Some("1234"), 2048).await;
    tpm.set_lockout(2, 3_600).await;
    assert_eq!(tpm.lockout().await, Lockout { counter: 0, most: 2, interval: 3_600 });
    let message = tempfile::NamedTempFile::new().unwrap();
    let message = message.path().to_str().unwrap();
    let sign = async |tpm: &Swtpm, auth: &str| {
        let args = ["-c", "0x81010042", "-g", "sha256", "-s", "rsapss", "-p", auth, "-o", "/dev/null", message];
        let output = tpm.attempt("tpm2_sign", &args).await;
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(sign(&tpm, "1234").await.0);
    assert!(!sign(&tpm, "4321").await.0);
    assert_eq!(tpm.lockout().await.counter, 1);
    tpm.shut_down().await;
    tpm.restart().await;
    assert_eq!(tpm.lockout().await.counter, 1, "it forgot");
    assert!(!sign(&tpm, "4321").await.0);
    let (signed, said) = sign(&tpm, "1234").await;
    assert!(!signed && said.contains("lockout"), "{said}");
    tpm.clear_lockout().await;
    assert!(sign(&tpm, "1234").await.0);
}

#[tokio::test]
async fn a_key_in_a_file_signs_in_its_tpm_and_in_no_other() {
    let (Some(tpm), Some(other)) = (Swtpm::start().await, Swtpm::start().await) else { return };
    let folder = tempfile::tempdir().unwrap();
    for (name, parent) in [("primary.tss", None), ("persistent.tss", Some(0x8100_0001))] {
        let path = folder.path().join(name);
        tpm.key_file(&path, parent, Some("1234"), 2048).await;
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("-----BEGIN TSS2 PRIVATE KEY-----"), "{name}");
        let (path, context) = (path.to_str().unwrap(), folder.path().join("context"));
        let load = ["-Q", "-r", path, "-c", context.to_str().unwrap()];
        assert!(!other.attempt("tpm2_load", &load).await.status.success(), "{name}");
        tpm.tool("tpm2_load", &load).await;
        tpm.tool("tpm2_flushcontext", &["--transient-object"]).await;
        let sign = ["-c", load[4], "-g", "sha256", "-s", "rsassa", "-p", "1234", "-o", "/dev/null", path];
        tpm.tool("tpm2_sign", &sign).await;
        tpm.tool("tpm2_flushcontext", &["--transient-object"]).await;
    }
}

#[tokio::test]
async fn a_tpm_that_is_killed_after_a_password_was_used_counts_one_failed_attempt_more() {
    let Some(mut tpm) = Swtpm::start().await else { return };
    tpm.persistent_key(HANDLE, Some("1234"), 2048).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let sign = ["-c", "0x81010042", "-p", "1234", "-o", "/dev/null", file.path().to_str().unwrap()];
    tpm.tool("tpm2_sign", &sign).await;
    tpm.shut_down().await;
    tpm.restart().await;
    assert_eq!(tpm.lockout().await.counter, 0);
    tpm.tool("tpm2_sign", &sign).await;
    tpm.kill();
    tpm.restart().await;
    assert_eq!(tpm.lockout().await.counter, 1);
}
