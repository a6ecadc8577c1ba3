//! The certificate that the webhook makes for itself, and how the API server comes to trust it.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::api::request::Verb;
use super::api::store::Kind;
use super::client::Connection;
use super::process::{Injector, unpacked};
use super::stage::{Stage, secret};
use super::{CONFIGURATION, NAMESPACE, SECRET, SERVICE, WEBHOOK, bundle};

pub const DAY: i64 = 86_400;

/// One field of the Secret as it is now, unpacked.
pub fn field(stage: &Stage, name: &str) -> String {
    let secret = stage.api.store(|store| secret(store));
    unpacked(&secret["data"][name]).unwrap_or_else(|| panic!("no {name}: {:?}", secret["data"]))
}

/// The certificates of a PEM text.
pub fn certificates(pem: &str) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|one| one.unwrap().to_vec()).collect()
}

pub fn parsed(der: &[u8]) -> X509Certificate<'_> {
    X509Certificate::from_der(der).unwrap().1
}

/// The leaf that the Secret holds.
pub fn kept_leaf(stage: &Stage) -> Vec<u8> {
    certificates(&field(stage, "tls.crt")).remove(0)
}

/// Waits until the webhook shows this certificate to who trusts the configuration's `caBundle`.
pub async fn until_shown(stage: &Stage, injector: &Injector, leaf: &[u8]) {
    injector
        .until("the certificate is shown", async |it| {
            let roots = stage.api.store(|store| bundle(store, CONFIGURATION))?;
            (it.shown(&roots).await? == leaf).then_some(())
        })
        .await;
}

#[tokio::test]
async fn the_empty_secret_gets_a_ca_and_a_certificate_and_keeps_all_else() {
    let (stage, injector) = Stage::ready().await;
    assert!(!injector.said().contains("WARN"), "{}", injector.said());
    let secret = stage.api.store(|store| secret(store));
    let keys: Vec<_> = secret["data"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    assert_eq!(secret["type"], "Opaque");
    assert_eq!(secret["metadata"]["labels"], json!({"app.kubernetes.io/managed-by": "Helm"}));
    assert_eq!(secret["metadata"]["annotations"]["meta.helm.sh/release-name"], "unsecret");
    for key in ["ca.key", "tls.key"] {
        assert!(field(&stage, key).starts_with("-----BEGIN PRIVATE KEY-----"), "{key}");
    }
    assert_eq!(stage.api.calls(Verb::Update, Kind::Secrets).len(), 1);
    stage.api.assert_nothing_was_refused();
}

#[tokio::test]
async fn the_certificate_is_of_the_service_for_90_days_and_its_ca_for_five_years() {
    let (stage, injector) = Stage::ready().await;
    let (leaf, ca) = (kept_leaf(&stage), certificates(&field(&stage, "ca.crt")));
    assert_eq!(ca.len(), 1);
    let (leaf, ca) = (parsed(&leaf), parsed(&ca[0]));
    let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
    let service = ["svc", "svc.cluster.local"].map(|end| format!("{SERVICE}.{NAMESPACE}.{end}"));
    assert!(service.iter().all(|name| names.contains(&GeneralName::DNSName(name))), "{names:?}");
    assert_eq!(names.len(), 2, "{names:?}");
    let life = |of: &X509Certificate<'_>| {
        let validity = of.validity();
        (validity.not_after.timestamp() - validity.not_before.timestamp()) / DAY
    };
    assert_eq!((life(&leaf), life(&ca) / 365), (90, 5));
    assert!(ca.is_ca() && !leaf.is_ca());
    assert_eq!(leaf.issuer(), ca.subject());
    for one in [&leaf, &ca] {
        let key = one.public_key().parsed().unwrap();
        assert_eq!(key.key_size(), 256, "P-256");
    }
    let roots = field(&stage, "ca.crt");
    for name in service {
        let open = Connection::open(injector.webhook, &name, &roots, &[&rustls::version::TLS13]).await;
        assert!(open.is_ok(), "{name}");
    }
}

#[tokio::test]
async fn the_configuration_gets_the_ca_and_nothing_else() {
    let (stage, _injector) = Stage::ready().await;
    let patches = stage.api.calls(Verb::Patch, Kind::Configurations);
    assert_eq!(patches.len(), 1, "{patches:#?}");
    let operations = patches[0].body.as_array().unwrap();
    assert_eq!(operations.len(), 2, "{operations:?}");
    assert_eq!(operations[0], json!({"op": "test", "path": "/webhooks/1/name", "value": WEBHOOK}));
    assert!(["add", "replace"].iter().any(|op| operations[1]["op"] == *op), "{operations:?}");
    assert_eq!(operations[1]["path"], "/webhooks/1/clientConfig/caBundle");
    assert_eq!(stage.api.store(|store| bundle(store, CONFIGURATION)).unwrap(), field(&stage, "ca.crt"));
    let configuration = stage.api.store(|store| store.object(Kind::Configurations, "", CONFIGURATION).unwrap().clone());
    assert_eq!(configuration["webhooks"][0]["clientConfig"]["caBundle"], Value::Null);
}

#[tokio::test]
async fn secret_and_configuration_are_listed_and_watched_by_name() {
    let (stage, _injector) = Stage::ready().await;
    for (kind, name) in [(Kind::Secrets, SECRET), (Kind::Configurations, CONFIGURATION)] {
        let watches = stage.api.calls(Verb::Watch, kind);
        assert_eq!(watches[0].query["fieldSelector"], format!("metadata.name={name}"));
        let lists = stage.api.calls(Verb::List, kind);
        assert_eq!(lists[0].query["fieldSelector"], format!("metadata.name={name}"));
    }
    assert!(stage.api.calls(Verb::Get, Kind::Secrets).is_empty());
    assert!(stage.api.calls(Verb::Get, Kind::Configurations).is_empty());
}

#[tokio::test]
async fn after_a_restart_the_same_certificate_is_shown_and_nothing_written() {
    let (stage, injector) = Stage::ready().await;
    let (leaf, version) = (kept_leaf(&stage), stage.api.store(|store| store.version));
    drop(injector);
    let injector = stage.start().await;
    injector.until_ready().await;
    until_shown(&stage, &injector, &leaf).await;
    assert_eq!(stage.api.store(|store| store.version), version);
}
