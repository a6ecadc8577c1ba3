//! A certificate that somebody else makes (`--tls-dir`): cert-manager, or an administrator.

use http::Method;
use unsecret::local_ca::{Leaf, LocalCa};

use super::api::store::Kind;
use super::client::Connection;
use super::process::{Injector, ended, unsecret};
use super::renewal::{ca_of, leaf_of};
use super::stage::Stage;
use super::verdicts::pod;
use super::{HOST, PATH, certificate, reviewed};

fn put(stage: &Stage, leaf: &Leaf) {
    stage.write("tls.crt", leaf.chain_pem());
    stage.write("tls.key", leaf.key_pem().expose());
}

fn args(stage: &Stage) -> Vec<String> {
    let folder = stage.path("tls.crt").parent().unwrap().display().to_string();
    [stage.common(), vec!["--tls-dir".to_owned(), folder]].concat()
}

async fn started(stage: &Stage, leaf: &Leaf) -> Injector {
    put(stage, leaf);
    let injector = Injector::start(&args(stage), &stage.api).await;
    injector.until_ready().await;
    injector
}

async fn reviews(injector: &Injector, ca: &LocalCa) {
    let open = Connection::open(injector.webhook, HOST, ca.certificate_pem(), &[&rustls::version::TLS13]).await;
    open.unwrap().ask(Method::POST, PATH, reviewed(&pod()).to_string()).await.unwrap().patch();
}

#[tokio::test]
async fn the_folders_certificate_is_shown_and_neither_secret_nor_configuration_touched() {
    let (stage, ca) = (Stage::new().await, ca_of(1));
    let injector = started(&stage, &leaf_of(&ca, 1)).await;
    reviews(&injector, &ca).await;
    let journal = stage.api.journal();
    assert!(journal.iter().all(|call| matches!(call.kind, Some(Kind::Accounts | Kind::Namespaces))), "{journal:#?}");
    stage.api.assert_nothing_was_refused();
}

#[tokio::test]
async fn a_certificate_replaced_in_the_folder_is_shown_without_a_restart() {
    let (stage, ca) = (Stage::new().await, ca_of(1));
    let injector = started(&stage, &leaf_of(&ca, 80)).await;
    let next = leaf_of(&ca, 1);
    put(&stage, &next);
    let wanted = certificate::certificates(next.chain_pem()).remove(0);
    injector
        .until("the new certificate is shown", async |it| {
            (it.shown(ca.certificate_pem()).await? == wanted).then_some(())
        })
        .await;
    reviews(&injector, &ca).await;
}

#[tokio::test]
async fn a_folder_without_a_certificate_ends_it_with_2_and_words() {
    let stage = Stage::new().await;
    stage.write("tls.crt", "canary, no PEM");
    stage.write("tls.key", "canary, no PEM");
    let ended = ended(unsecret(&args(&stage))).await;
    assert_eq!(ended.status, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("tls.crt") && !ended.stderr.contains("canary"), "{}", ended.stderr);
}
