//! From one certificate to the next, with callers asking all the while.

use std::time::Duration;

use unsecret::clock::Clock as _;
use unsecret::emulator::JournalEntry;
use unsecret::local_ca::ClientCertificate;

use crate::support::http::Call;
use crate::support::world::{Plan, Source, World, client};

const EXCHANGES: usize = 100;
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// The newest first; the broker reads them at its start.
const BOTH: &str = r#"{ certificates = [
    { certificate = "{folder}/newer.pem", key = "file:{folder}/newer.key" },
    { certificate = "{folder}/billing.pem", key = "file:{folder}/billing.key" },
] }"#;

fn resource(n: usize) -> String {
    format!("https://r{n}.example")
}

/// A world whose broker has a new certificate that Entra does not know, and so many resources that each ask is an exchange.
async fn world() -> (World, String) {
    let clock = unsecret::clock::SystemClock::new();
    let newer = ClientCertificate::create("newer", clock.now(), LIFE).unwrap();
    let resources = (0..EXCHANGES).map(|n| format!("[[resource]]\nids = [\"{0}\", \"{0}/\"]\n", resource(n)));
    let plan = Plan {
        source: Source::Certificate,
        assertion: Some(BOTH.replace('\n', " ").replace(", ] }", "] }")),
        identity: "any_local_caller = true\n".to_owned(),
        emulator: resources.collect(),
        files: vec![("newer.pem", newer.certificate_pem.clone()), ("newer.key", newer.key_pem.expose().to_owned())],
        // Leaked: a plan holds them for ever.
        scopes: (0..EXCHANGES).map(|n| &*resource(n).leak()).collect(),
        ..Plan::default()
    };
    (World::of(plan).await, newer.certificate_pem)
}

fn refusals(journal: &[JournalEntry]) -> usize {
    journal.iter().filter(|entry| entry.number() == Some(700_027)).count()
}

#[tokio::test]
async fn a_hundred_exchanges_across_a_roll_fail_for_no_caller() {
    let (world, newer) = world().await;
    let mut asked_twice = 0;
    for n in 0..EXCHANGES {
        if n == EXCHANGES / 2 {
            asked_twice = refusals(&world.emulator.journal());
            world.emulator.add_certificate(&client(), &newer).unwrap();
        }
        let answer = world.imds(&resource(n)).send().await;
        assert_eq!(answer.status, 200, "exchange {n}: {}", answer.body);
        world.pass(Duration::from_secs(20)).await;
    }
    // Seventeen minutes: the first exchange, and one each five minutes.
    assert_eq!(asked_twice, 4, "the newer one is not tried by every exchange");
    let journal = world.emulator.journal();
    assert_eq!(refusals(&journal), asked_twice, "Entra has learnt it, and is not asked twice any more");
    let last = journal.last().unwrap();
    assert!(last.is_token());
    let verbose = world.admin_page("/readyz?verbose").await;
    assert!(!verbose.contains("refused by Entra"), "{verbose}");
}

#[tokio::test]
async fn while_the_newer_one_is_passed_over_the_page_says_so_with_the_days_that_are_left() {
    let (world, _) = world().await;
    world.imds(&resource(0)).send().await.token();
    let page = Call::get(world.admin(), "/readyz?verbose").send().await;
    assert_eq!(page.status, 200);
    let line = |name: &str| page.body.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line("newer.pem").contains(", refused by Entra, tried again in "), "{}", page.body);
    assert!(line("newer.pem").contains(" days left (until "), "{}", page.body);
    assert!(line("billing.pem").ends_with(", signs with PS256"), "{}", page.body);
    let signed = r#"unsecret_signer_operations_total{backend="file",identity="billing",outcome="ok"}"#;
    assert!(world.metric(signed).await >= 4.0, "two proofs and two assertions");
    assert!(
        world.metric(r#"unsecret_token_requests_total{aadsts="700027",identity="billing",outcome="rejected"}"#).await
            >= 1.0
    );
}
