//! Azure IMDS, `GET /metadata/identity/oauth2/token` (contract B2).
//!
//! Carries no key: the `Metadata` header only shows that the caller can set headers. Easy to get wrong: a request
//! without it must get 400 at once, whatever else is wrong with it, because that is how every SDK probes.

use http::Method;

use super::{Dialect, Heard, Refusal, Rejected, Request, barrier, fields, renewal};
use crate::broker::Shape;
use crate::clock::Now;
use crate::ids::Door;
use crate::policy::Ask;

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct Imds;

/// The first version with this endpoint's present shape; Rust asks 2019-08-01, others this one.
const OLDEST: &str = "2018-02-01";

impl Dialect for Imds {
    fn door(&self) -> Door {
        Door::Imds
    }

    fn read<'r>(&self, request: &Request<'r>) -> Result<Heard<'r>, Rejected> {
        Self::ask(request).map(Heard::Ask)
    }

    fn shape(&self) -> Shape {
        Shape::ManagedIdentity
    }

    fn refuse(&self, refusal: &Refusal, now: Now) -> Vec<u8> {
        refusal.entra_object(now)
    }
}

impl Imds {
    /// What is asked: nothing else comes in at this door.
    ///
    /// # Errors
    /// [`Rejected`], as [`Dialect::read`].
    pub fn ask<'r>(request: &Request<'r>) -> Result<Ask<'r>, Rejected> {
        barrier::metadata(request.headers)?;
        if request.method != Method::GET {
            return Err(Rejected::Method { allow: "GET" });
        }
        let names = [
            "api-version",
            "resource",
            "client_id",
            "object_id",
            "principal_id",
            "msi_res_id",
            "mi_res_id",
            "claims",
            "token_sha256_to_refresh",
            "bypass_cache",
        ];
        let [version, resource, client, object, principal, msi, mi, claims, refused, bypass] =
            fields::read(request.query.as_bytes(), names)?;
        check_version(version.as_deref())?;
        Ok(Ask {
            door: Door::Imds,
            selector: fields::selector(client, [object, principal], [msi, mi])?,
            tenant: None,
            resource: fields::resource(resource)?,
            key: None,
            raw_key: None,
            capable: false,
            renew: renewal::of(claims, refused, bypass)?,
        })
    }
}

/// Any dated version from the oldest on; a suffix such as `-preview` does not matter.
fn check_version(version: Option<&str>) -> Result<(), Rejected> {
    const UNKNOWN: Rejected = Rejected::ApiVersion { known: "2018-02-01 and later" };
    let version = version.ok_or(Rejected::Missing { parameter: "api-version" })?;
    let date = version.as_bytes().get(..OLDEST.len()).ok_or(UNKNOWN)?;
    let alike = |(one, model): (&u8, u8)| if model == b'-' { *one == b'-' } else { one.is_ascii_digit() };
    let dated = date.iter().zip(OLDEST.bytes()).all(alike);
    if dated && date >= OLDEST.as_bytes() { Ok(()) } else { Err(UNKNOWN) }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Selector;

    fn read(query: &str, metadata: Option<&'static str>) -> Result<(String, String), Rejected> {
        let mut headers = HeaderMap::new();
        if let Some(value) = metadata {
            headers.insert("metadata", http::HeaderValue::from_static(value));
        }
        let path = "/metadata/identity/oauth2/token";
        let request = Request { method: &Method::GET, path, query, headers: &headers, body: b"" };
        Imds::ask(&request).map(|ask| (ask.resource.into_owned(), format!("{:?}", ask.selector)))
    }

    const ASKED: &str = "api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net";

    #[test]
    fn the_request_that_all_sdks_agree_on_is_read() {
        let (resource, selector) = read(ASKED, Some("true")).unwrap();
        assert_eq!((resource.as_str(), selector.as_str()), ("https://vault.azure.net", "None"));
        assert_eq!(read(ASKED, Some("True")).unwrap().0, "https://vault.azure.net");
    }

    #[test]
    fn raw_resources_and_trailing_slashes_are_kept() {
        let (resource, _) = read("api-version=2019-08-01&resource=https://Vault.azure.net/", Some("true")).unwrap();
        assert_eq!(resource, "https://Vault.azure.net/");
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
            let (_, selector) = read(&format!("{ASKED}&{name}=x"), Some("true")).unwrap();
            assert!(selector.starts_with(kind), "{name}: {selector}");
        }
        let two = format!("{ASKED}&object_id=x&principal_id=x");
        assert_eq!(read(&two, Some("true")).unwrap_err(), Rejected::SeveralSelectors);
        assert_eq!(read(&format!("{ASKED}&client_id="), Some("true")).unwrap().1, format!("{:?}", Selector::None));
    }

    #[test]
    fn a_probe_is_told_about_the_header_whatever_else_is_wrong() {
        assert_eq!(read("", None).unwrap_err(), Rejected::NoMetadataHeader { present: false });
        assert_eq!(read(ASKED, Some("false")).unwrap_err(), Rejected::NoMetadataHeader { present: true });
    }

    #[test]
    fn versions_are_dates_from_the_first_on() {
        for good in ["2018-02-01", "2019-08-01", "2021-01-01-preview", "2030-12-31"] {
            assert!(check_version(Some(good)).is_ok(), "{good}");
        }
        for wrong in ["2017-12-01", "latest", "2018", "20190801--", "2019-08-0é"] {
            assert!(check_version(Some(wrong)).is_err(), "{wrong}");
        }
        let bare = "resource=https://vault.azure.net";
        assert_eq!(read(bare, Some("true")).unwrap_err(), Rejected::Missing { parameter: "api-version" });
    }

    proptest! {
        #[test]
        fn no_query_panics_the_reader(query in "\\PC{0,200}", noise in "[a-z_&=%+-]{0,80}") {
            let _ = read(&query, Some("true"));
            if let Ok((resource, _)) = read(&format!("{ASKED}&{noise}"), Some("true")) {
                prop_assert_eq!(resource, "https://vault.azure.net");
            }
        }
    }
}
