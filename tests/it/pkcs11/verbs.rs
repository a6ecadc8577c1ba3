//! What the key verbs ask of a token: the keys that are there, and a new one.

use unsecret::problem::Problem as _;
use unsecret::signer::PinSource;

use super::*;

#[tokio::test]
async fn a_key_that_is_made_here_cannot_leave_and_signs() {
    let Some(bench) = Bench::new() else { return };
    let uri = bench.uri("object=billing", bench.softhsm.module());
    let device = bench.signers.device(&uri).unwrap();
    assert_eq!(device.keys().await.unwrap(), []);
    let made = device.create(2048).await.unwrap();
    let signer = bench.open(&made, None);
    let public = signer.public_key().await.unwrap();
    proves(&*signer, Algorithm::Ps256, &public).await;

    let found = device.keys().await.unwrap();
    let [key] = &found[..] else { panic!("{found:?}") };
    assert_eq!((key.place.as_str(), key.label.as_deref()), ("prod", Some("billing")));
    assert_eq!((key.bits, key.extractable), (Some(2048), Some(false)));
    assert!(key.mechanisms.contains(&"RSA-PKCS-PSS".to_owned()), "{:?}", key.mechanisms);
    let id = key.id.as_ref().unwrap().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let attributes = bench.softhsm.attributes("prod", &id);
    for attribute in ["sensitive", "always sensitive", "never extractable", "local"] {
        assert!(attributes.contains(attribute), "{attribute}: {attributes:?}");
    }
    assert!(!attributes.contains("extractable"));
    let again = parse(&key.uri).with_pin(Some(PinSource::File(bench.pin_file("prod"))));
    proves(&*bench.open(&again, None), Algorithm::Rs256, &public).await;

    assert_eq!(device.create(2048).await.unwrap_err().code(), "key-exists");
}

#[tokio::test]
async fn what_is_there_is_not_made_again_under_another_label() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let module = bench.softhsm.module();
    let refused = |attributes: &str| {
        let device = bench.signers.device(&bench.uri(attributes, module)).unwrap();
        async move { device.create(2048).await.unwrap_err().code() }
    };
    assert_eq!(refused("object=payroll;id=%01").await, "key-exists");
    assert_eq!(refused("id=%02").await, "key-unnamed");
}

#[tokio::test]
async fn all_keys_of_all_tokens_are_listed_and_a_pin_is_tried_on_one_token_only() {
    let Some(bench) = Bench::new() else { return };
    let softhsm = &bench.softhsm;
    softhsm.token("lab", PIN);
    for (token, id) in [("prod", "01"), ("lab", "02")] {
        softhsm.key(token, "billing", id, 2048);
    }
    let module = softhsm.module().display();
    // SoftHSM hides private keys before the login.
    let all = bench.signers.device(&parse(&format!("pkcs11:?module-path={module}"))).unwrap();
    assert_eq!(all.keys().await.unwrap(), []);
    let pin = bench.pin_file("prod");
    let uri = format!("pkcs11:?module-path={module}&pin-source=file:{}", pin.display());
    let several = bench.signers.device(&parse(&uri)).unwrap();
    assert_eq!(several.keys().await.unwrap_err().code(), "token-ambiguous");
    let one = bench.signers.device(&bench.uri("type=private", softhsm.module())).unwrap();
    assert_eq!(one.keys().await.unwrap().len(), 1);
}
