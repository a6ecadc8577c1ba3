//! What a token request says of who sends it, read without judging it: whose it is, before anybody reads it for good.
//!
//! For a taken-over host alone, where most requests are somebody else's and go on as they came. Easy to get wrong: what
//! cannot be read is nobody's we know, and goes on too.

use std::borrow::Cow;

use super::fields::{self, Field};
use super::oauth::basic;
use super::{Request, route};
use crate::ids::Door;
use crate::secret::local_key::{self, LocalKey};

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

    /// Shows a local key, which is ours to judge wherever it points, and must not leave this machine.
    #[must_use]
    pub fn shows_local_key(&self) -> bool {
        self.keys.iter().chain(&self.assertion).any(|key| LocalKey::parse(local_key::trim(key)).is_ok())
    }

    /// Wants what we are here for. An application that brings an assertion of its own proves itself to Entra; one that
    /// brings nothing, with a user's grant, is a public client, and no business of ours.
    #[must_use]
    pub fn wants_us(&self) -> bool {
        let alone = self.grant.as_deref() == Some("client_credentials");
        self.assertion.is_none() && (alone || !self.keys.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    const PATH: &str = "/Contoso.onmicrosoft.com/OAuth2/v2.0/Token";

    /// Whether it is a token request at all, shows a local key, wants us.
    fn seen(path: &str, authorization: Option<&str>, body: &str) -> Option<(bool, bool)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert("authorization", value.parse().unwrap());
        }
        let (method, query) = (&Method::POST, "");
        let sender = Sender::of(&Request { method, path, query, headers: &headers, body: body.as_bytes() })?;
        Some((sender.shows_local_key(), sender.wants_us()))
    }

    #[test]
    fn a_token_request_is_known_by_who_sends_it() {
        let key = LocalKey::generate().unwrap();
        let key = key.secret().expose();
        let secret = format!("client_id=c&grant_type=refresh_token&client_secret={key}");
        assert_eq!(seen(PATH, None, &secret), Some((true, true)));
        assert_eq!(seen("/t/oauth2/token", None, &format!("client_id=c&client_assertion={key}")), Some((true, false)));
        assert_eq!(seen(PATH, None, "client_id=c&grant_type=client_credentials"), Some((false, true)));
        assert_eq!(seen(PATH, Some("Basic Yzp4"), "grant_type=authorization_code"), Some((false, true)));
    }

    #[test]
    fn what_proves_itself_or_proves_nothing_is_somebody_elses() {
        let own = "client_id=c&grant_type=client_credentials&client_assertion=eyJhbGciOiJQUzI1NiJ9.e30.x";
        assert_eq!(seen(PATH, None, own), Some((false, false)));
        assert_eq!(seen(PATH, None, "client_id=c&grant_type=device_code"), Some((false, false)));
        for (path, body) in [
            (PATH, "grant_type=client_credentials"),
            (PATH, "client_id=c&client_id=d"),
            ("/t/oauth2/v2.0/authorize", "client_id=c&client_secret=x"),
            ("/metadata/identity/oauth2/token", "client_id=c&client_secret=x"),
        ] {
            assert_eq!(seen(path, None, body), None, "{path} {body}");
        }
    }
}
