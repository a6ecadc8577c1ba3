//! Cloud Shell and the old VM extension: `MSI_ENDPOINT` alone, `POST` with a form or Java's `GET` (contract B5, B14).
//!
//! The clients know no key, so it may stand in the path that the variable names: `/cloud-shell/{local key}/oauth2/token`.
//! Easy to get wrong: that path is a secret and is never quoted; and Go sends its form without a length, .NET with a header
//! named `ContentType` that means nothing.

use std::borrow::Cow;

use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;

use super::fields::Field;
use super::{Dialect, Heard, Refusal, Rejected, Request, barrier, fields, renewal};
use crate::broker::Shape;
use crate::clock::Now;
use crate::ids::Door;
use crate::policy::Ask;

/// The dialect, by the form of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudShell {
    /// `/oauth2/token`, as the extension had it.
    Bare,
    /// `/cloud-shell/{local key}/oauth2/token`.
    Keyed,
}

impl Dialect for CloudShell {
    fn door(&self) -> Door {
        Door::CloudShell
    }

    fn read<'r>(&self, request: &Request<'r>) -> Result<Heard<'r>, Rejected> {
        self.ask(request).map(Heard::Ask)
    }

    fn shape(&self) -> Shape {
        Shape::ManagedIdentity
    }

    fn refuse(&self, refusal: &Refusal, _now: Now) -> Vec<u8> {
        refusal.nested_object()
    }
}

impl CloudShell {
    /// What is asked: nothing else comes in at this door.
    ///
    /// # Errors
    /// [`Rejected`], as [`Dialect::read`].
    pub fn ask<'r>(self, request: &Request<'r>) -> Result<Ask<'r>, Rejected> {
        barrier::metadata(request.headers)?;
        let text = match *request.method {
            Method::GET => request.query.as_bytes(),
            Method::POST => {
                check_content_type(request.headers)?;
                request.body
            }
            _ => return Err(Rejected::Method { allow: "GET, POST" }),
        };
        let names = [
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
        let [resource, client, object, principal, msi, mi, claims, refused, bypass] = fields::read(text, names)?;
        Ok(Ask {
            door: Door::CloudShell,
            selector: fields::selector(client, [object, principal], [msi, mi])?,
            tenant: None,
            resource: fields::resource(resource)?,
            key: self.key(request.path),
            raw_key: None,
            capable: false,
            renew: renewal::of(claims, refused, bypass)?,
        })
    }

    /// Decoded as a path is, where a plus stands for itself.
    fn key(self, path: &str) -> Field<'_> {
        if self == Self::Bare {
            return None;
        }
        let segment = path.split('/').filter(|segment| !segment.is_empty()).nth(1)?;
        Some(percent_decode_str(segment).decode_utf8_lossy())
    }
}

/// A form, or nothing said: whoever sends another kind of body would not be understood.
fn check_content_type(headers: &HeaderMap) -> Result<(), Rejected> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let kind: Cow<'_, str> = String::from_utf8_lossy(value.as_bytes());
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") { Ok(()) } else { Err(Rejected::ContentType) }
}

#[cfg(test)]
mod tests;
