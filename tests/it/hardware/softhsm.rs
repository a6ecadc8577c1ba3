//! SoftHSM2: a key that `unsecret` makes, and one that officers made with other tools.

use super::*;

/// What the module itself says of a private key.
fn assert_cannot_leave(softhsm: &Softhsm, id: &str) {
    let attributes = softhsm.attributes("prod", id);
    for attribute in ["sensitive", "always sensitive", "never extractable", "local"] {
        assert!(attributes.contains(attribute), "{attribute}: {attributes:?}");
    }
    assert!(!attributes.contains("extractable"), "{attributes:?}");
}

#[tokio::test]
async fn a_key_made_in_the_token_gives_tokens_through_every_door_and_cannot_leave() {
    let Some(softhsm) = Softhsm::new() else { return };
    let site = Site::softhsm(&softhsm);
    let made = site.key(&["create", &site.in_token(&softhsm, "object=billing;id=%0A")]);
    let key = made.trim();
    assert_cannot_leave(&softhsm, "0a");
    site.certify(key, "billing.pem");
    let world = site.known_world(key, "billing.pem").await;
    assert_every_door_gives_a_token(&world).await;
}

#[tokio::test]
async fn a_key_of_officers_without_public_object_and_with_a_twin_gives_tokens_through_every_door() {
    let Some(softhsm) = Softhsm::new() else { return };
    let site = Site::softhsm(&softhsm);
    for id in ["0a", "0b"] {
        softhsm.key("prod", "billing", id, 2048);
        softhsm.delete_public("prod", id);
        assert_cannot_leave(&softhsm, id);
        site.certify(&site.in_token(&softhsm, &format!("id=%{id}")), &format!("{id}.pem"));
    }
    assert!(!softhsm.objects("prod").contains("Public Key"));
    // The label fits both: each certificate finds the key that it is of, and Entra knows no other certificate.
    for certificate in ["0a.pem", "0b.pem"] {
        let world = site.known_world(&site.in_token(&softhsm, "object=billing"), certificate).await;
        assert_every_door_gives_a_token(&world).await;
    }
}

#[tokio::test]
async fn entra_refuses_the_twin_whose_certificate_it_does_not_know() {
    let Some(softhsm) = Softhsm::new() else { return };
    let site = Site::softhsm(&softhsm);
    for id in ["0a", "0b"] {
        softhsm.key("prod", "billing", id, 2048);
        site.certify(&site.in_token(&softhsm, &format!("id=%{id}")), &format!("{id}.pem"));
    }
    let world = site.world(&site.in_token(&softhsm, "object=billing"), "0b.pem").await;
    let other = fs::read_to_string(site.path("0a.pem")).unwrap();
    world.emulator.add_certificate(&client(), &other).unwrap();
    let answer = imds(world.http(), GRAPH).send().await;
    assert!(answer.body.contains("700027"), "{}: {}", answer.status, answer.body);
}
