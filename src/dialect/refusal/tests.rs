//! The table of contract B17 as a table, and the shapes of refusals.

use serde_json::Value;

use super::*;
use crate::dialect::{AppService, CloudShell, Dialect, Imds, Oauth, Plain};
use crate::ids::IdentityName;

const NOW: Now = Now { mono: Duration::ZERO, wall: Duration::from_secs(1_767_322_985) };

#[derive(Debug, thiserror::Error)]
#[error("read federated token file `/var/run/secrets/canary`")]
struct Scripted(Blame);

impl Problem for Scripted {
    fn code(&self) -> &'static str {
        "scripted"
    }
    fn blame(&self) -> Blame {
        self.0
    }
}

fn failed(class: Class, error: Option<&str>, numbers: &[u32]) -> MintError {
    MintError {
        problem: Arc::new(Scripted(Blame::Platform)),
        class,
        local: false,
        error: error.map(Into::into),
        numbers: numbers.into(),
        correlation_id: Some("0d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10".into()),
        trace_id: None,
        retry_after: None,
        retry_in: Some(Duration::from_millis(1_200)),
    }
}

fn object(dialect: &dyn Dialect, refusal: &Refusal) -> Value {
    serde_json::from_slice(&dialect.refuse(refusal, NOW)).unwrap()
}

#[test]
fn statuses_follow_the_table_of_b17() {
    use Class::{Client, Configuration, Fresh, Policy, Propagation, Transient};
    type Row = (Class, Option<&'static str>, &'static [u32], [u16; 3]);
    let rows: [Row; 11] = [
        // class, Entra's error, its numbers, statuses of OAuth, IMDS, App Service
        (Client, Some("invalid_scope"), &[70_011], [400, 400, 400]),
        (Client, Some("invalid_client"), &[7_000_215], [401, 400, 400]),
        (Configuration, Some("invalid_client"), &[7_002_138], [400, 403, 403]),
        (Configuration, Some("invalid_resource"), &[500_011], [400, 400, 400]),
        (Configuration, Some("unauthorized_client"), &[700_016], [400, 400, 400]),
        (Configuration, None, &[], [400, 403, 403]),
        (Policy, Some("access_denied"), &[53_003], [403, 403, 403]),
        (Policy, Some("invalid_grant"), &[53_003], [403, 403, 403]),
        (Propagation, Some("invalid_client"), &[70_021], [503, 503, 503]),
        (Fresh, Some("invalid_client"), &[700_024], [503, 503, 503]),
        (Transient, None, &[], [503, 503, 503]),
    ];
    for (class, error, numbers, statuses) in rows {
        let failed = failed(class, error, numbers);
        let [oauth, imds, app_service] = statuses;
        for (door, status) in [
            (Door::Oauth, oauth),
            (Door::Imds, imds),
            (Door::CloudShell, imds),
            (Door::Plain, imds),
            (Door::AppService, app_service),
            (Door::AppService2017, app_service),
        ] {
            let refusal = Refusal::of_mint(door, &failed);
            assert_eq!(refusal.status.as_u16(), status, "{class:?} {numbers:?} {door}");
            assert_eq!(refusal.retry_after.is_some(), status == 503, "{class:?} {door}");
        }
    }
}

#[test]
fn retry_after_stays_within_one_to_five_seconds() {
    for (retry_in, wanted) in [(0, 1), (1_200, 2), (4_001, 5), (3_600_000, 5)] {
        let failed = MintError {
            retry_in: Some(Duration::from_millis(retry_in)),
            retry_after: Some(Duration::from_secs(3_600)),
            ..failed(Class::Transient, None, &[])
        };
        assert_eq!(Refusal::of_mint(Door::Oauth, &failed).retry_after, Some(wanted));
    }
}

#[test]
fn entras_object_has_its_fields_and_types() {
    let refusal = Refusal::of_mint(Door::Oauth, &failed(Class::Client, Some("invalid_scope"), &[70_011]));
    let body = object(&Oauth::V2, &refusal);
    assert_eq!(body["error"], "invalid_scope");
    assert_eq!(body["error_codes"], serde_json::json!([70_011]));
    assert_eq!(body["timestamp"], "2026-01-02 03:03:05Z");
    assert_eq!(body["correlation_id"], "0d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10");
    assert!(Guid::parse(body["trace_id"].as_str().unwrap()).is_ok());
    assert_eq!(body.as_object().unwrap().len(), 6);
    let description = body["error_description"].as_str().unwrap();
    assert!(description.starts_with("AADSTS70011: "), "{description}");
    assert!(description.contains("0d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10"), "{description}");
}

#[test]
fn app_services_object_has_its_fields_and_types() {
    let body = object(&AppService, &Refusal::of_rejected(&Rejected::NoKeyHeader));
    assert_eq!(body["statusCode"], 401);
    assert!(body["message"].as_str().unwrap().contains("key-header-missing"));
    assert!(body["correlationId"].is_string());
    assert_eq!(body.as_object().unwrap().len(), 3);
}

#[test]
fn cloud_shells_object_is_nested_and_has_its_word_for_a_resource() {
    let refused = |refusal: &Refusal| object(&CloudShell::Bare, refusal);
    let body = refused(&Refusal::of_rejected(&Rejected::NoMetadataHeader { present: false }));
    assert_eq!(body["error"]["code"], "invalid_request");
    assert!(body["error"]["message"].as_str().unwrap().contains("metadata-header-missing"));
    assert_eq!((body.as_object().unwrap().len(), body["error"].as_object().unwrap().len()), (1, 2));
    let identity = IdentityName::parse("one").unwrap();
    let denied = Denied::Resource { asked: "`https://graph.microsoft.com`".to_owned(), identity };
    for refusal in [
        Refusal::of_denied(Door::CloudShell, &denied),
        Refusal::of_rejected(&Rejected::NoResource(crate::ids::NotA("a resource is a URI"))),
        Refusal::of_mint(Door::CloudShell, &failed(Class::Configuration, Some("invalid_resource"), &[500_011])),
    ] {
        assert_eq!(refused(&refusal)["error"]["code"], "AudienceNotSupported");
    }
}

#[test]
fn what_is_no_resource_has_the_word_that_goes_with_its_number() {
    let refusal = Refusal::of_rejected(&Rejected::NoResource(crate::ids::NotA("a resource is a URI")));
    let body = object(&Imds, &refusal);
    assert_eq!((refusal.status.as_u16(), &body["error"]), (400, &Value::from("invalid_resource")));
    assert_eq!(body["error_codes"], serde_json::json!([500_011]));
}

#[test]
fn a_probe_gets_the_words_of_real_imds() {
    let body = Imds.refuse(&Refusal::of_rejected(&Rejected::NoMetadataHeader { present: false }), NOW);
    let wanted = r#"{"error":"invalid_request","error_description":"Required metadata header not specified"}"#;
    assert_eq!(String::from_utf8(body).unwrap(), wanted);
}

#[test]
fn an_unknown_identity_is_entras_700016_and_imds_own_words() {
    let denied = Denied::UnknownIdentity { parameter: "client_id", value: "`x`".to_owned() };
    let oauth = Refusal::of_denied(Door::Oauth, &denied);
    assert_eq!((oauth.status.as_u16(), &*oauth.error, &*oauth.numbers), (400, "unauthorized_client", &[700_016][..]));
    let imds = Refusal::of_denied(Door::Imds, &denied);
    let body = object(&Imds, &imds);
    assert_eq!((imds.status.as_u16(), &body["error"]), (400, &Value::from("invalid_request")));
    assert!(body["error_description"].as_str().unwrap().starts_with("Identity not found"));
}

#[test]
fn wrong_keys_are_401_with_our_own_text() {
    for denied in [Denied::WrongKey, Denied::EntraSecret, Denied::KeyOfAnother] {
        let refusal = Refusal::of_denied(Door::Oauth, &denied);
        assert_eq!((refusal.status.as_u16(), &*refusal.error), (401, "invalid_client"));
        assert_eq!(&*refusal.numbers, &[7_000_215]);
    }
}

#[test]
fn a_403_never_holds_the_word_that_hides_imds() {
    let identity = IdentityName::parse("unreachable").unwrap();
    let denied = Denied::Resource { asked: "`https://UnReachable.example`".to_owned(), identity };
    for dialect in [&Imds as &dyn Dialect, &AppService, &CloudShell::Bare, &Plain::Token] {
        let refusal = Refusal::of_denied(dialect.door(), &denied);
        assert_eq!(refusal.status, StatusCode::FORBIDDEN);
        let body = String::from_utf8(dialect.refuse(&refusal, NOW)).unwrap();
        assert!(!body.to_ascii_lowercase().contains("unreachable"), "{body}");
    }
}

#[test]
fn texts_for_callers_name_no_paths() {
    for blame in [Blame::Platform, Blame::Network, Blame::Configuration, Blame::Ourselves] {
        let failed = MintError { problem: Arc::new(Scripted(blame)), ..failed(Class::Configuration, None, &[]) };
        for dialect in [&Oauth::V1 as &dyn Dialect, &Imds, &AppService, &CloudShell::Keyed, &Plain::Header] {
            let body = String::from_utf8(dialect.refuse(&Refusal::of_mint(dialect.door(), &failed), NOW)).unwrap();
            assert!(!body.contains("canary") && body.contains("scripted"), "{body}");
        }
    }
}
