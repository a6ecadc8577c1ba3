//! OAuth 2 token endpoints as Entra has them: v2.0 with `scope`, v1 with `resource` (contract B11).
//!
//! Client credentials are answered by the broker; what belongs to a user is passed on (`relay`). Easy to get wrong: the local key comes in the body or in HTTP Basic, there form-encoded
//! (RFC 6749 2.3.1) or not (most clients); and what changes the token that is asked for (proof of possession, `fmi_path`)
//! must be refused, never answered with an ordinary one.

mod relay;

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, Method, header};

use super::fields::{self, Field};
use super::{Dialect, Heard, Refusal, Rejected, Request, token_proxy};
use crate::broker::Shape;
use crate::claims::Claims;
use crate::clock::Now;
use crate::ids::{DEFAULT_SUFFIX, Door, Resource};
use crate::policy::{Ask, GrantType, Renew, Selector};

/// The dialect, one per version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oauth {
    V1,
    V2,
}

/// Scopes that say what an `id_token` should hold: pointless without a user, and harmless. Some clients always add them.
const IGNORED_SCOPES: [&str; 3] = ["openid", "profile", "offline_access"];

impl Dialect for Oauth {
    fn door(&self) -> Door {
        Door::Oauth
    }

    fn read<'r>(&self, request: &Request<'r>) -> Result<Heard<'r>, Rejected> {
        self.hear(Door::Oauth, request)
    }

    fn shape(&self) -> Shape {
        match self {
            Self::V1 => Shape::OauthV1,
            Self::V2 => Shape::OauthV2,
        }
    }

    fn refuse(&self, refusal: &Refusal, now: Now) -> Vec<u8> {
        refusal.entra_object(now)
    }
}

impl Oauth {
    /// A token request, here or behind the token proxy.
    pub(super) fn hear<'r>(self, door: Door, request: &Request<'r>) -> Result<Heard<'r>, Rejected> {
        if request.method != Method::POST {
            return Err(Rejected::Method { allow: "POST" });
        }
        check_content_type(request.headers)?;
        let names = [
            "grant_type",
            "client_id",
            "client_secret",
            "scope",
            "resource",
            "client_assertion",
            "client_assertion_type",
            "token_type",
            "req_cnf",
            "claims",
            "fmi_path",
        ];
        let [grant, id, secret, scope, resource, assertion, kind, token_type, req_cnf, claims, fmi_path] =
            fields::read(request.body, names)?;
        let grant = grant.ok_or(Rejected::Missing { parameter: "grant_type" })?;
        if let Some(grant) = GrantType::parse(&grant) {
            return self.relay(door, grant, request);
        }
        if grant != "client_credentials" {
            return Err(Rejected::GrantType);
        }
        check_unbound(token_type.as_deref(), req_cnf.is_some())?;
        let claims = claims.map(|text| Claims::read(&text)).transpose().map_err(Rejected::Claims)?.unwrap_or_default();
        if fmi_path.is_some() {
            return Err(Rejected::FmiPath);
        }
        let secret = presented(door, secret, assertion, kind.as_deref())?;
        let client = Client::of(id, secret, basic(request.headers)?)?;
        let resource = match self {
            Self::V1 => fields::resource(resource)?,
            Self::V2 if resource.is_some() => return Err(Rejected::ResourceOnV2),
            Self::V2 => resource_of(scope.ok_or(Rejected::Missing { parameter: "scope" })?)?,
        };
        Ok(Heard::Ask(Ask {
            door,
            selector: Selector::ClientId(client.id),
            tenant: request.path.split('/').find(|segment| !segment.is_empty()).map(Cow::Borrowed),
            resource,
            key: client.key,
            raw_key: client.raw_key,
            capable: claims.capable,
            renew: claims.challenge.map(Renew::Claims),
        }))
    }
}

/// What stands for the local key in the body.
fn presented<'r>(
    door: Door,
    secret: Field<'r>,
    assertion: Field<'r>,
    kind: Option<&str>,
) -> Result<Field<'r>, Rejected> {
    match door {
        Door::TokenProxy => token_proxy::key(secret, assertion, kind),
        _ if assertion.is_some() => Err(Rejected::Assertion),
        _ => Ok(secret),
    }
}

/// A form, with or without `;charset=…` in any case (contract A3).
fn check_content_type(headers: &HeaderMap) -> Result<(), Rejected> {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") { Ok(()) } else { Err(Rejected::ContentType) }
}

/// Anything but a bearer token is beyond us (contract A13): the key that would bind it lives in the caller.
fn check_unbound(token_type: Option<&str>, req_cnf: bool) -> Result<(), Rejected> {
    if req_cnf {
        return Err(Rejected::Bound { parameter: "req_cnf" });
    }
    match token_type {
        Some(kind) if !kind.eq_ignore_ascii_case("bearer") => Err(Rejected::Bound { parameter: "token_type" }),
        _ => Ok(()),
    }
}

/// The one resource of a v2 scope, borrowed where the scope is.
pub(super) fn resource_of(scope: Cow<'_, str>) -> Result<Cow<'_, str>, Rejected> {
    let wanted = |word: &&str| !IGNORED_SCOPES.contains(word);
    let mut words = scope.split_ascii_whitespace().filter(wanted);
    let first = words.next().ok_or(Rejected::Scope)?;
    let resource = first.strip_suffix(DEFAULT_SUFFIX).ok_or(Rejected::Scope)?;
    for other in words {
        if !other.ends_with(DEFAULT_SUFFIX) {
            return Err(Rejected::Scope);
        }
        if other != first {
            return Err(Rejected::SeveralResources);
        }
    }
    Resource::check(resource).map_err(|_| Rejected::Scope)?;
    let start = resource.as_ptr() as usize - scope.as_ptr() as usize;
    let range = start..start + resource.len();
    Ok(match scope {
        Cow::Borrowed(scope) => Cow::Borrowed(&scope[range]),
        Cow::Owned(mut scope) => {
            scope.truncate(range.end);
            scope.drain(..range.start);
            Cow::Owned(scope)
        }
    })
}

/// Who the client says it is, and the key it shows.
struct Client<'r> {
    id: Cow<'r, str>,
    key: Field<'r>,
    raw_key: Field<'r>,
}

impl<'r> Client<'r> {
    /// A client may repeat its id in the body beside HTTP Basic, but not prove itself twice (RFC 6749 2.3).
    fn of(id: Field<'r>, secret: Field<'r>, basic: Option<Basic>) -> Result<Self, Rejected> {
        let Some(basic) = basic else {
            let id = id.ok_or(Rejected::Missing { parameter: "client_id" })?;
            return Ok(Self { id, key: secret, raw_key: None });
        };
        if secret.is_some() || id.is_some_and(|id| !id.eq_ignore_ascii_case(&basic.id)) {
            return Err(Rejected::TwoCredentials);
        }
        let raw_key = (basic.key != basic.raw_key).then_some(Cow::Owned(basic.raw_key));
        Ok(Self { id: Cow::Owned(basic.id), key: Some(Cow::Owned(basic.key)), raw_key })
    }
}

/// HTTP Basic: id and key form-decoded, and the key as it stood.
pub(super) struct Basic {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) raw_key: String,
}

/// Padding is optional: some clients leave it out.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Other schemes are no business of this endpoint and are ignored, as unknown headers are.
pub(super) fn basic(headers: &HeaderMap) -> Result<Option<Basic>, Rejected> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Rejected::Header { name: "Authorization" });
    }
    let value = value.to_str().map_err(|_| Rejected::Basic)?;
    let Some((scheme, rest)) = value.split_once(' ') else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    let bytes = BASE64.decode(rest.trim()).map_err(|_| Rejected::Basic)?;
    let text = String::from_utf8(bytes).map_err(|_| Rejected::Basic)?;
    let (id, key) = text.split_once(':').ok_or(Rejected::Basic)?;
    let decoded = |text: &str| fields::decode(text.as_bytes()).into_owned();
    Ok(Some(Basic { id: decoded(id), key: decoded(key), raw_key: key.to_owned() }))
}

#[cfg(test)]
mod tests;
