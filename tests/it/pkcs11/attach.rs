//! Which key is taken: by label, by id, by the certificate's modulus, and never by chance.

use unsecret::problem::Problem as _;
use unsecret::signer::Algorithm;

use super::*;
use crate::support::forwarding::Forwarding;

#[tokio::test]
async fn a_key_found_by_label_or_id_signs_both_ways() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let public = bench.softhsm.public("prod", "01");
    for attributes in ["object=billing", "id=%01", "object=billing;id=%01;type=private"] {
        let signer = bench.open(&bench.uri(attributes, bench.softhsm.module()), None);
        assert_eq!(signer.public_key().await.unwrap(), public, "{attributes}");
        proves(&*signer, Algorithm::Ps256, &public).await;
        proves(&*signer, Algorithm::Rs256, &public).await;
        assert_eq!((signer.kind(), signer.reopened()), ("pkcs11", 0));
    }
}

#[tokio::test]
async fn a_key_whose_public_object_was_deleted_is_told_from_its_twin_by_the_certificate() {
    let Some(bench) = Bench::new() else { return };
    let softhsm = &bench.softhsm;
    softhsm.key("prod", "billing", "0a", 2048);
    softhsm.key("prod", "billing", "0b", 2048);
    let publics = [softhsm.public("prod", "0a"), softhsm.public("prod", "0b")];
    softhsm.delete_public("prod", "0a");
    softhsm.delete_public("prod", "0b");
    let uri = bench.uri("object=billing", softhsm.module());
    for public in &publics {
        let signer = bench.open(&uri, Some(&inner(public)));
        assert_eq!(signer.public_key().await.unwrap(), *public);
        proves(&*signer, Algorithm::Ps256, public).await;
    }
    let refused = failure(&*bench.open(&uri, None)).await;
    assert_eq!(refused.code(), "key-ambiguous");
    let text = refused.to_string();
    assert!(text.contains("id=%0A") && text.contains("id=%0B"), "{text}");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let Some(bench) = Bench::new() else { return };
    let module = bench.softhsm.module();
    assert_eq!(refusal(&*bench.open(&bench.uri("object=absent", module), None)).await, "key-absent");
    bench.write_pin("other", PIN);
    let other = bench.open(&bench.uri_in("other", "object=billing", module), None);
    let absent = failure(&*other).await;
    assert_eq!((absent.code(), absent.outcome()), ("token-absent", "token_absent"));
    let text = absent.to_string();
    assert_eq!(text, "find token `other`: it is not there");
    let unloadable = bench.open(&bench.uri("object=billing", Path::new("/nonexistent/module.so")), None);
    let error = failure(&*unloadable).await;
    assert_eq!(error.code(), "module-unloadable");
    assert!(error.to_string().contains("cannot open shared object file"), "{error}");
    let no_module = bench.open(&bench.uri("object=billing", Path::new("/proc/self/exe")), None);
    assert_eq!(refusal(&*no_module).await, "module-unloadable");
}

#[tokio::test]
async fn tokens_with_one_label_are_told_apart_by_their_serial() {
    let Some(bench) = Bench::new() else { return };
    let softhsm = &bench.softhsm;
    softhsm.key("prod", "billing", "01", 2048);
    let (serial, public) = (softhsm.serial("prod"), softhsm.public("prod", "01"));
    softhsm.token("prod", PIN);
    let module = softhsm.module();
    assert_eq!(refusal(&*bench.open(&bench.uri("object=billing", module), None)).await, "token-ambiguous");
    let named = bench.open(&bench.uri(&format!("serial={serial};object=billing"), module), None);
    proves(&*named, Algorithm::Ps256, &public).await;
}

#[tokio::test]
async fn keys_in_two_tokens_and_two_modules_sign_side_by_side() {
    let Some(bench) = Bench::new() else { return };
    let softhsm = &bench.softhsm;
    softhsm.token("lab", "lab-1357");
    bench.write_pin("lab", "lab-1357");
    let mut signers = Vec::new();
    let others = [Forwarding::over(softhsm), Forwarding::over(softhsm)];
    for (token, id) in [("prod", "01"), ("lab", "02")] {
        softhsm.key(token, "billing", id, 2048);
        let public = softhsm.public(token, id);
        for module in &others {
            let uri = bench.uri_in(token, "object=billing", &module.path());
            signers.push((bench.open(&uri, None), public.clone()));
        }
    }
    for _ in 0..3 {
        for (signer, public) in &signers {
            proves(&**signer, Algorithm::Ps256, public).await;
        }
    }
    for module in &others {
        assert_eq!(module.calls("C_Initialize").len(), 1);
        assert_eq!(module.calls("C_Login").len(), 2);
        assert_eq!(module.calls("C_OpenSession").len(), 2);
    }
}

#[tokio::test]
async fn two_identities_with_one_key_share_its_session() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let module = Forwarding::over(&bench.softhsm);
    let uri = bench.uri("object=billing", &module.path());
    let (one, other) = (bench.open(&uri, None), bench.open(&uri, None));
    assert!(Arc::ptr_eq(&one, &other));
    let public = one.public_key().await.unwrap();
    proves(&*one, Algorithm::Ps256, &public).await;
    // A reload that names the key again finds it open; one that does not lets it go, with its child.
    drop(one);
    proves(&*bench.open(&uri, None), Algorithm::Ps256, &public).await;
    assert_eq!(module.calls("C_Login").len(), 1);
    drop(other);
    proves(&*bench.open(&uri, None), Algorithm::Ps256, &public).await;
    assert_eq!(module.calls("C_Login").len(), 2);
}

#[tokio::test]
async fn a_key_that_wants_its_pin_for_each_signature_gets_it() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.always_authenticate_key("prod", "careful", "01", 2048);
    let public = bench.softhsm.public("prod", "01");
    let signer = bench.open(&bench.uri("object=careful", bench.softhsm.module()), None);
    for algorithm in [Algorithm::Ps256, Algorithm::Rs256, Algorithm::Ps256] {
        proves(&*signer, algorithm, &public).await;
    }
    assert_eq!(signer.reopened(), 0);
}

#[tokio::test]
async fn a_module_without_pss_says_so_and_signs_the_other_way() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let module = Forwarding::over(&bench.softhsm);
    module.no_pss();
    let signer = bench.open(&bench.uri("object=billing", &module.path()), None);
    assert_eq!(refusal(&*signer).await, "key-algorithm-unsupported");
    let public = bench.softhsm.public("prod", "01");
    proves(&*signer, Algorithm::Rs256, &public).await;
}

#[tokio::test]
async fn a_mechanism_that_is_listed_but_refused_is_passed_over() {
    let Some(bench) = Bench::new() else { return };
    bench.softhsm.key("prod", "billing", "01", 2048);
    let public = bench.softhsm.public("prod", "01");
    let module = Forwarding::over(&bench.softhsm);
    let signer = bench.open(&bench.uri("object=billing", &module.path()), None);
    module.fail("C_SignInit", "CKR_MECHANISM_PARAM_INVALID", 1);
    // With the digest made here.
    proves(&*signer, Algorithm::Ps256, &public).await;
    module.fail("C_SignInit", "CKR_MECHANISM_INVALID", 2);
    assert_eq!(refusal(&*signer).await, "key-algorithm-unsupported");
    proves(&*signer, Algorithm::Ps256, &public).await;
    assert_eq!(signer.reopened(), 0);
}
