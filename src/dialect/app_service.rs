//! App Service managed identity, `GET /msi/token`, in both api-versions (contract B3, B4, B14).
//!
//! The key header is the local key. Easy to get wrong: 2017-09-01 writes the key into `secret` and the selector as
//! `clientid`, and JS sends the text `undefined` for "none".

use std::borrow::Cow;

use http::{HeaderMap, Method};

use super::{Dialect, Heard, Refusal, Rejected, Request, fields};
use crate::broker::Shape;
use crate::clock::Now;
use crate::ids::Door;
use crate::policy::Ask;

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct AppService;

/// Where the key may stand: 2019-08-01, 2017-09-01, and Terraform with the variables of the latter (contract B4).
const KEY_HEADERS: [&str; 3] = ["x-identity-header", "secret", "x-ms-identity"];

impl Dialect for AppService {
    fn door(&self) -> Door {
        Door::AppService
    }

    fn read<'r>(&self, request: &Request<'r>) -> Result<Heard<'r>, Rejected> {
        Self::ask(request).map(Heard::Ask)
    }

    fn shape(&self) -> Shape {
        Shape::ManagedIdentity
    }

    fn refuse(&self, refusal: &Refusal, _now: Now) -> Vec<u8> {
        refusal.app_service_object()
    }
}

impl AppService {
    /// What is asked: nothing else comes in at this door.
    ///
    /// # Errors
    /// [`Rejected`], as [`Dialect::read`].
    pub fn ask<'r>(request: &Request<'r>) -> Result<Ask<'r>, Rejected> {
        let key = key(request.headers)?;
        if request.method != Method::GET {
            return Err(Rejected::Method { allow: "GET" });
        }
        let names = [
            "api-version",
            "resource",
            "client_id",
            "clientid",
            "object_id",
            "principal_id",
            "mi_res_id",
            "msi_res_id",
        ];
        let [version, resource, client, old_client, object, principal, mi, msi] =
            fields::read(request.query.as_bytes(), names)?;
        let door = match version.as_deref() {
            Some("2019-08-01") => Door::AppService,
            Some("2017-09-01") => Door::AppService2017,
            Some(_) => return Err(Rejected::ApiVersion { known: "2019-08-01 and 2017-09-01" }),
            None => return Err(Rejected::Missing { parameter: "api-version" }),
        };
        if client.is_some() && old_client.is_some() {
            return Err(Rejected::SeveralSelectors);
        }
        let client = client.or(old_client).filter(|id| id != "undefined");
        Ok(Ask {
            door,
            selector: fields::selector(client, [object, principal], [mi, msi])?,
            tenant: None,
            resource: fields::resource(resource)?,
            key: Some(Cow::Borrowed(key)),
            raw_key: None,
            capable: false,
            renew: None,
        })
    }
}

/// The first key header that is there and not empty: Terraform sends an empty one beside the right one.
fn key(headers: &HeaderMap) -> Result<&str, Rejected> {
    for name in KEY_HEADERS {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { continue };
        return match (value.to_str(), values.next()) {
            (Ok(""), None) => continue,
            (Ok(key), None) => Ok(key),
            _ => Err(Rejected::Header { name }),
        };
    }
    Err(Rejected::NoKeyHeader)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(query: &str, header: Option<(&'static str, &'static str)>) -> Result<(String, String), Rejected> {
        let mut headers = HeaderMap::new();
        if let Some((name, value)) = header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let request = Request { method: &Method::GET, path: "/msi/token", query, headers: &headers, body: b"" };
        AppService::ask(&request)
            .map(|ask| (format!("{:?}", ask.selector), ask.key.map(Cow::into_owned).unwrap_or_default()))
    }

    const ASKED: &str = "api-version=2019-08-01&resource=https://vault.azure.net";
    const KEY: Option<(&str, &str)> = Some(("x-identity-header", "k1"));

    #[test]
    fn both_versions_and_terraform_are_read() {
        assert_eq!(read(ASKED, KEY).unwrap(), ("None".into(), "k1".into()));
        let old = "api-version=2017-09-01&resource=https://vault.azure.net&clientid=c";
        assert_eq!(read(old, Some(("secret", "k2"))).unwrap(), ("ClientId(\"c\")".into(), "k2".into()));
        assert_eq!(read(ASKED, Some(("x-ms-identity", "k3"))).unwrap().1, "k3");
    }

    #[test]
    fn an_empty_or_undefined_client_id_means_the_default_identity() {
        for id in ["", "undefined"] {
            for name in ["client_id", "clientid"] {
                assert_eq!(read(&format!("{ASKED}&{name}={id}"), KEY).unwrap().0, "None");
            }
        }
    }

    #[test]
    fn without_the_key_header_nothing_else_is_looked_at() {
        assert_eq!(read("", None).unwrap_err(), Rejected::NoKeyHeader);
        assert_eq!(read("", Some(("metadata", "true"))).unwrap_err(), Rejected::NoKeyHeader);
        assert_eq!(read("", Some(("secret", ""))).unwrap_err(), Rejected::NoKeyHeader);
        let mut headers = HeaderMap::new();
        headers.insert("x-identity-header", HeaderValue::from_static(""));
        headers.insert("secret", HeaderValue::from_static("k"));
        assert_eq!(key(&headers), Ok("k"));
    }

    #[test]
    fn other_versions_and_several_selectors_are_refused() {
        let query = "api-version=2025-03-30&resource=r";
        assert!(matches!(read(query, KEY).unwrap_err(), Rejected::ApiVersion { .. }));
        for two in ["client_id=a&clientid=b", "client_id=a&mi_res_id=b", "object_id=a&principal_id=b"] {
            assert_eq!(read(&format!("{ASKED}&{two}"), KEY).unwrap_err(), Rejected::SeveralSelectors, "{two}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics_the_reader(query in "\\PC{0,200}") {
            let _ = read(&query, KEY);
        }
    }
}
