//! Certificate assertions from the file to Entra's journal: PKCS#12, RS256 on request, the newest certificate first.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use unsecret::clock::Clock as _;
use unsecret::emulator::JournalEntry;
use unsecret::local_ca::ClientCertificate;
use unsecret::problem::Problem as _;

use crate::support::world::{GRAPH, VAULT, World, client};

const LIFE: Duration = Duration::from_secs(30 * 86_400);

/// A world that signs with `certificates`, each the stem of its two files.
async fn signing(certificates: &[&str], algorithm: &str) -> World {
    let mut world = World::new().await;
    let newer = ClientCertificate::create("newer", world.clock.now(), LIFE).unwrap();
    std::fs::write(world.path("newer.pem"), &newer.certificate_pem).unwrap();
    std::fs::write(world.path("newer.key"), newer.key_pem.expose()).unwrap();
    sign_with(&mut world, certificates, algorithm);
    world.reload().await.unwrap();
    world
}

fn sign_with(world: &mut World, certificates: &[&str], algorithm: &str) {
    let pair =
        |name: &&str| format!(r#"{{ certificate = "{{folder}}/{name}.pem", key = "file:{{folder}}/{name}.key" }}"#);
    let pairs: Vec<_> = certificates.iter().map(pair).collect();
    world.plan.assertion = Some(format!("{{ certificates = [{}]{algorithm} }}", pairs.join(", ")));
}

fn der(path: &Path) -> Vec<u8> {
    let pem = std::fs::read_to_string(path).unwrap();
    STANDARD.decode(pem.lines().filter(|line| !line.starts_with("-----")).collect::<String>()).unwrap()
}

fn upload(world: &World, name: &str) {
    let pem = std::fs::read_to_string(world.path(name)).unwrap();
    world.emulator.add_certificate(&client(), &pem).unwrap();
}

#[tokio::test]
async fn a_pkcs12_file_whose_password_is_in_another_proves_the_identity() {
    let mut world = World::new().await;
    let certificate = Certificate::from_der(&der(&world.path("billing.pem"))).unwrap();
    let key = PrivateKey::from_der(&der(&world.path("billing.key"))).unwrap();
    let mut store = KeyStore::new();
    store.add_entry("billing", KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new("1", key, [certificate])));
    std::fs::write(world.path("billing.pfx"), store.writer("canary word").write().unwrap()).unwrap();
    std::fs::write(world.path("billing.password"), "canary word\n").unwrap();
    let key = "file:{folder}/billing.pfx?password-source=file:{folder}/billing.password";
    world.plan.assertion =
        Some(format!(r#"{{ certificates = [{{ certificate = "{{folder}}/billing.pfx", key = "{key}" }}] }}"#));
    world.reload().await.unwrap();
    assert_eq!(world.claims(&world.imds(GRAPH).send().await.token())["aud"], GRAPH);
    assert_eq!(world.emulator.journal()[0].assertion, Some("certificate"));

    std::fs::write(world.path("billing.password"), "another word\n").unwrap();
    let refused = world.reload().await.unwrap_err();
    assert_eq!(refused.code(), "key-pkcs12-not-opened");
    world.imds(GRAPH).send().await.token();
}

#[tokio::test]
async fn assertions_are_signed_with_ps256_and_on_request_with_rs256() {
    for (algorithm, expected) in [("", "PS256"), (", algorithm = \"RS256\"", "RS256")] {
        let world = signing(&["billing"], algorithm).await;
        assert_eq!(world.claims(&world.imds(GRAPH).send().await.token())["aud"], GRAPH);
        let journal = world.emulator.journal();
        assert_eq!((journal.len(), journal[0].algorithm.as_deref()), (1, Some(expected)));
    }
}

#[tokio::test]
async fn while_entra_knows_only_the_older_certificate_the_newer_one_costs_a_question_and_no_caller() {
    let world = signing(&["newer", "billing"], "").await;
    world.imds(GRAPH).send().await.token();
    let journal = world.emulator.journal();
    assert_eq!(journal.iter().map(JournalEntry::number).collect::<Vec<_>>(), [Some(700_027), None]);
    assert!(journal[1].is_token());
    upload(&world, "newer.pem");
    world.imds(VAULT).send().await.token();
    assert_eq!(world.exchanges(), 3, "the newest is tried first, and Entra now knows it");
}

/// The thumbprints that the metrics say are in use, with their number.
async fn in_use(world: &World) -> Vec<String> {
    let page = world.admin_page("/metrics").await;
    let lines = page.lines().filter_map(|line| line.strip_prefix("unsecret_certificate_info{"));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_metrics_name_the_certificates_in_use_and_not_those_of_a_reload_that_failed() {
    let mut world = signing(&["billing"], "").await;
    let old = in_use(&world).await;
    assert_eq!(old.len(), 1);

    // The first of the two is good, and the second has a key of another certificate.
    std::fs::copy(world.path("billing.pem"), world.path("crossed.pem")).unwrap();
    std::fs::copy(world.path("newer.key"), world.path("crossed.key")).unwrap();
    sign_with(&mut world, &["newer", "crossed"], "");
    assert_eq!(world.reload().await.unwrap_err().code(), "key-certificate-mismatch");
    assert_eq!(in_use(&world).await, old);

    sign_with(&mut world, &["newer"], "");
    world.reload().await.unwrap();
    let new = in_use(&world).await;
    assert_eq!(new.len(), 1, "the replaced one is gone");
    assert_ne!(new, old);

    world.plan.assertion = None;
    world.reload().await.unwrap();
    assert_eq!(in_use(&world).await, Vec::<String>::new(), "a token file has none");
}

#[tokio::test]
async fn a_replaced_certificate_is_used_without_a_restart_and_what_is_held_stays() {
    let world = signing(&["billing"], "").await;
    let held = world.imds(GRAPH).send().await.token();
    let old = in_use(&world).await;

    // The certificate alone is not taken: its key is another's.
    std::fs::copy(world.path("newer.pem"), world.path("billing.pem")).unwrap();
    world.pass(Duration::from_secs(10)).await;
    let kept = world
        .until("the new file is looked at", async |world| {
            let page = world.admin_page("/readyz?verbose").await;
            page.lines().find(|line| line.contains("new files not taken")).map(str::to_owned)
        })
        .await;
    assert!(kept.contains("[key-certificate-mismatch], remedy: name the key that was made with"), "{kept}");
    assert_eq!(in_use(&world).await, old);

    upload(&world, "newer.pem");
    std::fs::copy(world.path("newer.key"), world.path("billing.key")).unwrap();
    world.pass(Duration::from_secs(10)).await;
    let new = world
        .until("the new pair is in use", async |world| {
            let new = in_use(world).await;
            (new != old).then_some(new)
        })
        .await;
    assert_eq!(new.len(), 1);
    let exchanges = world.exchanges();
    assert_eq!(world.imds(GRAPH).send().await.token(), held);
    world.imds(VAULT).send().await.token();
    assert_eq!(world.exchanges(), exchanges + 1, "one question, by the new certificate");
    assert!(!world.admin_page("/readyz?verbose").await.contains("new files"));
}

#[tokio::test]
async fn test_signatures_are_made_as_often_as_configured() {
    let world = signing(&["billing"], ", test_every = \"60s\"").await;
    let signed = r#"unsecret_signer_operations_total{backend="file",identity="billing",outcome="ok"}"#;
    let before = world.metric(signed).await;
    for n in 1..=3 {
        world.pass(Duration::from_secs(60)).await;
        let tested = async |world: &World| (world.metric(signed).await >= before + f64::from(n)).then_some(());
        world.until("a test signature", tested).await;
    }
}
