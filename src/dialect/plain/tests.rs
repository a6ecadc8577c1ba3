//! What the two GETs take and refuse, by single differences from the good request.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const ASKED: &str = "scope=https://vault.azure.net/.default";
const METADATA: (&str, &str) = ("metadata", "true");
const LOCAL: &str = "uns_abc";

/// Resource, selector and key.
fn read(query: &str, headers: &[(&'static str, &str)]) -> Result<(String, String, Option<String>), Rejected> {
    read_as(&Method::GET, query, headers)
}

fn read_as(
    method: &Method,
    query: &str,
    headers: &[(&'static str, &str)],
) -> Result<(String, String, Option<String>), Rejected> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let request = Request { method, path: "/token", query, headers: &map, body: b"" };
    let ask = Plain::Token.read(&request)?.ask().unwrap();
    let key = ask.key.map(Cow::into_owned);
    Ok((ask.resource.into_owned(), format!("{:?}", ask.selector), key))
}

#[test]
fn a_scope_or_a_resource_is_asked_for_and_not_both() {
    for (query, resource) in [
        (ASKED, "https://vault.azure.net"),
        ("scope=https%3A%2F%2Fdatabase.windows.net%2F%2F.default", "https://database.windows.net/"),
        ("resource=https://database.windows.net/", "https://database.windows.net/"),
    ] {
        assert_eq!(read(query, &[METADATA]).unwrap(), (resource.into(), "None".into(), None), "{query}");
    }
    for (query, wrong) in [
        ("", Rejected::Missing { parameter: "scope" }),
        ("scope=&resource=", Rejected::Missing { parameter: "scope" }),
        ("scope=https://a.b/.default&resource=https://a.b", Rejected::ScopeAndResource),
        ("scope=https://a.b", Rejected::Scope),
        ("scope=https://a.b/.default+https://c.d/.default", Rejected::SeveralResources),
    ] {
        assert_eq!(read(query, &[METADATA]).unwrap_err(), wrong, "{query}");
    }
    assert!(matches!(read("resource=a%20b", &[METADATA]).unwrap_err(), Rejected::NoResource(_)));
}

#[test]
fn metadata_or_a_local_key_is_demanded_before_anything_else() {
    let bearer = format!("Bearer {LOCAL}");
    for headers in [&[METADATA][..], &[("x-identity-header", "k")], &[("authorization", &bearer)]] {
        assert!(read(ASKED, headers).is_ok(), "{headers:?}");
    }
    for headers in [
        &[][..],
        &[("metadata", "false")],
        &[("x-identity-header", "")],
        &[("authorization", "Bearer eyJhbGciOi")],
        &[("authorization", "Basic dW5zXw==")],
        &[("authorization", LOCAL)],
        &[("authorization", "Bearer ")],
    ] {
        for method in [Method::GET, Method::POST] {
            assert_eq!(read_as(&method, "", headers).unwrap_err(), Rejected::NoBarrier, "{headers:?}");
        }
    }
    assert_eq!(read_as(&Method::POST, ASKED, &[METADATA]).unwrap_err(), Rejected::Method { allow: "GET" });
}

#[test]
fn a_key_is_taken_from_either_header_and_its_own_first() {
    let bearer = format!("bearer  {LOCAL}");
    let key = |headers: &[(&'static str, &str)]| read(ASKED, headers).unwrap().2;
    assert_eq!(key(&[("authorization", &bearer)]).as_deref(), Some(LOCAL));
    assert_eq!(key(&[("x-identity-header", "k"), ("authorization", &bearer)]).as_deref(), Some("k"));
    // Policy says what it thinks of it.
    assert_eq!(key(&[METADATA, ("authorization", "Bearer other")]).as_deref(), Some("other"));
    let twice = [("x-identity-header", "k"), ("x-identity-header", "k")];
    assert_eq!(read(ASKED, &twice).unwrap_err(), Rejected::Header { name: "x-identity-header" });
}

#[test]
fn an_identity_may_be_named_once() {
    for (name, kind) in [("client_id", "ClientId"), ("object_id", "ObjectId"), ("mi_res_id", "ResourceId")] {
        assert!(read(&format!("{ASKED}&{name}=x"), &[METADATA]).unwrap().1.starts_with(kind), "{name}");
    }
    let two = format!("{ASKED}&client_id=a&object_id=b");
    assert_eq!(read(&two, &[METADATA]).unwrap_err(), Rejected::SeveralSelectors);
}

proptest! {
    #[test]
    fn no_query_and_no_authorization_panics_the_reader(query in "\\PC{0,200}", shown in "[ -~]{0,60}") {
        let _ = read(&query, &[("authorization", &shown)]);
        let _ = read(&query, &[METADATA]);
    }
}
