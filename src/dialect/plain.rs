//! Two GETs for scripts: `/token` answers JSON, `/header` the line that goes into a request.
//!
//! `curl -sS -H 'Metadata: true' 'http://127.0.0.1:4780/token?scope=https://graph.microsoft.com/.default'` is all of it.
//! Easy to get wrong: a server that is tricked into fetching a URL can send neither `Metadata: true` nor a local key, and one
//! of them is demanded; but it may well send its own `Authorization`, which is a barrier only where it holds a local key.

use std::borrow::Cow;

use http::{HeaderMap, Method, header};

use super::fields::Field;
use super::{Dialect, Heard, Refusal, Rejected, Request, barrier, fields, renewal};
use crate::broker::Shape;
use crate::clock::Now;
use crate::ids::Door;
use crate::policy::Ask;
use crate::secret::local_key;

/// The dialect, by what it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// `/token`.
    Token,
    /// `/header`.
    Header,
}

impl Dialect for Plain {
    fn door(&self) -> Door {
        Door::Plain
    }

    fn read<'r>(&self, request: &Request<'r>) -> Result<Heard<'r>, Rejected> {
        let key = key(request.headers)?;
        let is_local = key.is_some_and(|shown| shown.is_barrier);
        if !is_local && barrier::metadata(request.headers).is_err() {
            return Err(Rejected::NoBarrier);
        }
        if request.method != Method::GET {
            return Err(Rejected::Method { allow: "GET" });
        }
        let names = [
            "scope",
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
        let [scope, resource, client, object, principal, msi, mi, claims, refused, bypass] =
            fields::read(request.query.as_bytes(), names)?;
        Ok(Heard::Ask(Ask {
            door: Door::Plain,
            selector: fields::selector(client, [object, principal], [msi, mi])?,
            tenant: None,
            resource: wanted(scope, resource)?,
            key: key.map(|shown| Cow::Borrowed(shown.key)),
            raw_key: None,
            capable: false,
            renew: renewal::of(claims, refused, bypass)?,
        }))
    }

    fn shape(&self) -> Shape {
        match self {
            Self::Token => Shape::PlainToken,
            Self::Header => Shape::PlainHeader,
        }
    }

    fn refuse(&self, refusal: &Refusal, now: Now) -> Vec<u8> {
        refusal.entra_object(now)
    }
}

/// A scope, or what stands before its `/.default`; not both, of which one would win unseen.
fn wanted<'r>(scope: Field<'r>, resource: Field<'r>) -> Result<Cow<'r, str>, Rejected> {
    match (scope, resource) {
        (Some(_), Some(_)) => Err(Rejected::ScopeAndResource),
        (Some(scope), None) => super::oauth::resource_of(scope),
        (None, Some(resource)) => fields::resource(Some(resource)),
        (None, None) => Err(Rejected::Missing { parameter: "scope" }),
    }
}

/// What is shown as a local key.
#[derive(Clone, Copy)]
struct Shown<'r> {
    key: &'r str,
    /// Nobody sends it by chance.
    is_barrier: bool,
}

/// From `X-IDENTITY-HEADER`, which has no other meaning, or from `Authorization: Bearer`, which many have.
fn key(headers: &HeaderMap) -> Result<Option<Shown<'_>>, Rejected> {
    if let Some(key) = barrier::text(headers, "x-identity-header")? {
        return Ok(Some(Shown { key, is_barrier: true }));
    }
    let Some(value) = barrier::text(headers, header::AUTHORIZATION.as_str())? else { return Ok(None) };
    let bearer = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let key = bearer.map(|(_, key)| key.trim()).filter(|key| !key.is_empty());
    Ok(key.map(|key| Shown { key, is_barrier: key.starts_with(local_key::PREFIX) }))
}

#[cfg(test)]
mod tests;
