//! A TPM (swtpm): a key at a persistent handle, and one in a file that only this TPM can read.

use super::*;
use crate::support::swtpm::Swtpm;

fn site(tpm: &Swtpm) -> Site {
    Site::new(vec!["--tcti".to_owned(), tpm.tcti()], format!("[tpm]\ntcti = {:?}\n", tpm.tcti()))
}

/// What the TPM itself says of a key: it was made there, and can be moved nowhere.
async fn assert_cannot_leave(tpm: &Swtpm, object: &str) {
    let said = tpm.tool("tpm2_readpublic", &["-c", object]).await;
    let line = said.split("attributes:").nth(1).and_then(|rest| rest.lines().nth(1)).unwrap_or_default();
    for attribute in ["fixedtpm", "fixedparent", "sensitivedataorigin"] {
        assert!(line.split(['|', ' ']).any(|one| one == attribute), "{attribute}: {said}");
    }
}

#[tokio::test]
async fn a_key_at_a_handle_gives_tokens_through_every_door_and_cannot_leave() {
    let Some(tpm) = Swtpm::start().await else { return };
    let site = site(&tpm);
    let made = site.key(&["create", "tpm:handle=0x81010042"]);
    assert_cannot_leave(&tpm, "0x81010042").await;
    site.certify(made.trim(), "billing.pem");
    assert_every_door_gives_a_token(&site.known_world(made.trim(), "billing.pem").await).await;
}

#[tokio::test]
async fn a_key_in_a_file_gives_tokens_through_every_door_and_cannot_leave() {
    let Some(tpm) = Swtpm::start().await else { return };
    let site = site(&tpm);
    let made = site.key(&["create", &format!("tpm:file={}", site.text("billing.tss"))]);
    let (file, context) = (site.text("billing.tss"), site.text("context"));
    tpm.tool("tpm2_load", &["-Q", "-r", &file, "-c", &context]).await;
    tpm.tool("tpm2_flushcontext", &["--transient-object"]).await;
    assert_cannot_leave(&tpm, &context).await;
    tpm.tool("tpm2_flushcontext", &["--transient-object"]).await;
    site.certify(made.trim(), "billing.pem");
    assert_every_door_gives_a_token(&site.known_world(made.trim(), "billing.pem").await).await;
}
