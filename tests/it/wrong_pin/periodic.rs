//! Hours of periodic test signatures, prefetch and reloads, by a clock that the test moves.

use std::time::Duration;

use super::{Hsm, PIN};
use crate::support::softhsm::VARIABLE;
use crate::support::world::{GRAPH, Plan, World, client};

/// How often the token was asked for its flags, as before any login.
fn looks(hsm: &Hsm) -> usize {
    hsm.module.calls("C_GetTokenInfo").len()
}

#[tokio::test]
async fn hours_of_test_signatures_and_reloads_cost_one_failed_login_and_half_a_minute_ends_them() {
    let Some(hsm) = Hsm::new(1).await else { return };
    let (certificate, key) = (hsm.stand.text("billing.crt"), &hsm.stand.keys[0]);
    let pair = format!("{{ certificate = {certificate:?}, key = {key:?} }}");
    let world = World::of(Plan {
        assertion: Some(format!("{{ certificates = [{pair}], test_every = \"1m\" }}")),
        identity: format!("any_local_caller = true\nprefetch = [\"{GRAPH}/.default\"]\n"),
        environment: vec![("STATE_DIRECTORY", hsm.stand.text("state"))],
        more: format!("[pkcs11]\nenvironment = {{ {VARIABLE} = {:?} }}", hsm.softhsm.config()),
        standing: true,
        ..Plan::default()
    })
    .await;
    world.emulator.add_certificate(&client(), &std::fs::read_to_string(certificate).unwrap()).unwrap();
    for _ in 0..20 {
        let before = looks(&hsm);
        world.pass(Duration::from_secs(600)).await;
        world.reload().await.unwrap();
        world.until("the token is looked at", async |_| (looks(&hsm) > before).then_some(())).await;
        assert_eq!(world.imds(GRAPH).send().await.status, 503);
    }
    assert_eq!(hsm.logins(), ["CKR_PIN_INCORRECT"]);

    hsm.stand.write_pin(PIN);
    world.pass(Duration::from_secs(30)).await;
    world.until_ready().await;
    assert_eq!(hsm.logins(), ["CKR_PIN_INCORRECT", "CKR_OK"]);
}
