//! Keys as officers left them: found, told apart, or refused by name.

use super::*;

fn algorithms(stage: &Stage) -> Vec<String> {
    stage.world.emulator.journal().into_iter().filter_map(|entry| entry.algorithm).collect()
}

#[tokio::test]
async fn a_key_that_wants_its_pin_for_each_signature_signs_again_after_a_crash() {
    let Some(parts) = Parts::new() else { return };
    let certificate = parts.careful_key("prod", "careful", "01");
    let stage = parts.stage(&[Member { key: ("prod", "object=careful"), module: 0, certificate }]).await;
    stage.signs(0).await;
    stage.signs(0).await;
    stage.module(0).crash("C_Initialize");
    kill(stage.module(0).calls("C_Login").last().unwrap().pid);
    stage.back_within_a_minute(0).await;
    let logins: Vec<_> = stage.module(0).calls("C_Login").into_iter().map(|call| call.result).collect();
    assert!(logins.len() >= 5 && logins.iter().all(|result| result == "CKR_OK"), "{logins:?}");
    assert!(algorithms(&stage).iter().all(|algorithm| algorithm == "PS256"));
}

#[tokio::test]
async fn a_module_without_pss_signs_the_other_way_by_itself() {
    let Some(parts) = Parts::new() else { return };
    parts.modules[0].no_pss();
    let member = parts.member("prod", 0, "object=billing", "01");
    let stage = parts.stage(&[member]).await;
    stage.signs(0).await;
    assert_eq!(algorithms(&stage), ["RS256"]);
    assert!(stage.line(0).await.ends_with(", signs with RS256"), "{}", stage.line(0).await);
    stage.module(0).fail("C_Sign", "CKR_DEVICE_ERROR", 1);
    stage.signs(0).await;
    assert_eq!(algorithms(&stage), ["RS256"; 2]);
}

#[tokio::test]
async fn twins_of_one_label_without_public_objects_are_told_apart_by_their_certificates() {
    let Some(parts) = Parts::new() else { return };
    let members = ["0a", "0b"].map(|id| parts.member("prod", 0, "object=billing", id));
    for id in ["0a", "0b"] {
        parts.stores[0].delete_public("prod", id);
    }
    let stage = parts.stage(&members).await;
    for _ in 0..2 {
        // Entra knows each by one certificate only.
        stage.signs(0).await;
        stage.signs(1).await;
        kill(stage.module(0).calls("C_Sign").last().unwrap().pid);
    }
    assert!(stage.world.emulator.journal().iter().all(unsecret::emulator::JournalEntry::is_token));
}

#[tokio::test]
async fn two_candidates_of_which_neither_is_the_certificates_are_refused_by_their_ids() {
    let Some(parts) = Parts::new() else { return };
    for id in ["0a", "0b"] {
        parts.key(0, "prod", "billing", id);
    }
    let (certificate, _) = parts.certificate();
    let stage = parts.stage(&[Member { key: ("prod", "object=billing"), module: 0, certificate }]).await;
    assert_eq!(stage.fails(0).await, "key-ambiguous");
    let line = stage.line(0).await;
    assert!(line.contains("id=%0A") && line.contains("id=%0B") && line.contains("[key-ambiguous]"), "{line}");
}

#[tokio::test]
async fn a_reload_keeps_the_login() {
    let Some((mut stage, held)) = Stage::three("").await else { return };
    stage.world.plan.listen.push_str("wait = \"9s\"\n");
    stage.world.reload().await.unwrap();
    for who in 0..3 {
        stage.signs(who).await;
    }
    stage.serves(&held).await;
    let count = |function| stage.module(0).calls(function).len();
    assert_eq!((count("C_Initialize"), count("C_Login"), count("C_OpenSession")), (1, 2, 2));
    stage.second_module_is_untouched().await;
}
