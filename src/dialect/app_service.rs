//! App Service managed identity, `GET /msi/token`, in both api-versions (contract B3, B4, B14).
//!
//! The key header is the local key. One path, two doors: 2017-09-01 has its own, which is closed unless somebody opens it.
//! Easy to get wrong: that version writes the key into `secret` and the selector as `clientid`, JS sends the text
//! `undefined` for "none", and Terraform takes the old variables but sends the new version (contract B4).

use std::borrow::Cow;

use http::{HeaderMap, Method};

use super::{Dialect, Heard, Refusal, Rejected, Request, barrier, fields, renewal};
use crate::broker::Shape;
use crate::clock::Now;
use crate::ids::Door;
use crate::policy::Ask;

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct AppService;

/// Where the key may stand: 2019-08-01, 2017-09-01, and Terraform with the variables of the latter (contract B4).
const KEY_HEADERS: [&str; 3] = ["x-identity-header", "secret", TERRAFORM];
const TERRAFORM: &str = "x-ms-identity";

const NEW: &str = "2019-08-01";
const OLD: &str = "2017-09-01";

impl Dialect for AppService {
    fn door(&self) -> Door {
        Door::AppService
    }

    fn door_of(&self, query: &str, headers: &HeaderMap) -> Door {
        door_of(query, headers)
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
        let (_, key) = key(request.headers)?;
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
            "claims",
            "token_sha256_to_refresh",
            "bypass_cache",
        ];
        let [version, resource, client, old_client, object, principal, mi, msi, claims, refused, bypass] =
            fields::read(request.query.as_bytes(), names)?;
        match version.as_deref() {
            Some(NEW | OLD) => {}
            Some(_) => {
                let known = "2019-08-01, and 2017-09-01 where the door app-service-2017 is open";
                return Err(Rejected::ApiVersion { known });
            }
            None => return Err(Rejected::Missing { parameter: "api-version" }),
        }
        if client.is_some() && old_client.is_some() {
            return Err(Rejected::SeveralSelectors);
        }
        let client = client.or(old_client).filter(|id| id != "undefined");
        Ok(Ask {
            door: door_of(request.query, request.headers),
            selector: fields::selector(client, [object, principal], [mi, msi])?,
            tenant: None,
            resource: fields::resource(resource)?,
            key: Some(Cow::Borrowed(key)),
            raw_key: None,
            capable: false,
            renew: renewal::of(claims, refused, bypass)?,
        })
    }
}

/// The old door for the old version, and for who came by its variables.
fn door_of(query: &str, headers: &HeaderMap) -> Door {
    // Most queries do not have these ten characters, and this stands in the way of every answer.
    let is_old = query.contains(OLD)
        && fields::read(query.as_bytes(), ["api-version"]).is_ok_and(|[version]| version.as_deref() == Some(OLD));
    if is_old || key(headers).is_ok_and(|(name, _)| name == TERRAFORM) {
        Door::AppService2017
    } else {
        Door::AppService
    }
}

/// The first key header that is there and not empty, and its name: Terraform sends an empty one beside the right one.
fn key(headers: &HeaderMap) -> Result<(&'static str, &str), Rejected> {
    for name in KEY_HEADERS {
        if let Some(key) = barrier::text(headers, name)? {
            return Ok((name, key));
        }
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
    fn the_old_version_and_its_variables_are_a_door_of_their_own() {
        let old = "api-version=2017-09-01&resource=r";
        for (query, header, door) in [
            (ASKED, "x-identity-header", Door::AppService),
            (ASKED, "secret", Door::AppService),
            (ASKED, "x-ms-identity", Door::AppService2017),
            (old, "secret", Door::AppService2017),
            (old, "x-identity-header", Door::AppService2017),
            ("api%2Dversion=2017%2D09-01&resource=r&x=2017-09-01", "secret", Door::AppService2017),
            ("api-version=2019-08-01&resource=2017-09-01", "secret", Door::AppService),
            ("", "secret", Door::AppService),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header, HeaderValue::from_static("k"));
            assert_eq!(AppService.door_of(query, &headers), door, "{query} {header}");
            let request = Request { method: &Method::GET, path: "/msi/token", query, headers: &headers, body: b"" };
            assert!(AppService::ask(&request).is_ok_and(|ask| ask.door == door) || query.is_empty(), "{query}");
        }
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
        assert_eq!(key(&headers), Ok(("secret", "k")));
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
