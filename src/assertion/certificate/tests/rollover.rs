//! A new certificate that Entra does not know yet.

use super::scripted::Stage;
use super::*;

/// Newer and older.
fn pair() -> (Stage, Fingerprint, Fingerprint) {
    let stage = Stage::new(vec![credential(0, 0, (2020, 2090)), credential(1, 1, (2020, 2090))]);
    let marks: Vec<_> = stage.source.leaves().iter().map(|leaf| leaf.thumbprint).collect();
    (stage, marks[0], marks[1])
}

#[tokio::test]
async fn what_entra_refused_is_passed_over_by_the_next_exchanges_too() {
    let (stage, newer, older) = pair();
    assert_eq!(stage.mark(&[]).await, newer);
    assert_eq!(stage.mark(&[newer]).await, older);
    stage.source.accepted(older);
    for _ in 0..3 {
        assert_eq!(stage.mark(&[]).await, older);
    }
    assert!(stage.source.status()[0].refused_until.is_some());
    let told = stage.heard.of("CertificatePassedOver");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(&newer.hex()) && told[0].contains(&older.hex()), "{}", told[0]);
    assert!(told[0].contains(r#"reason: "refused-by-entra""#), "{}", told[0]);
}

#[tokio::test]
async fn after_five_minutes_one_exchange_tries_the_newer_one_and_the_others_follow_when_it_is_taken() {
    let (stage, newer, older) = pair();
    stage.mark(&[newer]).await;
    stage.clock.advance(REFUSED_FOR);
    assert_eq!(stage.mark(&[]).await, newer);
    assert_eq!(stage.mark(&[]).await, older, "another exchange meanwhile");
    assert_eq!(stage.mark(&[newer]).await, older, "the one that tried it, refused again");
    stage.clock.advance(REFUSED_FOR);
    assert_eq!(stage.mark(&[]).await, newer);
    stage.source.accepted(newer);
    for _ in 0..3 {
        assert_eq!(stage.mark(&[]).await, newer);
    }
    assert_eq!(stage.heard.of("CertificatePassedOver").len(), 1, "said once, however often it was tried");
    assert_eq!(stage.heard.of("CertificateAccepted").len(), 1);
    assert_eq!(stage.source.status()[0].refused_until, None);
}

#[tokio::test]
async fn where_the_older_one_is_refused_too_the_newer_is_tried_once_more_before_giving_up() {
    let (stage, newer, older) = pair();
    stage.mark(&[newer]).await;
    assert_eq!(stage.mark(&[]).await, older);
    assert_eq!(stage.mark(&[older]).await, newer, "Entra may have learnt it by now");
    let none = stage.signs(&[older, newer]).await;
    assert!(matches!(none, Err(AssertionError::Exhausted)));
}

#[tokio::test]
async fn the_only_certificate_is_offered_however_often_it_was_refused() {
    let stage = Stage::new(vec![credential(0, 0, (2020, 2090))]);
    let only = stage.mark(&[]).await;
    assert!(stage.signs(&[only]).await.is_err());
    assert_eq!(stage.mark(&[]).await, only);
    assert_eq!(stage.heard.of("CertificatePassedOver").len(), 0);
}
