use super::*;
use crate::fault::Class;
use crate::problem::Problem as _;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NOW: Now = Now { mono: Duration::ZERO, wall: Duration::from_secs(784_111_777) };

fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Result<Exchanged, EntraError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let sent = Guid::parse("11111111-aaaa-4bbb-8ccc-222222222222").unwrap();
    let presented = Facts {
        issuer: Some("https://issuer/".to_owned()),
        subject: Some("sub".to_owned()),
        audience: Some("api://AzureADTokenExchange".to_owned()),
        ..Facts::default()
    };
    let answer = Answer { status, headers: map, body: Zeroizing::new(body.to_vec()) };
    read(&answer, &sent, NOW, &presented)
}

const MARKED: (&str, &str) = ("x-ms-request-id", "trace");

#[test]
fn numbers_arrive_as_numbers_or_as_text() {
    let body =
        br#"{"token_type":"bearer","expires_in":"3599","ext_expires_in":3599,"refresh_in":1800.5,"access_token":"t"}"#;
    let granted = answer(200, &[], body).unwrap().granted;
    assert_eq!(granted.expires_in, Duration::from_secs(3_599));
    assert_eq!(granted.ext_expires_in, Some(Duration::from_secs(3_599)));
    assert_eq!(granted.refresh_in, Some(Duration::from_secs(1_800)));
    assert_eq!(granted.access_token.expose(), "t");
}

#[test]
fn half_a_success_is_none() {
    for body in [
        &br#"{"token_type":"pop","expires_in":1,"access_token":"t"}"#[..],
        br#"{"expires_in":1,"access_token":"t"}"#,
        br#"{"token_type":"Bearer","access_token":"t"}"#,
        br#"{"token_type":"Bearer","expires_in":0,"access_token":"t"}"#,
        br#"{"token_type":"Bearer","expires_in":-5,"access_token":"t"}"#,
        br#"{"token_type":"Bearer","expires_in":1,"access_token":"a\nb"}"#,
        br#"{"token_type":"Bearer","expires_in":1}"#,
        b"[]",
    ] {
        let problem = answer(200, &[MARKED], body).unwrap_err();
        assert_eq!((problem.code(), problem.class()), ("entra-answer-unreadable", Class::Transient));
    }
}

#[test]
fn a_fault_keeps_what_entra_said_about_itself() {
    let body = br#"{"error":"invalid_client","error_description":"AADSTS700024: \u2026","error_codes":[700024],
        "suberror":"s","trace_id":"t-1","correlation_id":"c-1","timestamp":"2026-01-02 03:04:05Z"}"#;
    let headers = [MARKED, ("date", "Sun, 06 Nov 1994 08:44:37 GMT"), ("retry-after", "9999")];
    let problem = answer(401, &headers, body).unwrap_err();
    let fault = problem.fault().unwrap();
    assert_eq!((fault.error.as_str(), &fault.numbers[..]), ("invalid_client", &[700_024][..]));
    assert_eq!(fault.suberror.as_deref(), Some("s"));
    assert_eq!(fault.marks.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(fault.marks.trace_id.as_deref(), Some("t-1"));
    assert_eq!(fault.marks.skew, Some(300.0));
    assert_eq!(fault.marks.retry_after, Some(LONGEST_WAIT));
    assert_eq!(problem.class(), Class::Fresh);
    assert!(problem.remedy().unwrap().ends_with("; this clock minus Entra's is +300 s"));
}

#[test]
fn a_mismatch_shows_the_three_presented_values() {
    let body = br#"{"error":"invalid_client","error_codes":[700213]}"#;
    let problem = answer(401, &[], body).unwrap_err();
    assert!(problem.to_string().contains("AADSTS700213: no federated credential has the assertion's subject"));
    let remedy = problem.remedy().unwrap().into_owned();
    let presented = "issuer `https://issuer/`, subject `sub`, audience `api://AzureADTokenExchange`";
    assert!(remedy.ends_with(presented), "{remedy}");
}

#[test]
fn an_odd_error_object_is_still_a_fault() {
    for body in [
        &br#"{"error":"invalid_client","error_codes":["700016"]}"#[..],
        br#"{"error":"unauthorized_client","error_codes":{},"error_description":"AADSTS700016: x"}"#,
        br#"{"error":"x","error_codes":[-1,"y",null,700016],"suberror":7,"trace_id":[]}"#,
    ] {
        assert_eq!(answer(400, &[], body).unwrap_err().fault().unwrap().numbers, [700_016]);
    }
    assert!(answer(400, &[MARKED], br#"{"error":"x"}"#).unwrap_err().fault().unwrap().numbers.is_empty());
}

#[test]
fn a_page_that_is_not_entras_is_never_held_against_the_configuration() {
    let html = ("content-type", "text/html");
    for (status, body) in
        [(200, "<html>log in"), (200, r#"{"ok":true}"#), (503, "blocked"), (403, r#"{"error":"blocked"}"#)]
    {
        let problem = answer(status, &[html], body.as_bytes()).unwrap_err();
        assert_eq!((problem.code(), problem.class()), ("not-from-entra", Class::Transient), "{body}");
        assert!(problem.to_string().contains("`text/html`"), "{problem}");
    }
}

#[test]
fn entras_own_outage_is_told_from_a_strangers() {
    let problem = answer(503, &[MARKED, ("retry-after", "Sun, 06 Nov 1994 08:49:44 GMT")], b"<html>").unwrap_err();
    assert_eq!(problem.code(), "entra-unavailable");
    assert_eq!(problem.marks().unwrap().retry_after, Some(Duration::from_secs(7)));
    let echoed = ("client-request-id", "11111111-AAAA-4bbb-8ccc-222222222222");
    assert_eq!(answer(502, &[echoed], b"").unwrap_err().code(), "entra-unavailable");
    assert_eq!(answer(400, &[echoed], b"").unwrap_err().code(), "entra-answer-unreadable");
    for mark in ["x-ms-ests-server", "x-ms-gateway", "x-azure-ref"] {
        let page = [("content-type", "text/html"), (mark, "x")];
        assert_eq!(answer(503, &page, b"<html>").unwrap_err().code(), "entra-unavailable", "{mark}");
    }
}

#[test]
fn a_strangers_page_may_not_ask_for_an_hour_and_entra_may() {
    let wait = ("retry-after", "3600");
    let waits = |headers: &[_]| answer(503, headers, b"<html>").unwrap_err().marks().unwrap().retry_after.unwrap();
    assert_eq!(waits(&[wait]), STRANGERS_WAIT);
    assert_eq!(waits(&[wait, MARKED]), Duration::from_secs(3_600));
}

#[test]
fn a_5xx_is_worth_a_second_question_unless_entra_wants_none() {
    let again = |headers: &[_], body: &[u8]| answer(500, headers, body).unwrap_err().is_worth_an_immediate_retry();
    assert!(again(&[MARKED], b""));
    assert!(again(&[MARKED], br#"{"error":"server_error","error_codes":[90033]}"#));
    assert!(!again(&[MARKED, ("retry-after", "1")], b""));
    assert!(!again(&[MARKED], br#"{"error":"invalid_request","error_codes":[50196]}"#));
    assert!(!again(&[MARKED], br#"{"error":"server_error","error_codes":[90092]}"#));
}

proptest! {
    #[test]
    fn no_answer_panics(status in 100_u16..600, wait in "[ -~]*", body in any::<Vec<u8>>(), json in "\\{\"error\":\"[a-z]*\",\"error_codes\":\\[[-0-9.e]*\\]\\}") {
        let headers = [("retry-after", wait.as_str()), ("date", wait.as_str()), MARKED];
        let _ = answer(status, &headers, &body);
        let _ = answer(status, &headers, json.as_bytes());
    }

    #[test]
    fn a_form_reads_back(name in "[a-z_]{1,8}", value in any::<String>()) {
        let body = encoded(&[(&name, &value), ("last", "&=+% ")]);
        prop_assert!(body.len() <= body.capacity());
        let read: BTreeMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
        prop_assert_eq!(&read[&name], &value);
        prop_assert_eq!(&read["last"], "&=+% ");
    }
}

#[test]
fn claims_stand_in_the_form_only_where_something_is_asked_of_the_token() {
    let authority = crate::authority::Authority::of_cloud(
        crate::authority::Cloud::Public,
        crate::ids::Tenant::parse("contoso.example").unwrap(),
    );
    let client_id = Guid::parse("33333333-dddd-4eee-8fff-444444444444").unwrap();
    let resource = crate::ids::Resource::parse("https://graph.microsoft.com").unwrap();
    let (assertion, presented) = (Secret::new("a.b.c"), Facts::default());
    let sent = |text: &str| {
        let claims = &crate::claims::Claims::read(text).unwrap();
        let (authority, client_id, resource) = (&authority, &client_id, &resource);
        let body =
            form(TokenRequest { authority, client_id, resource, claims, assertion: &assertion, presented: &presented });
        let fields: BTreeMap<_, _> = url::form_urlencoded::parse(&body).into_owned().collect();
        fields.get("claims").cloned()
    };
    assert_eq!(sent("{}"), None);
    let merged = r#"{"access_token":{"nbf":{"essential":true,"value":"1"},"xms_cc":{"values":["cp1"]}}}"#;
    for text in [r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#, merged] {
        assert_eq!(sent(text).as_deref(), Some(text));
    }
}
