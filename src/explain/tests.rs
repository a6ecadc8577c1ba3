use proptest::prelude::*;

use super::knowledge::Entry;
use super::*;

fn names(text: &str) -> Vec<String> {
    read(text).found.into_iter().map(|one| one.name).collect()
}

#[test]
fn every_number_of_the_table_has_one_entry_of_its_own() {
    let listed: Vec<u32> = knowledge::numbers().iter().flat_map(|entry| entry.numbers.iter().copied()).collect();
    for known in fault::table() {
        assert_eq!(listed.iter().filter(|number| **number == known.number).count(), 1, "AADSTS{}", known.number);
        assert!(number(known.number).known, "AADSTS{}", known.number);
    }
    assert_eq!(listed.len(), fault::table().len(), "an entry names a number that the table lacks");
}

#[test]
fn every_code_of_the_page_has_a_layer() {
    assert!(knowledge::rows().len() > 100, "the page is not read");
    let without: Vec<_> = knowledge::rows().iter().filter(|row| code(row.code).is_none()).map(|row| row.code).collect();
    assert!(without.is_empty(), "no entry in codes.toml: {without:?}");
}

#[test]
fn no_code_and_no_pattern_stands_in_two_entries() {
    let mut patterns: Vec<&str> =
        knowledge::codes().iter().flat_map(|entry| &entry.codes).map(String::as_str).collect();
    let all = patterns.len();
    patterns.sort_unstable();
    patterns.dedup();
    assert_eq!(patterns.len(), all);
}

#[test]
fn whatever_is_named_comes_with_causes_and_checks_in_clauses() {
    for one in all() {
        assert!(!one.causes.is_empty() && !one.checks.is_empty() && !one.meaning.is_empty(), "{}", one.name);
        let clauses = one.causes.iter().chain(one.checks).map(String::as_str).chain(one.remedy).chain([one.meaning]);
        for clause in clauses {
            assert!(!clause.ends_with('.') && clause.trim() == clause, "{}: {clause}", one.name);
        }
    }
}

#[test]
fn signs_have_names_of_their_own_and_words_of_some_length() {
    let signs = knowledge::signs();
    for (place, sign) in signs.iter().enumerate() {
        assert!(signs[..place].iter().all(|earlier| earlier.name != sign.name), "{}", sign.name);
        assert!(!sign.remedy.is_empty() && !sign.meaning.is_empty(), "{}", sign.name);
        let words: Vec<&String> = sign.any.iter().flatten().collect();
        assert!(words.iter().all(|words| words.len() >= 6) && !words.is_empty(), "{}", sign.name);
    }
}

#[test]
fn each_sign_is_recognised_by_its_own_words() {
    for sign in knowledge::signs() {
        for group in &sign.any {
            let found = names(&group.join(" … "));
            assert_eq!(found.first(), Some(&sign.name), "{group:?} gives {found:?}");
        }
    }
}

#[test]
fn an_unknown_number_says_so_and_walks_by_its_family() {
    let lone = number(123_456);
    assert!(!lone.known);
    assert_eq!(lone.walk()[3], (Layer::Request, Mark::Probably));
    assert!(lone.walk()[4..].iter().all(|(_, mark)| *mark == Mark::Untold));
    assert_eq!(number(700_299).layer, Layer::ClientAuthentication);
    let family = |text: &str| read(text).found.remove(0).layer;
    assert_eq!(family(r#"{"error":"invalid_resource","error_codes":[123456]}"#), Layer::Consent);
    assert_eq!(family(r#"{"error":"access_denied","error_codes":[123456]}"#), Layer::TenantPolicy);
    assert_eq!(family("HTTP/1.1 503 Service Unavailable\n\nAADSTS123456: later"), Layer::Throttling);
    assert_eq!(family("invalid_scope AADSTS123456"), Layer::Request);
}

#[test]
fn every_class_of_an_unknown_number_has_its_words() {
    for class in
        [Class::Configuration, Class::Propagation, Class::Fresh, Class::Transient, Class::Policy, Class::Client]
    {
        let entry: &Entry = knowledge::of_class(class, "");
        assert!(entry.meaning.starts_with("this version does not know the number"), "{class:?}");
    }
    assert!(knowledge::of_class(Class::Configuration, "invalid_client").meaning.contains("`invalid_client`"));
}

#[test]
fn one_failure_told_in_many_ways_is_one_finding() {
    let text = r#"ClientAuthenticationError: DefaultAzureCredential failed to retrieve a token from the included credentials.
ManagedIdentityCredential authentication unavailable. code=entra-assertion-refused aadsts=700213
{"error":"invalid_client","error_description":"AADSTS700213: No matching…","error_codes":[700213],
"error_uri":"https://login.microsoftonline.com/error?code=700213"}"#;
    assert_eq!(names(text), ["AADSTS700213"]);
}

/// Bodies that the doors really send: the number is one that clients know, the code says who refused.
#[test]
fn a_refusal_of_our_own_doors_is_no_word_of_entras() {
    let local = r#"{"error":"invalid_client","error_description":"AADSTS7000215: The local key presented is wrong. Copy it (all of it). (unsecret: wrong-local-key) Correlation ID: 1d8b4e0c-3f0a-4f0d-9c55-7a4f2c1b9e10","error_codes":[7000215]}"#;
    assert_eq!(names(local), ["wrong-local-key"]);
    assert!(!read(local).found[0].passed.contains(&Layer::Network), "nobody went out");
    let relayed = local.replace("wrong-local-key", "entra-assertion-refused").replace("7000215", "700213");
    assert_eq!(names(&relayed), ["AADSTS700213"], "this one Entra said");
    let both = format!("AADSTS700213: No matching record\n{local}");
    assert_eq!(names(&both), ["AADSTS700213", "wrong-local-key"]);
    let unnumbered =
        "AADSTS700213: No match. Trace ID: x; then 403 Identity `x` may not ask (unsecret: resource-not-allowed)";
    assert_eq!(names(unnumbered), ["AADSTS700213", "resource-not-allowed"]);
}

#[test]
fn numbers_are_found_however_they_are_written() {
    for text in [
        "aadsts700213",
        "\"error_codes\":[\"700213\"]",
        "{\\\"error_codes\\\":[700213]}",
        "xAADSTS700213: glued to a word",
        "https://login.microsoftonline.com/error?code=700213",
        r#"unsecret_token_requests_total{aadsts="700213",identity="billing"} 1"#,
        r#""status": {"errorCode": 700213, "failureReason": "…"}"#,
    ] {
        assert_eq!(names(text), ["AADSTS700213"], "{text}");
    }
    assert_eq!(names("\"error_codes\":[700213, 700024]"), ["AADSTS700213", "AADSTS700024"]);
    assert!(names("AADSTS12 AADSTS123456789012 errorCode: 0").is_empty());
}

#[test]
fn the_more_precise_of_a_family_stands_for_it() {
    let raop = r#"{"error":{"code":"ErrorAccessDenied","message":"Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings."}}"#;
    assert_eq!(names(raop), ["Exchange: [RAOP], application access policy"]);
    let vault = r#"HTTP/1.1 403 Forbidden

{"error":{"code":"Forbidden","message":"Caller is not authorized to perform action on resource.","innererror":{"code":"ForbiddenByRbac"}}}"#;
    assert_eq!(names(vault), ["Key Vault: ForbiddenByRbac"]);
    let graph = r#"{"error":{"code":"InvalidAuthenticationToken","message":"Access token validation failure. Invalid audience."}}"#;
    assert_eq!(names(graph), ["Microsoft Graph or ARM: token for another audience"]);
}

#[test]
fn a_lone_status_is_explained_and_beside_something_better_it_is_not() {
    assert_eq!(names("HTTP/1.1 429 Too Many Requests\nRetry-After: 17"), ["429: too many requests"]);
    assert_eq!(names("status=502"), ["5xx: a passing failure"]);
    assert_eq!(names("HTTP/1.1 403 Forbidden\n\nAuthorizationPermissionMismatch").len(), 1);
    assert!(names("HTTP/1.1 200 OK").is_empty());
}

#[test]
fn a_loop_is_to_be_asked_again_with_care() {
    assert_eq!(number(50_196).retry, Retry::WithCare);
    assert_eq!(number(700_024).retry, Retry::FreshAssertion);
    assert_eq!(number(50_033).remedy, None);
}

#[test]
fn things_are_looked_up_by_name() {
    for name in ["700213", "AADSTS700213", " aadsts700213 ", "assertion-expired", "403", "Key Vault: ForbiddenByRbac"] {
        assert!(look_up(name).is_some_and(|one| one.known), "{name}");
    }
    assert!(look_up("418").is_none() && look_up("no such thing").is_none() && look_up("").is_none());
}

/// Each name without a value: whoever looked for its end in all that follows would need hours.
#[test]
fn a_flood_of_names_is_read_in_time() {
    let names = "aadsts error_codes timestamp correlation id status retry-after current time ";
    assert!(read(&names.repeat(1024 * 1024 / names.len())).found.is_empty());
}

proptest! {
    #[test]
    fn nothing_of_the_text_comes_back(secret in "[A-Za-z0-9_-]{24,80}", place in 0..6_usize, noise in ".{0,40}") {
        let text = [
            format!("Authorization: Bearer {secret} {noise} AADSTS700213"),
            format!(r#"{{"error":"{secret}","correlation_id":"{secret}","error_codes":[{secret},700024]}}"#),
            format!("Retry-After: {secret}\nHTTP/1.1 {secret}\nclient-request-id: {secret}"),
            format!("Timestamp: {secret}Z Current time: {secret}Z AADSTS{secret}"),
            format!("client_assertion={secret}&client_secret={secret} {noise} AuthorizationFailed"),
            format!("{noise}{secret}{noise}"),
        ];
        let said = format!("{:?}", read(&text[place]));
        prop_assert!(!said.contains(&secret), "{said}");
    }

    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        prop_assert!(read(&text).found.len() <= 12);
    }
}

#[test]
fn a_file_that_could_not_be_written_says_nothing_against_the_way_to_entra() {
    for name in ["sink-forbidden", "sink-owner-unknown", "sink-reload-failed", "sink-stopped"] {
        let walk = code(name).unwrap().walk();
        assert_eq!(walk[0], (Layer::Local, Mark::Here), "{name}");
        assert_eq!(walk[1], (Layer::Platform, Mark::Passed), "{name}: what is written had been obtained");
        assert!(walk[2..].iter().all(|(_, mark)| *mark == Mark::Untold), "{name}");
    }
    let causes = |name| code(name).unwrap().causes;
    assert_ne!(causes("sink-owner-forbidden"), causes("sink-forbidden"), "a narrower pattern comes first");
}
