//! The authority behind `AZURE_KUBERNETES_TOKEN_PROXY`: the same paths under `/token-proxy` (contract B10).
//!
//! Its clients send what stands in `AZURE_FEDERATED_TOKEN_FILE` as their assertion. Here that is the local key: compared, and
//! never parsed. Easy to get wrong: the path that the proxy's URL has is put before Entra's own, whatever is asked.

use super::document::{self, Documents};
use super::fields::Field;
use super::oauth::Oauth;
use super::{Dialect, Heard, Refusal, Rejected, Request};
use crate::broker::Shape;
use crate::clock::Now;
use crate::ids::Door;

/// The dialect, as [`Oauth`] but for where it is and how its callers show their key.
#[derive(Clone, Copy, Debug)]
pub struct TokenProxy(Oauth);

impl TokenProxy {
    pub const V1: Self = Self(Oauth::V1);
    pub const V2: Self = Self(Oauth::V2);
}

const PREFIX: &str = "token-proxy";
/// RFC 7523 2.2; there is no other type.
const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Dialect for TokenProxy {
    fn door(&self) -> Door {
        Door::TokenProxy
    }

    fn read<'r>(&self, request: &Request<'r>) -> Result<Heard<'r>, Rejected> {
        let path = within(request.path).unwrap_or(request.path);
        self.0.hear(Door::TokenProxy, &Request { path, ..*request })
    }

    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn refuse(&self, refusal: &Refusal, now: Now) -> Vec<u8> {
        self.0.refuse(refusal, now)
    }
}

/// What a path behind the prefix would be at Entra; `None` when it is not behind it.
pub(super) fn within(path: &str) -> Option<&str> {
    let (first, rest) = path.trim_start_matches('/').split_once('/')?;
    first.eq_ignore_ascii_case(PREFIX).then_some(rest)
}

/// Which dialect a path behind the prefix belongs to: the twin of the one that it would have without.
pub(super) fn route(path: &str) -> Option<&'static dyn Dialect> {
    let path = within(path)?;
    if document::is_at(path) {
        return Some(&Documents::TOKEN_PROXY);
    }
    let twin = super::route(path).filter(|dialect| dialect.door() == Door::Oauth)?;
    Some(if twin.shape() == Shape::OauthV1 { &TokenProxy::V1 } else { &TokenProxy::V2 })
}

/// The local key, in whichever of the two fields it came.
pub(super) fn key<'r>(secret: Field<'r>, assertion: Field<'r>, kind: Option<&str>) -> Result<Field<'r>, Rejected> {
    match (secret, assertion) {
        (Some(_), Some(_)) => Err(Rejected::TwoCredentials),
        (None, Some(_)) if kind != Some(BEARER) => Err(Rejected::AssertionType),
        (secret, assertion) => Ok(secret.or(assertion)),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, header};

    use super::*;
    use crate::policy::{Ask, Selector};

    const KEY: &str = "key-one-key-one-key-one-key-one-1";

    /// The ask, without what it borrows from the test.
    fn read(path: &str, proof: &str) -> Result<(Option<String>, Option<String>), Rejected> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let body = format!("grant_type=client_credentials&client_id=c&scope=https://r.example/.default&{proof}");
        let request = Request { method: &Method::POST, path, query: "", headers: &headers, body: body.as_bytes() };
        let Heard::Ask(Ask { door, selector, tenant, key, .. }) =
            crate::dialect::route(path).unwrap().read(&request)?
        else {
            panic!("no ask")
        };
        assert_eq!((door, selector), (Door::TokenProxy, Selector::ClientId("c".into())));
        Ok((tenant.map(Into::into), key.map(Into::into)))
    }

    #[test]
    fn the_assertion_is_the_local_key_as_it_stands() {
        for path in ["/token-proxy/t.example/oauth2/v2.0/token", "//Token-Proxy//t.example/OAuth2/v2.0/Token/"] {
            for proof in
                [format!("client_assertion_type={BEARER}&client_assertion={KEY}%0A"), format!("client_secret={KEY}%0A")]
            {
                let (tenant, key) = read(path, &proof).unwrap();
                assert_eq!((tenant.as_deref(), key), (Some("t.example"), Some(format!("{KEY}\n"))), "{path}");
            }
        }
    }

    #[test]
    fn an_assertion_of_no_type_or_beside_a_secret_is_refused() {
        let path = "/token-proxy/t.example/oauth2/v2.0/token";
        for (proof, wanted) in [
            (format!("client_assertion={KEY}"), Rejected::AssertionType),
            (format!("client_assertion_type=saml&client_assertion={KEY}"), Rejected::AssertionType),
            (
                format!("client_assertion_type={BEARER}&client_assertion={KEY}&client_secret={KEY}"),
                Rejected::TwoCredentials,
            ),
        ] {
            assert_eq!(read(path, &proof), Err(wanted), "{proof}");
        }
    }

    #[test]
    fn only_what_entra_has_is_behind_the_prefix() {
        for (path, shape) in [
            ("/token-proxy/t.example/oauth2/token", Some(Shape::OauthV1)),
            ("/TOKEN-PROXY/t.example/oauth2/v2.0/token", Some(Shape::OauthV2)),
            ("/token-proxy/metadata/identity/oauth2/token/more", None),
            ("/token-proxy/msi/token", None),
            ("/token-proxy", None),
            ("/token-proxy/", None),
            ("/token-proxy/token-proxy/t.example/oauth2/v2.0/token", None),
            ("/other/t.example/oauth2/v2.0/token", None),
        ] {
            assert_eq!(route(path).map(Dialect::shape), shape, "{path}");
        }
    }
}
