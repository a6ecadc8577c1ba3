//! What the reader takes and refuses, by single differences from what clients send.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::policy::Selector;

const FORM: &str = "application/x-www-form-urlencoded";
const BODY: &str = "resource=https%3A%2F%2Fvault.azure.net%2F";

/// Method, path, query, body and headers of a request that is taken.
struct Sent<'a> {
    method: Method,
    path: &'a str,
    query: &'a str,
    body: &'a str,
    headers: Vec<(&'static str, &'a str)>,
}

fn posted(body: &str) -> Sent<'_> {
    let headers = vec![("metadata", "true"), ("content-type", FORM)];
    Sent { method: Method::POST, path: "/oauth2/token", query: "", body, headers }
}

/// Resource, selector and key.
fn read(sent: &Sent<'_>) -> Result<(String, String, Option<String>), Rejected> {
    let mut headers = HeaderMap::new();
    for (name, value) in &sent.headers {
        headers.insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let Sent { method, path, query, body, .. } = sent;
    let request = Request { method, path, query, headers: &headers, body: body.as_bytes() };
    let dialect = if path.to_ascii_lowercase().contains("cloud-shell") { CloudShell::Keyed } else { CloudShell::Bare };
    let ask = dialect.ask(&request)?;
    let key = ask.key.map(Cow::into_owned);
    Ok((ask.resource.into_owned(), format!("{:?}", ask.selector), key))
}

#[test]
fn the_form_and_javas_query_are_read_alike() {
    let java = Sent { method: Method::GET, query: BODY, headers: vec![("metadata", "true")], ..posted("") };
    for sent in [posted(BODY), java] {
        assert_eq!(read(&sent).unwrap(), ("https://vault.azure.net/".into(), "None".into(), None));
    }
}

#[test]
fn a_form_is_read_whatever_stands_in_the_query_and_a_query_whatever_stands_in_the_body() {
    let post = Sent { query: "resource=other&api-version=2018-02-01", ..posted(BODY) };
    assert_eq!(read(&post).unwrap().0, "https://vault.azure.net/");
    let get = Sent { method: Method::GET, ..posted(BODY) };
    assert_eq!(read(&get).unwrap_err(), Rejected::Missing { parameter: "resource" });
}

#[test]
fn the_kind_of_the_body_may_be_missing_but_not_another() {
    for kind in [None, Some(FORM), Some("Application/X-WWW-Form-Urlencoded; charset=utf-8")] {
        let kind = kind.map(|kind| ("content-type", kind));
        let headers = [("metadata", "True"), ("contenttype", FORM)].into_iter().chain(kind).collect();
        assert!(read(&Sent { headers, ..posted(BODY) }).is_ok(), "{kind:?}");
    }
    let headers = vec![("metadata", "true"), ("content-type", "application/json")];
    assert_eq!(read(&Sent { headers, ..posted(BODY) }).unwrap_err(), Rejected::ContentType);
}

#[test]
fn every_selector_is_known_and_only_one_is_taken() {
    for (name, kind) in [
        ("client_id", "ClientId"),
        ("object_id", "ObjectId"),
        ("principal_id", "ObjectId"),
        ("msi_res_id", "ResourceId"),
        ("mi_res_id", "ResourceId"),
    ] {
        let body = format!("{BODY}&{name}=x");
        assert!(read(&posted(&body)).unwrap().1.starts_with(kind), "{name}");
    }
    let two = format!("{BODY}&client_id=a&msi_res_id=b");
    assert_eq!(read(&posted(&two)).unwrap_err(), Rejected::SeveralSelectors);
    let none = format!("{BODY}&client_id=");
    assert_eq!(read(&posted(&none)).unwrap().1, format!("{:?}", Selector::None));
}

#[test]
fn the_key_stands_in_the_path_and_a_plus_in_it_is_a_plus() {
    for (path, key) in [
        ("/cloud-shell/uns_a-b_c/oauth2/token", "uns_a-b_c"),
        ("//Cloud-Shell//uns%5Fa%2Bb+c/oauth2/token/", "uns_a+b+c"),
        ("/cloud-shell/%/oauth2/token", "%"),
    ] {
        assert_eq!(read(&Sent { path, ..posted(BODY) }).unwrap().2.as_deref(), Some(key), "{path}");
    }
}

#[test]
fn without_the_header_nothing_else_is_looked_at() {
    for method in [Method::GET, Method::POST, Method::PUT] {
        let sent = Sent { method, headers: vec![("content-type", "text/plain")], ..posted("") };
        assert_eq!(read(&sent).unwrap_err(), Rejected::NoMetadataHeader { present: false });
    }
    let headers = vec![("metadata", "1")];
    assert_eq!(read(&Sent { headers, ..posted(BODY) }).unwrap_err(), Rejected::NoMetadataHeader { present: true });
}

#[test]
fn other_methods_are_refused() {
    let sent = Sent { method: Method::PUT, ..posted(BODY) };
    assert_eq!(read(&sent).unwrap_err(), Rejected::Method { allow: "GET, POST" });
}

proptest! {
    #[test]
    fn no_path_and_no_body_panics_the_reader(segment in "\\PC{0,60}", body in "\\PC{0,200}") {
        let path = format!("/cloud-shell/{segment}/oauth2/token");
        let _ = read(&Sent { path: &path, ..posted(&body) });
    }
}
