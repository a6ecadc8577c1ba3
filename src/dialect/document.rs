//! The documents by which clients find an authority: OIDC metadata, keys, instance discovery (contract B11).
//!
//! Only what is asked for: what they say is the front's, which knows the tenants. Easy to get wrong: JS lower-cases the whole
//! authority, so no letter case of a path matters; and a tenant comes back as it was written, because OIDC clients
//! compare the issuer with the URL that they asked.

use http::Method;
use url::Url;

use super::{Dialect, Heard, Refusal, Rejected, Request, fields, token_proxy};
use crate::broker::Shape;
use crate::clock::Now;
use crate::ids::Door;

/// A document, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document<'r> {
    /// `…/.well-known/openid-configuration`.
    Metadata { tenant: &'r str, version: Version },
    /// `…/discovery/keys`: the same ones, whatever the version.
    Keys { tenant: &'r str },
    /// `/common/discovery/instance`: the authority asked about.
    Instance { host: String, tenant: String },
}

/// Which of Entra's two sets of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V2,
}

/// The dialect: documents as the token endpoints of this door go with them.
#[derive(Clone, Copy, Debug)]
pub struct Documents(Door);

impl Documents {
    pub const OAUTH: Self = Self(Door::Oauth);
    pub const TOKEN_PROXY: Self = Self(Door::TokenProxy);
}

impl Dialect for Documents {
    fn door(&self) -> Door {
        self.0
    }

    fn read<'r>(&self, request: &Request<'r>) -> Result<Heard<'r>, Rejected> {
        if !matches!(*request.method, Method::GET | Method::HEAD) {
            return Err(Rejected::Method { allow: "GET, HEAD" });
        }
        let path = token_proxy::within(request.path).unwrap_or(request.path);
        let document = match Place::of(path).ok_or(Rejected::Authority)? {
            Place::Metadata(tenant, version) => Document::Metadata { tenant, version },
            Place::Keys(tenant) => Document::Keys { tenant },
            Place::Instance => instance(request.query)?,
        };
        Ok(Heard::Document(document))
    }

    /// Not asked for: a document holds no token.
    fn shape(&self) -> Shape {
        Shape::OauthV2
    }

    fn refuse(&self, refusal: &Refusal, now: Now) -> Vec<u8> {
        refusal.entra_object(now)
    }
}

/// True when a document is to be found at this path.
pub(super) fn is_at(path: &str) -> bool {
    Place::of(path).is_some()
}

/// Where documents are, before the query is looked at.
enum Place<'r> {
    Metadata(&'r str, Version),
    Keys(&'r str),
    Instance,
}

impl<'r> Place<'r> {
    fn of(path: &'r str) -> Option<Self> {
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let [one, two, three, four] = [(); 4].map(|()| segments.next().unwrap_or_default());
        if segments.next().is_some() {
            return None;
        }
        let rest = [two, three, four];
        let is = |words: [&str; 3]| rest.iter().zip(words).all(|(part, word)| part.eq_ignore_ascii_case(word));
        if is(["v2.0", ".well-known", METADATA]) {
            Some(Self::Metadata(one, Version::V2))
        } else if is([".well-known", METADATA, ""]) {
            Some(Self::Metadata(one, Version::V1))
        } else if is(["discovery", "v2.0", "keys"]) || is(["discovery", "keys", ""]) {
            Some(Self::Keys(one))
        } else if one.eq_ignore_ascii_case("common") && is(["discovery", "instance", ""]) {
            Some(Self::Instance)
        } else {
            None
        }
    }
}

const METADATA: &str = "openid-configuration";

/// The authority that is asked about, by its authorization endpoint (contract A1).
fn instance<'r>(query: &str) -> Result<Document<'r>, Rejected> {
    let [endpoint] = fields::read(query.as_bytes(), ["authorization_endpoint"])?;
    let endpoint = endpoint.ok_or(Rejected::Missing { parameter: "authorization_endpoint" })?;
    let url = Url::parse(&endpoint).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
    let url = url.ok_or(Rejected::Authority)?;
    let tenant = url.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
    let host = url.host_str().ok_or(Rejected::Authority)?;
    Ok(Document::Instance { host: host.to_owned(), tenant: tenant.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::route;

    const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";

    fn read<'r>(method: &'r Method, path: &'r str, query: &'r str) -> Result<Document<'r>, Rejected> {
        static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
        let heard = route(path).unwrap().read(&Request { method, path, query, headers: &NONE, body: b"" })?;
        match heard {
            Heard::Document(document) => Ok(document),
            other => panic!("{other:?}"),
        }
    }

    /// In some mixture of letter cases.
    fn mixed(text: &str, upper: &[bool]) -> String {
        let choice = upper.iter().cycle();
        text.chars().zip(choice).map(|(c, upper)| if *upper { c.to_ascii_uppercase() } else { c }).collect()
    }

    proptest! {
        #[test]
        fn every_document_is_found_in_any_letter_case_behind_either_door(
            upper in proptest::collection::vec(any::<bool>(), 7), slash in any::<bool>(), proxied in any::<bool>(),
        ) {
            let tenant = mixed(TENANT, &upper);
            let metadata = |version| Document::Metadata { tenant: &tenant, version };
            let keys = Document::Keys { tenant: &tenant };
            for (rest, wanted) in [
                ("v2.0/.well-known/openid-configuration", metadata(Version::V2)),
                (".well-known/openid-configuration", metadata(Version::V1)),
                ("discovery/v2.0/keys", keys.clone()),
                ("discovery/keys", keys.clone()),
            ] {
                let prefix = if proxied { mixed("/token-proxy", &upper) } else { String::new() };
                let path = format!("{prefix}/{tenant}/{}{}", mixed(rest, &upper), if slash { "/" } else { "" });
                prop_assert_eq!(read(&Method::GET, &path, "").unwrap(), wanted, "{}", &path);
                let door = if proxied { Door::TokenProxy } else { Door::Oauth };
                prop_assert_eq!(route(&path).unwrap().door(), door);
            }
        }

        #[test]
        fn no_path_makes_it_panic(path in "(/|token-proxy|common|discovery|keys|instance|v2.0|\\.well-known|é|%2F){0,9}") {
            let _ = route(&path).map(Dialect::door);
            let _ = Place::of(&path);
        }
    }

    #[test]
    fn an_instance_is_asked_about_by_its_authorization_endpoint() {
        let path = "/common/discovery/instance";
        let endpoint = format!("https://LocalHost:4743/{TENANT}/oauth2/v2.0/authorize");
        let encoded: String = url::form_urlencoded::byte_serialize(endpoint.as_bytes()).collect();
        for query in [
            format!("api-version=1.1&authorization_endpoint={encoded}"),
            format!("authorization_endpoint={endpoint}&api-version=1.0"),
        ] {
            let wanted = Document::Instance { host: "localhost".into(), tenant: TENANT.into() };
            assert_eq!(read(&Method::GET, path, &query), Ok(wanted));
        }
        let missing = Rejected::Missing { parameter: "authorization_endpoint" };
        assert_eq!(read(&Method::GET, path, "api-version=1.1"), Err(missing));
        for odd in ["x", "ftp://localhost/t/authorize", "https:///", "data:,x"] {
            assert_eq!(read(&Method::GET, path, &format!("authorization_endpoint={odd}")), Err(Rejected::Authority));
        }
    }

    #[test]
    fn documents_are_read_and_not_written() {
        let path = format!("/{TENANT}/v2.0/.well-known/openid-configuration");
        assert!(read(&Method::HEAD, &path, "").is_ok());
        for method in [Method::POST, Method::PUT, Method::OPTIONS, Method::DELETE] {
            assert_eq!(read(&method, &path, ""), Err(Rejected::Method { allow: "GET, HEAD" }));
        }
    }
}
