//! Keys that fail, hang, come back, or cannot do what Entra wants.

use super::scripted::{Mood, Scripted, Stage, over, pss};
use super::*;
use crate::clock::TokioClock;
use crate::fault::Class;

const PATIENCE: Duration = Duration::from_secs(3);

fn elapsed(clock: &TokioClock, started: Duration) -> Duration {
    clock.now().mono.saturating_sub(started)
}

/// For paused time.
fn stopwatch() -> (TokioClock, Duration) {
    let clock = TokioClock::starting_at(NOW);
    let started = clock.now().mono;
    (clock, started)
}

#[tokio::test]
async fn a_key_that_salts_with_222_bytes_signs_with_rs256_and_says_so_once() {
    let tpm = Scripted::new(0, Mood::LongSalt);
    let stage = Stage::new(vec![over(0, &tpm)]);
    stage.source.prove(PATIENCE).await.unwrap();
    for _ in 0..3 {
        assert_eq!(stage.signs(&[]).await.unwrap().1, "RS256");
    }
    let told = stage.heard.of("KeyProven");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains(r#"algorithm: "RS256", fell_back: true, recovered: false"#), "{}", told[0]);
    // The salt is all that was wrong with what the key signed.
    let leaf = credential(0, 0, (2020, 2090)).leaf;
    assert!(proof::is_good(Algorithm::Ps256, &leaf, "message", &pss(0, b"message", 32)));
    assert!(!proof::is_good(Algorithm::Ps256, &leaf, "message", &pss(0, b"message", 222)));
}

#[tokio::test]
async fn a_key_without_pss_signs_with_rs256_unless_ps256_is_demanded() {
    let old = Scripted::new(0, Mood::NoPss);
    let stage = Stage::new(vec![over(0, &old)]);
    assert_eq!(stage.signs(&[]).await.unwrap().1, "RS256");
    for (mood, code) in [(Mood::NoPss, "key-algorithm-unsupported"), (Mood::LongSalt, "key-signature-unusable")] {
        old.set(mood);
        let demanded = Stage::with(vec![over(0, &old)], Some(Algorithm::Ps256), None);
        let problem = demanded.source.prove(PATIENCE).await.unwrap_err();
        assert_eq!((problem.code(), problem.class()), (code, Class::Configuration));
    }
}

#[tokio::test]
async fn the_first_thing_that_a_key_signs_is_a_proof_that_is_no_jwt() {
    let token = Scripted::new(0, Mood::Well);
    let stage = Stage::new(vec![over(0, &token)]);
    let mark = stage.mark(&[]).await;
    let asked = token.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], format!("unsecret proof of possession v1 {}", mark.hex()));
    assert_eq!(asked[1].split('.').count(), 2, "the assertion without its signature");
    stage.mark(&[]).await;
    assert_eq!(token.times_asked(), 3, "one proof is enough");
    token.reopen(0);
    stage.mark(&[]).await;
    assert_eq!(token.asked.lock().unwrap()[3], asked[0], "until the key was opened anew");
}

#[tokio::test]
async fn an_absent_token_stops_no_start_is_told_once_and_comes_back_by_itself() {
    let token = Scripted::new(0, Mood::Absent);
    let stage = Stage::new(vec![over(0, &token)]);
    stage.source.prove(PATIENCE).await.unwrap();
    for _ in 0..3 {
        let problem = stage.signs(&[]).await.unwrap_err();
        assert_eq!((problem.code(), problem.class()), ("token-absent", Class::Transient));
    }
    let trouble = stage.source.status()[0].trouble.clone().unwrap();
    assert_eq!((trouble.code, trouble.consecutive), ("token-absent", 4));
    let counted = stage.heard.of("Signed");
    assert!(counted.len() == 4 && counted[0].contains(r#"outcome: "token_absent""#), "{counted:?}");
    token.set(Mood::Well);
    stage.mark(&[]).await;
    assert_eq!(stage.source.status()[0].trouble, None);
    assert_eq!(stage.heard.of("KeyFailed").len(), 1);
    let proven = stage.heard.of("KeyProven");
    assert!(proven.len() == 1 && proven[0].contains("recovered: true"), "{proven:?}");
}

#[tokio::test]
async fn another_key_under_the_same_name_is_found_out_before_it_signs_an_assertion() {
    let token = Scripted::new(0, Mood::Well);
    let stage = Stage::new(vec![over(0, &token)]);
    let mark = stage.mark(&[]).await;
    let before = token.times_asked();
    token.reopen(1);
    let problem = stage.signs(&[]).await.unwrap_err();
    assert_eq!(problem.code(), "key-certificate-mismatch");
    assert!(problem.to_string().contains(&mark.hex()), "{problem}");
    assert_eq!(token.times_asked(), before, "it was asked for its public half only");
    token.reopen(0);
    assert_eq!(stage.mark(&[]).await, mark);
    // And at a start it is a mistake of the configuration.
    let crossed = Stage::new(vec![over(0, &Scripted::new(1, Mood::Well))]);
    assert_eq!(crossed.source.prove(PATIENCE).await.unwrap_err().code(), "key-certificate-mismatch");
}

#[tokio::test]
async fn a_key_that_changes_without_a_word_is_found_out_by_what_it_signed() {
    let token = Scripted::new(0, Mood::Well);
    let stage = Stage::new(vec![over(0, &token)]);
    stage.mark(&[]).await;
    token.set(Mood::LongSalt);
    assert_eq!(stage.signs(&[]).await.unwrap_err().code(), "key-signature-unusable");
    assert_eq!(stage.signs(&[]).await.unwrap().1, "RS256", "proven anew, it does what it can");
}

#[tokio::test(start_paused = true)]
async fn a_hung_key_holds_the_doors_for_its_patience_and_no_longer() {
    let stage = Stage::new(vec![over(0, &Scripted::new(0, Mood::Hangs))]);
    let (clock, started) = stopwatch();
    stage.source.prove(PATIENCE).await.unwrap();
    assert_eq!(elapsed(&clock, started), PATIENCE);
    assert_eq!(stage.source.status()[0].trouble.as_ref().unwrap().code, "key-slow");
}

#[tokio::test(start_paused = true)]
async fn an_older_certificate_signs_for_a_hung_key_and_only_the_first_exchange_waits() {
    let token = Scripted::new(0, Mood::Hangs);
    let stage = Stage::new(vec![over(0, &token), credential(1, 1, (2020, 2090))]);
    let newest = stage.source.leaves()[0].thumbprint;
    let (clock, started) = stopwatch();
    assert_ne!(stage.mark(&[]).await, newest);
    assert_eq!(elapsed(&clock, started), super::PATIENCE);
    assert_ne!(stage.mark(&[]).await, newest);
    assert_eq!(elapsed(&clock, started), super::PATIENCE, "what hung a moment ago is passed over");
    let told = stage.heard.of("CertificatePassedOver");
    assert!(told.len() == 1 && told[0].contains(r#"reason: "key-slow""#), "{told:?}");

    token.set(Mood::Well);
    stage.clock.advance(FAILED_FOR);
    assert_eq!(stage.mark(&[]).await, newest);
    token.set(Mood::Absent);
    assert_ne!(stage.mark(&[]).await, newest);
    assert_eq!(stage.heard.of("CertificatePassedOver").len(), 2, "it was well in between");
}

#[tokio::test]
async fn where_no_key_signs_the_trouble_of_the_newest_is_told() {
    let keys = [Scripted::new(0, Mood::Absent), Scripted::new(1, Mood::NoPss)];
    keys[1].reopen(0);
    let stage = Stage::new(vec![over(0, &keys[0]), over(1, &keys[1])]);
    assert_eq!(stage.signs(&[]).await.unwrap_err().code(), "token-absent");
    // Passed over or not, there is nothing else to try.
    keys[0].set(Mood::Well);
    assert_eq!(stage.mark(&[]).await, stage.source.leaves()[0].thumbprint);
}

#[tokio::test]
async fn a_test_signature_notices_a_dead_key_before_anybody_needs_it() {
    let token = Scripted::new(0, Mood::Well);
    let stage = Stage::with(vec![over(0, &token)], None, Some(Duration::from_secs(300)));
    stage.source.prove(PATIENCE).await.unwrap();
    stage.source.tend().await;
    assert_eq!(token.times_asked(), 1, "nothing is due yet");
    token.set(Mood::Absent);
    stage.clock.advance(Duration::from_secs(300));
    assert!(stage.source.tend().await <= Duration::from_secs(10));
    assert_eq!(stage.source.status()[0].trouble.as_ref().unwrap().code, "token-absent");
    let signed = stage.heard.of("Signed");
    assert!(signed.last().unwrap().contains(r#"backend: "pkcs11", outcome: "token_absent""#), "{signed:?}");
    token.set(Mood::Well);
    stage.clock.advance(Duration::from_secs(300));
    stage.source.tend().await;
    assert_eq!(stage.source.status()[0].trouble, None);
    assert!(token.asked.lock().unwrap().iter().all(|message| message.starts_with("unsecret proof ")));
}

#[tokio::test]
async fn openings_are_counted_once_however_many_signatures_follow() {
    let token = Scripted::new(0, Mood::Well);
    let stage = Stage::new(vec![over(0, &token)]);
    stage.mark(&[]).await;
    token.reopen(0);
    token.reopen(0);
    stage.mark(&[]).await;
    stage.mark(&[]).await;
    let counted: Vec<_> =
        stage.heard.of("Signed").iter().filter(|event| !event.contains("resets: 0")).cloned().collect();
    assert!(counted.len() == 1 && counted[0].contains("resets: 2"), "{counted:?}");
}
