//! What a token request says of who sends it, read without judging it: whose it is, before anybody reads it for good.
//!
//! For a taken-over host alone, where most requests are somebody else's and go on as they came. Easy to get wrong: what
//! cannot be read is nobody's we know, and goes on too.

use std::borrow::Cow;

use base64::Engine as _;
use http::header;

use super::fields::{self, Field};
use super::oauth::{BASE64, basic};
use super::{Request, route};
use crate::ids::Door;
use crate::secret::local_key;

/// The sender of a POST to an OAuth token endpoint.
pub struct Sender<'r> {
    pub tenant: &'r str,
    pub client_id: Cow<'r, str>,
    grant: Field<'r>,
    keys: Vec<Cow<'r, str>>,
    assertion: Field<'r>,
}

impl<'r> Sender<'r> {
    /// `None` for every other request.
    #[must_use]
    pub fn of(request: &Request<'r>) -> Option<Self> {
        if request.method != http::Method::POST || route(request.path)?.door() != Door::Oauth {
            return None;
        }
        let names = ["grant_type", "client_id", "client_secret", "client_assertion"];
        let [grant, id, secret, assertion] = fields::read(request.body, names).ok()?;
        let basic = basic(request.headers).ok()?;
        let (basic_id, basic_keys) = match basic {
            Some(basic) => (Some(Cow::Owned(basic.id)), vec![Cow::Owned(basic.key), Cow::Owned(basic.raw_key)]),
            None => (None, Vec::new()),
        };
        Some(Self {
            tenant: request.path.split('/').find(|segment| !segment.is_empty())?,
            client_id: id.or(basic_id)?,
            grant,
            keys: secret.into_iter().chain(basic_keys).filter(|key| !key.is_empty()).collect(),
            assertion,
        })
    }

    /// Whatever it proves itself by.
    pub fn proofs(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().chain(&self.assertion).map(|proof| &**proof)
    }

    /// Wants what we are here for. An application that brings an assertion of its own proves itself to Entra; one that
    /// brings nothing, with a user's grant, is a public client, and no business of ours.
    #[must_use]
    pub fn wants_us(&self) -> bool {
        let alone = self.grant.as_deref() == Some("client_credentials");
        self.assertion.is_none() && (alone || !self.keys.is_empty())
    }
}

/// Whether a local key of our making stands anywhere in a request, in whatever field, path or spelling.
#[must_use]
pub fn holds_local_key(request: &Request<'_>) -> bool {
    let holds = |text: &[u8]| local_key::stands_in(fields::decode(text).as_bytes());
    let basic = request.headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        let (_, credential) = value.to_str().ok()?.split_once(' ')?;
        BASE64.decode(credential.trim()).ok()
    });
    holds(request.body)
        || holds(request.path.as_bytes())
        || holds(request.query.as_bytes())
        || request.headers.values().any(|value| local_key::stands_in(value.as_bytes()))
        || basic.into_iter().any(|text| holds(&text))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;

    const PATH: &str = "/Contoso.onmicrosoft.com/OAuth2/v2.0/Token";

    /// What proves it, and whether it wants us; `None` for what is no token request.
    fn seen(path: &str, authorization: Option<&str>, body: &str) -> Option<(Vec<String>, bool)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert("authorization", value.parse().unwrap());
        }
        let (method, query) = (&Method::POST, "");
        let sender = Sender::of(&Request { method, path, query, headers: &headers, body: body.as_bytes() })?;
        Some((sender.proofs().map(str::to_owned).collect(), sender.wants_us()))
    }

    #[test]
    fn a_token_request_is_known_by_who_sends_it() {
        let by = |proofs: &[&str], wants| Some((proofs.iter().map(|&proof| proof.to_owned()).collect(), wants));
        let secret = "client_id=c&grant_type=refresh_token&client_secret=k";
        assert_eq!(seen(PATH, None, secret), by(&["k"], true));
        assert_eq!(seen("/t/oauth2/token", None, "client_id=c&client_assertion=k"), by(&["k"], false));
        assert_eq!(seen(PATH, None, "client_id=c&grant_type=client_credentials"), by(&[], true));
        assert_eq!(seen(PATH, Some("Basic Yzp4"), "grant_type=authorization_code"), by(&["x", "x"], true));
    }

    #[test]
    fn what_proves_itself_or_proves_nothing_is_somebody_elses() {
        let own = "client_id=c&grant_type=client_credentials&client_assertion=eyJhbGciOiJQUzI1NiJ9.e30.x";
        assert_eq!(seen(PATH, None, own).map(|(_, wants)| wants), Some(false));
        assert_eq!(seen(PATH, None, "client_id=c&grant_type=device_code"), Some((Vec::new(), false)));
        for (path, body) in [
            (PATH, "grant_type=client_credentials"),
            (PATH, "client_id=c&client_id=d"),
            ("/t/oauth2/v2.0/authorize", "client_id=c&client_secret=x"),
            ("/metadata/identity/oauth2/token", "client_id=c&client_secret=x"),
        ] {
            assert_eq!(seen(path, None, body), None, "{path} {body}");
        }
    }

    fn holds(path: &str, query: &str, header: Option<(&'static str, &str)>, body: &str) -> bool {
        let header = header.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()));
        let headers: HeaderMap = header.into_iter().collect();
        holds_local_key(&Request { method: &Method::POST, path, query, headers: &headers, body: body.as_bytes() })
    }

    #[test]
    fn a_local_key_is_found_wherever_it_stands() {
        let key = local_key::LocalKey::generate().unwrap();
        let key = key.secret().expose();
        let coded = key.replace('_', "%5F").replace('-', "%2d");
        for body in [
            format!("client_id=c&client_secret=x&client_secret={key}"),
            format!("client_secret={coded}"),
            format!("Client_Secret=+{key}"),
            format!("{{\"client_secret\":\"{key}\"}}"),
        ] {
            assert!(holds("/", "", None, &body), "{body}");
        }
        assert!(holds(&format!("/cloud-shell/{coded}/oauth2/token"), "", None, ""));
        assert!(holds("/", &format!("a=b&c={key}"), None, ""));
        assert!(holds("/", "", Some(("x-identity-header", key)), ""));
        let basic = format!("Basic {}", BASE64.encode(format!("c:{coded}")));
        assert!(holds("/", "", Some(("authorization", &basic)), ""));
        assert!(!holds("/uns_", "uns_=uns_", Some(("authorization", "Basic dW5zXzp1bnNf")), &key[..51]));
    }
}
