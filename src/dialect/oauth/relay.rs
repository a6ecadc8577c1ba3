//! Requests whose grant belongs to a user: read as far as policy has to know, the rest kept to be passed on (contract A14).
//!
//! Easy to get wrong: Entra must see the very fields that were judged here. So none that matters may stand twice, in
//! whatever letter case (a server that ignores it would read another one than we), and names and values are decoded
//! here, to be encoded anew.

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::{Client, Oauth, basic, presented};
use crate::authority::Endpoint;
use crate::broker::Form;
use crate::claims::Claims;
use crate::dialect::fields::{self, Field, Pair};
use crate::dialect::{Heard, Rejected, RelayRequest, Request};
use crate::ids::{DEFAULT_SUFFIX, Door};
use crate::policy::{GrantType, RelayAsk, Selector};

/// Who the caller is and how it proves it: ours to replace.
const CREDENTIAL: [&str; 4] = ["client_id", "client_secret", "client_assertion", "client_assertion_type"];
/// What is looked at, or must not be said in two ways.
const SINGLE: [&str; 9] = [
    "grant_type",
    "scope",
    "resource",
    "claims",
    "assertion",
    "code",
    "refresh_token",
    "redirect_uri",
    "requested_token_use",
];

/// The fields of the body, each name as it was spelled.
struct Fields<'r>(Vec<Pair<'r>>);

impl<'r> Fields<'r> {
    fn read(body: &'r [u8]) -> Result<Self, Rejected> {
        let fields = Self(fields::all(body)?);
        for name in CREDENTIAL.into_iter().chain(SINGLE) {
            if fields.named(name).count() > 1 {
                return Err(Rejected::Twice { parameter: name });
            }
        }
        Ok(fields)
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Cow<'r, str>> {
        self.0.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Empty counts as absent.
    fn get(&self, name: &str) -> Field<'r> {
        self.named(name).find(|value| !value.is_empty()).cloned()
    }
}

impl Oauth {
    pub(super) fn relay<'r>(self, door: Door, grant: GrantType, request: &Request<'r>) -> Result<Heard<'r>, Rejected> {
        let fields = Fields::read(request.body)?;
        let kind = fields.get("client_assertion_type");
        let secret = presented(door, fields.get("client_secret"), fields.get("client_assertion"), kind.as_deref())?;
        let client = Client::of(fields.get("client_id"), secret, basic(request.headers)?)?;
        let claims = fields.get("claims").map(|text| Claims::read(&text)).transpose().map_err(Rejected::Claims)?;
        let ask = RelayAsk {
            door,
            selector: Selector::ClientId(client.id),
            tenant: request.path.split('/').find(|segment| !segment.is_empty()).map(Cow::Borrowed),
            key: client.key,
            raw_key: client.raw_key,
            grant,
            scopes: self.scopes(&fields)?,
        };
        let passed_on = fields.0.into_iter().filter(|(name, _)| !is_credential(name));
        let form = Form {
            endpoint: match self {
                Self::V1 => Endpoint::V1,
                Self::V2 => Endpoint::V2,
            },
            grant,
            claims: claims.unwrap_or_default(),
            fields: passed_on.map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned()))).collect(),
        };
        Ok(Heard::Relay(Box::new(RelayRequest { ask, form })))
    }

    /// The words to judge; none where Entra would take those of the sign-in, which at v1 it does without a resource.
    fn scopes(self, fields: &Fields<'_>) -> Result<Vec<String>, Rejected> {
        let scope = fields.get("scope").unwrap_or_default();
        let words = scope.split_ascii_whitespace().map(str::to_owned);
        match (self, fields.get("resource")) {
            (Self::V2, Some(_)) => Err(Rejected::ResourceOnV2),
            (Self::V2, None) => Ok(words.collect()),
            (Self::V1, None) => Ok(Vec::new()),
            (Self::V1, Some(resource)) => Ok(words.chain([format!("{resource}{DEFAULT_SUFFIX}")]).collect()),
        }
    }
}

fn is_credential(name: &str) -> bool {
    CREDENTIAL.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::Dialect as _;

    const ID: &str = "33333333-dddd-4eee-8fff-444444444444";

    fn read(version: Oauth, body: &str, basic: Option<&str>) -> Result<RelayRequest<'static>, Rejected> {
        let headers = Box::leak(Box::new(HeaderMap::new()));
        headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some(basic) = basic {
            headers.insert("authorization", HeaderValue::from_str(basic).unwrap());
        }
        let body = Box::leak(body.to_owned().into_boxed_str()).as_bytes();
        let path = "/contoso.example/oauth2/v2.0/token";
        let request = Request { method: &Method::POST, path, query: "", headers, body };
        match version.read(&request)? {
            Heard::Relay(relay) => Ok(*relay),
            other => panic!("{other:?}"),
        }
    }

    fn v2(rest: &str) -> Result<RelayRequest<'static>, Rejected> {
        read(Oauth::V2, &format!("client_id={ID}&client_secret=k1&{rest}"), None)
    }

    fn passed(relay: &RelayRequest<'_>) -> Vec<(String, String)> {
        relay.form.fields.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
    }

    #[test]
    fn all_but_the_credential_is_passed_on_in_order() {
        let relay =
            v2("client_info=1&grant_type=authorization_code&code=a%2Bb&x-unknown=%C3%A9&Scope=openid+User.Read\
                        &client_assertion_type=x&empty=")
            .unwrap();
        let wanted = [
            ("client_info", "1"),
            ("grant_type", "authorization_code"),
            ("code", "a+b"),
            ("x-unknown", "é"),
            ("Scope", "openid User.Read"),
            ("empty", ""),
        ];
        assert_eq!(passed(&relay), wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!((relay.ask.grant, relay.form.endpoint), (GrantType::AuthorizationCode, Endpoint::V2));
        assert_eq!(relay.ask.scopes, ["openid", "User.Read"]);
        assert_eq!((relay.ask.key.as_deref(), relay.ask.tenant.as_deref()), (Some("k1"), Some("contoso.example")));
    }

    #[test]
    fn nothing_that_counts_may_stand_twice_in_any_letter_case() {
        for (twice, name) in [
            ("scope=a&scope=b", "scope"),
            ("scope=a&SCOPE=b", "scope"),
            ("scope=a&%73cope=", "scope"),
            ("Grant_Type=client_credentials", "grant_type"),
            ("CLIENT_ID=x", "client_id"),
            ("refresh_token=a&Refresh_Token=b", "refresh_token"),
        ] {
            let refused = v2(&format!("grant_type=refresh_token&{twice}")).unwrap_err();
            assert_eq!(refused, Rejected::Twice { parameter: name }, "{twice}");
        }
    }

    #[test]
    fn v1_is_asked_by_resource_and_v2_is_not() {
        let body = format!("client_id={ID}&client_secret=k&grant_type=refresh_token&refresh_token=r");
        let with = format!("{body}&resource=https%3A%2F%2Fa.b%2F&scope=openid");
        let relay = read(Oauth::V1, &with, None).unwrap();
        assert_eq!(
            (relay.form.endpoint, relay.ask.scopes),
            (Endpoint::V1, vec!["openid".into(), "https://a.b//.default".into()])
        );
        assert_eq!(read(Oauth::V2, &with, None).unwrap_err(), Rejected::ResourceOnV2);
        let without = format!("{body}&scope=openid");
        assert!(read(Oauth::V1, &without, None).unwrap().ask.scopes.is_empty(), "of the sign-in, whatever it was");
    }

    #[test]
    fn the_key_may_come_in_http_basic_and_an_assertion_may_not_come() {
        let basic = "Basic MzMzMzMzMzMtZGRkZC00ZWVlLThmZmYtNDQ0NDQ0NDQ0NDQ0Oms=";
        let relay = read(Oauth::V2, "grant_type=refresh_token&refresh_token=r", Some(basic)).unwrap();
        assert_eq!((relay.ask.selector, relay.ask.key.as_deref()), (Selector::ClientId(ID.into()), Some("k")));
        assert_eq!(v2("grant_type=refresh_token&client_assertion=x").unwrap_err(), Rejected::Assertion);
    }

    #[test]
    fn claims_are_told_apart_from_a_challenge_and_nothing_prints_what_is_passed_on() {
        let claims = "%7B%22access_token%22%3A%7B%22xms_cc%22%3A%7B%22values%22%3A%5B%22cp1%22%5D%7D%7D%7D";
        let relay = v2(&format!("grant_type=refresh_token&refresh_token=canary&claims={claims}")).unwrap();
        assert!(relay.form.claims.capable && relay.form.claims.challenge.is_none());
        assert!(!format!("{relay:?}").contains("canary"));
        assert!(matches!(v2("grant_type=refresh_token&claims=cp1"), Err(Rejected::Claims(_))));
    }

    proptest! {
        #[test]
        fn no_body_panics_and_no_credential_is_passed_on(rest in "[a-z_A-Z=&%+0-9]{0,60}") {
            if let Ok(relay) = v2(&format!("grant_type=refresh_token&{rest}")) {
                prop_assert!(relay.form.fields.iter().all(|(name, _)| !is_credential(name)));
            }
        }
    }
}
