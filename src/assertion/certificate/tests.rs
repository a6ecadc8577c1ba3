//! Assertions to the letter, and which certificate signs them.

mod files;
mod hardware;
mod rollover;
mod scripted;

use std::fs;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::clock::ManualClock;
use crate::problem::{Problem as _, chain};

const NOW: u64 = 1_800_000_000;
const TOKEN_URL: &str = "https://login.microsoftonline.com/t/oauth2/v2.0/token";
const WANTED: Wanted<'_> = Wanted { token_url: TOKEN_URL, refused: &[] };

/// Made once: an RSA key costs a good part of a second.
static KEYS: LazyLock<[rcgen::KeyPair; 2]> = LazyLock::new(|| {
    [0, 1].map(|_| rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap())
});

fn client_id() -> Guid {
    Guid::parse("33333333-dddd-4eee-8fff-444444444444").unwrap()
}

/// A certificate over key `owner`, with the file of key `key`, valid for these years.
fn credential(owner: usize, key: usize, years: (i32, i32)) -> Credential {
    let dir = tempfile::tempdir().unwrap();
    let (certificate_file, key_file) = (dir.path().join("app.pem"), dir.path().join("app.key"));
    let mut params = rcgen::CertificateParams::new(vec!["app".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    fs::write(&certificate_file, params.self_signed(&KEYS[owner]).unwrap().pem()).unwrap();
    fs::write(&key_file, KEYS[key].serialize_pem()).unwrap();
    Credential::from_files(&certificate_file, &key_file, None).unwrap()
}

async fn source(algorithm: Algorithm, credentials: Vec<Credential>) -> Result<CertificateSource, AssertionError> {
    CertificateSource::open(client_id(), algorithm, credentials, Arc::new(ManualClock::standing(NOW))).await
}

fn decoded(jwt: &str) -> Vec<Value> {
    jwt.split('.').take(2).map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn an_assertion_is_as_the_contract_says_to_the_letter() {
    let credential = credential(0, 0, (2020, 2090));
    let leaf = credential.leaf.clone();
    let source = source(Algorithm::Ps256, vec![credential]).await.unwrap();
    let assertion = source.assertion(WANTED).await.unwrap();
    let jwt = assertion.jwt.expose();
    let parts = decoded(jwt);
    assert_eq!(parts[0], json!({"typ": "JWT", "alg": "PS256", "x5t#S256": leaf.thumbprint.base64url()}));
    let (id, jti) = (client_id().to_string(), parts[1]["jti"].clone());
    let (nbf, exp) = (NOW - 60, NOW + 540);
    assert_eq!(
        parts[1],
        json!({"aud": TOKEN_URL, "iss": id, "sub": id, "jti": jti, "nbf": nbf, "iat": NOW, "exp": exp})
    );
    let (message, signature) = jwt.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(proof::is_good(Algorithm::Ps256, &leaf, message, &signature));
    let again = decoded(source.assertion(WANTED).await.unwrap().jwt.expose());
    assert_ne!(again[1]["jti"], parts[1]["jti"]);
}

#[tokio::test]
async fn rs256_goes_with_the_old_thumbprint() {
    let credential = credential(0, 0, (2020, 2090));
    let sha1 = credential.leaf.sha1.clone();
    let source = source(Algorithm::Rs256, vec![credential]).await.unwrap();
    let header = decoded(source.assertion(WANTED).await.unwrap().jwt.expose()).remove(0);
    assert_eq!(header, json!({"typ": "JWT", "alg": "RS256", "x5t": sha1}));
    assert_eq!(URL_SAFE_NO_PAD.decode(sha1).unwrap().len(), 20);
}

#[tokio::test]
async fn a_key_of_another_certificate_is_named_with_both_hashes() {
    let mixed = credential(0, 1, (2020, 2090));
    let (thumbprint, wanted) = (mixed.leaf.thumbprint.hex(), Fingerprint::of(&mixed.leaf.public_key).hex());
    let problem = source(Algorithm::Ps256, vec![mixed]).await.unwrap_err();
    assert_eq!(problem.code(), "key-certificate-mismatch");
    let line = chain(&problem);
    assert!(line.contains(&thumbprint) && line.contains(&wanted) && line.contains("app.pem"), "{line}");
}

#[tokio::test]
async fn a_refused_certificate_gives_way_to_the_next() {
    let credentials = vec![credential(0, 0, (2020, 2090)), credential(1, 1, (2020, 2090))];
    let source = source(Algorithm::Ps256, credentials).await.unwrap();
    let newest = source.assertion(WANTED).await.unwrap().mark;
    let older = source.assertion(Wanted { refused: &[newest], ..WANTED }).await.unwrap().mark;
    assert_ne!(newest, older);
    let none = source.assertion(Wanted { refused: &[newest, older], ..WANTED }).await;
    assert!(matches!(none, Err(AssertionError::Exhausted)));
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_passed_over_and_named_when_none_is_left() {
    let (future, past) = ((2080, 2090), (2000, 2010));
    let credentials = vec![credential(0, 0, future), credential(1, 1, (2020, 2090))];
    let second = credentials[1].leaf.thumbprint;
    let one_good = source(Algorithm::Ps256, credentials).await.unwrap();
    assert_eq!(one_good.assertion(WANTED).await.unwrap().mark, second);
    let none_good = source(Algorithm::Ps256, vec![credential(0, 0, past)]).await.unwrap();
    let problem = none_good.assertion(WANTED).await.unwrap_err();
    assert_eq!(problem.code(), "certificate-not-valid");
    assert!(problem.to_string().ends_with("now is 1800000000"), "{problem}");
}
