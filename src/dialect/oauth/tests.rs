//! What the OAuth readers take and refuse, by single differences from one good request.

use base64::engine::general_purpose;
use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const ID: &str = "33333333-dddd-4eee-8fff-444444444444";
const V2_BODY: &str = "grant_type=client_credentials&client_id=33333333-dddd-4eee-8fff-444444444444\
                       &client_secret=k1&scope=https%3A%2F%2Fvault.azure.net%2F.default";

/// What a reader made of a request, as plain texts: client id, tenant, resource, key, raw key.
type Seen = (String, String, String, Option<String>, Option<String>);

fn read_with(version: Oauth, body: &str, headers: &[(&'static str, &str)]) -> Result<Seen, Rejected> {
    let mut map = HeaderMap::new();
    map.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let path = "/Contoso.example/oauth2/v2.0/token";
    let request = Request { method: &Method::POST, path, query: "", headers: &map, body: body.as_bytes() };
    version.read(&request).map(|heard| {
        let ask = heard.ask().unwrap();
        let Selector::ClientId(id) = ask.selector else { panic!("an OAuth request names a client id") };
        let owned = |text: Cow<'_, str>| text.into_owned();
        (owned(id), ask.tenant.map(owned).unwrap(), owned(ask.resource), ask.key.map(owned), ask.raw_key.map(owned))
    })
}

fn v2(body: &str) -> Result<Seen, Rejected> {
    read_with(Oauth::V2, body, &[])
}

fn scoped(scope: &str) -> Result<String, Rejected> {
    v2(&format!("grant_type=client_credentials&client_id={ID}&client_secret=k&scope={scope}")).map(|seen| seen.2)
}

#[test]
fn a_client_credentials_request_is_read() {
    let (id, tenant, resource, key, raw) = v2(V2_BODY).unwrap();
    assert_eq!((id.as_str(), tenant.as_str(), resource.as_str()), (ID, "Contoso.example", "https://vault.azure.net"));
    assert_eq!((key.as_deref(), raw), (Some("k1"), None));
}

#[test]
fn v1_asks_by_resource() {
    let body =
        format!("grant_type=client_credentials&client_id={ID}&client_secret=k&resource=https://a.b/&scope=openid");
    assert_eq!(read_with(Oauth::V1, &body, &[]).unwrap().2, "https://a.b/");
    assert_eq!(v2(&body).unwrap_err(), Rejected::ResourceOnV2);
}

#[test]
fn a_scope_is_one_resource_beside_words_about_users() {
    assert_eq!(scoped("openid+https://a.b/.default+profile%20offline_access").unwrap(), "https://a.b");
    assert_eq!(scoped("https://a.b//.default").unwrap(), "https://a.b/");
    assert_eq!(scoped("https://a.b/.default+https://a.b/.default").unwrap(), "https://a.b");
    assert_eq!(scoped("https://a.b/.default+https://c.d/.default").unwrap_err(), Rejected::SeveralResources);
    for wrong in ["openid", "https://a.b/User.Read", "/.default", "https://a.b/.default+https://a.b/User.Read", "+"] {
        assert_eq!(scoped(wrong).unwrap_err(), Rejected::Scope, "{wrong}");
    }
    assert_eq!(scoped("").unwrap_err(), Rejected::Missing { parameter: "scope" });
}

#[test]
fn the_key_may_come_in_http_basic_encoded_or_not() {
    let body = "grant_type=client_credentials&scope=https://a.b/.default";
    for (key, decoded, raw) in [("plain", "plain", None), ("a%2Bb", "a+b", Some("a%2Bb")), ("a+b", "a b", Some("a+b"))]
    {
        let header = format!("Basic {}", general_purpose::STANDARD.encode(format!("{ID}:{key}")));
        let seen = read_with(Oauth::V2, body, &[("authorization", &header)]).unwrap();
        assert_eq!((seen.0.as_str(), seen.3.as_deref(), seen.4.as_deref()), (ID, Some(decoded), raw), "{key}");
        let same = format!("{body}&client_id={}", ID.to_uppercase());
        assert!(read_with(Oauth::V2, &same, &[("authorization", &header)]).is_ok());
        for twice in ["client_id=other", "client_secret=k"] {
            let refused = read_with(Oauth::V2, &format!("{body}&{twice}"), &[("authorization", &header)]);
            assert_eq!(refused.unwrap_err(), Rejected::TwoCredentials, "{twice}");
        }
    }
    for wrong in ["Basic %%%", "Basic bm9jb2xvbg=="] {
        assert_eq!(read_with(Oauth::V2, V2_BODY, &[("authorization", wrong)]).unwrap_err(), Rejected::Basic);
    }
    assert!(read_with(Oauth::V2, V2_BODY, &[("authorization", "Bearer x")]).is_ok());
}

#[test]
fn a_form_is_a_form_with_any_charset_and_nothing_else() {
    for good in ["application/x-www-form-urlencoded;charset=utf-8", "Application/X-WWW-Form-URLEncoded; Charset=UTF-8"]
    {
        assert!(read_with(Oauth::V2, V2_BODY, &[("content-type", good)]).is_ok(), "{good}");
    }
    for wrong in ["application/json", "", "multipart/form-data"] {
        assert_eq!(read_with(Oauth::V2, V2_BODY, &[("content-type", wrong)]).unwrap_err(), Rejected::ContentType);
    }
}

#[test]
fn bound_tokens_are_refused_and_never_downgraded() {
    for more in ["token_type=pop", "token_type=mtls_pop", "req_cnf=eyJ", "token_type=Bearer&req_cnf=x"] {
        assert!(matches!(v2(&format!("{V2_BODY}&{more}")).unwrap_err(), Rejected::Bound { .. }), "{more}");
    }
    assert!(v2(&format!("{V2_BODY}&token_type=Bearer")).is_ok());
}

/// Whether the client says that it can take a challenge, and whether it answers one.
fn asked(claims: &str) -> Result<(bool, bool), Rejected> {
    let claims: String = url::form_urlencoded::byte_serialize(claims.as_bytes()).collect();
    let body = format!("{V2_BODY}&claims={claims}");
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
    let path = "/Contoso.example/oauth2/v2.0/token";
    let request = Request { method: &Method::POST, path, query: "", headers: &headers, body: body.as_bytes() };
    let ask = Oauth::V2.read(&request)?.ask().unwrap();
    Ok((ask.capable, matches!(ask.renew, Some(Renew::Claims(_)))))
}

#[test]
fn claims_say_what_the_client_can_take_and_which_challenge_it_answers() {
    for (claims, capable, challenge) in [
        (r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#, true, false),
        (r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#, true, false),
        (r#"{"access_token":{}}"#, false, false),
        ("{}", false, false),
        ("", false, false),
        (r#"{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}"#, false, true),
        (r#"{"access_token":{"xms_cc":{"values":["cp1"]},"acrs":{"essential":true,"value":"c1"}}}"#, true, true),
        (r#"{"id_token":{"auth_time":null}}"#, false, true),
    ] {
        assert_eq!(asked(claims), Ok((capable, challenge)), "{claims}");
    }
    for wrong in ["cp1", "[]", r#"{"access_token":"#, r#"{"access_token":"nbf"}"#] {
        assert!(matches!(asked(wrong), Err(Rejected::Claims(_))), "{wrong}");
    }
}

#[test]
fn what_would_change_the_token_otherwise_is_refused_and_what_would_not_is_ignored() {
    assert_eq!(v2(&format!("{V2_BODY}&fmi_path=SomeFmiPath%2Fa")).unwrap_err(), Rejected::FmiPath);
    assert!(v2(&format!("{V2_BODY}&client_info=2&claims=&x-client-SKU=msal.js.node")).is_ok());
}

#[test]
fn other_grants_assertions_and_repeated_or_missing_fields_are_refused() {
    for grant in ["password", "device_code", "urn:ietf:params:oauth:grant-type:device_code", "on_behalf_of"] {
        let body = V2_BODY.replace("client_credentials", grant);
        assert_eq!(v2(&body).unwrap_err(), Rejected::GrantType, "{grant}");
    }
    assert_eq!(v2(&format!("{V2_BODY}&client_assertion=x")).unwrap_err(), Rejected::Assertion);
    assert_eq!(v2(&format!("{V2_BODY}&scope=x")).unwrap_err(), Rejected::Twice { parameter: "scope" });
    for field in ["grant_type", "client_id", "scope"] {
        let body = V2_BODY.replace(&format!("{field}="), &format!("no_{field}="));
        assert_eq!(v2(&body).unwrap_err(), Rejected::Missing { parameter: field });
    }
    assert_eq!(v2(&V2_BODY.replace("client_secret", "x")).unwrap().3, None);
}

#[test]
fn only_post_is_answered() {
    let headers = HeaderMap::new();
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT] {
        let request = Request { method: &method, path: "/t/oauth2/token", query: "", headers: &headers, body: b"" };
        assert_eq!(Oauth::V1.read(&request).unwrap_err(), Rejected::Method { allow: "POST" });
    }
}

proptest! {
    #[test]
    fn no_body_or_authorization_panics_the_reader(
        body in "\\PC{0,200}", noise in "[a-z_&=%+/. -]{0,80}", basic in "[ -~]{0,60}",
    ) {
        let header = format!("Basic {basic}");
        let encoded = format!("Basic {}", general_purpose::STANDARD.encode(&body));
        for text in [&body, &format!("{V2_BODY}&{noise}"), &format!("grant_type=client_credentials&scope={noise}")] {
            for version in [Oauth::V1, Oauth::V2] {
                let _ = read_with(version, text, &[]);
                let _ = read_with(version, text, &[("authorization", &header)]);
                let _ = read_with(version, text, &[("authorization", &encoded)]);
            }
        }
    }

    #[test]
    fn a_resource_read_from_a_scope_gives_that_scope_again(path in "[a-z./:]{1,40}", space in "[ ]{0,3}") {
        let scope = format!("{space}openid {path}/.default{space}");
        if let Ok(resource) = resource_of(Cow::Owned(scope.clone())) {
            prop_assert_eq!(Resource::parse(&resource).unwrap().scope(), format!("{path}/.default"));
            prop_assert_eq!(resource_of(Cow::Borrowed(&scope)).unwrap(), resource);
        }
    }
}
