//! The token endpoints that applications already know, one file each: bytes → [`Ask`], token or refusal → bytes.
//!
//! Pure translation: no I/O, no state, no clock. Not policy (who may) and not the guard (what nobody may). Easy to get
//! wrong: nothing here may panic or allocate much on what a stranger sends, and a refusal keeps the shape of its door,
//! because SDKs that cannot parse one report something else entirely (contract B0.11).

mod app_service;
mod barrier;
mod body;
mod cloud_shell;
mod document;
mod fields;
mod imds;
mod oauth;
mod plain;
mod refusal;
mod rejected;
mod renewal;
mod sender;
mod token_proxy;

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::broker::{Form, Minted, Shape};
use crate::clock::Now;
use crate::ids::Door;
use crate::policy::{Ask, RelayAsk};

pub use app_service::AppService;
pub use cloud_shell::CloudShell;
pub use document::{Document, Documents, Version};
pub use imds::Imds;
pub use oauth::Oauth;
pub use plain::Plain;
pub use refusal::Refusal;
pub use rejected::Rejected;
pub use sender::{Sender, holds_local_key};
pub use token_proxy::TokenProxy;

/// One token endpoint as its clients know it.
pub trait Dialect: Send + Sync + fmt::Debug {
    /// Its name.
    fn door(&self) -> Door;

    /// Its name for this request: one path may be two doors. Known before the request is read, so that a closed door is
    /// closed to whatever knocks.
    fn door_of(&self, _query: &str, _headers: &HeaderMap) -> Door {
        self.door()
    }

    /// What is asked. Headers that keep strangers out are looked at first, so that a probe is answered at once.
    ///
    /// # Errors
    /// [`Rejected`]: the caller's fault, and mended only by the caller.
    fn read<'r>(&self, request: &Request<'r>) -> Result<Heard<'r>, Rejected>;

    /// The shape of its success body.
    fn shape(&self) -> Shape;

    /// The body of a refusal; status and headers are the [`Refusal`]'s own.
    fn refuse(&self, refusal: &Refusal, now: Now) -> Vec<u8>;

    /// The body of a success, the same one for all who ask in the same second.
    fn render(&self, minted: &Minted, now: Now) -> Bytes {
        body::write(minted, self.shape(), now)
    }
}

/// What a request turns out to be.
#[derive(Debug)]
pub enum Heard<'r> {
    /// A token of the application's own.
    Ask(Ask<'r>),
    /// What an authority tells of itself.
    Document(Document<'r>),
    /// What belongs to a user of the application, to be passed on. In a box: asks are many, and smaller.
    Relay(Box<RelayRequest<'r>>),
}

/// Who wants a grant passed on, and the form to pass on.
#[derive(Debug)]
pub struct RelayRequest<'r> {
    pub ask: RelayAsk<'r>,
    pub form: Form,
}

impl<'r> Heard<'r> {
    /// The ask, if it is one.
    #[must_use]
    pub fn ask(self) -> Option<Ask<'r>> {
        match self {
            Self::Ask(ask) => Some(ask),
            Self::Document(_) | Self::Relay(_) => None,
        }
    }
}

/// A request as dialects see it. Query, headers and body may hold local keys, so it does not print them.
#[derive(Clone, Copy)]
pub struct Request<'r> {
    pub method: &'r Method,
    pub path: &'r str,
    /// Without the question mark; empty when there is none.
    pub query: &'r str,
    pub headers: &'r HeaderMap,
    pub body: &'r [u8],
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", self.method).finish_non_exhaustive()
    }
}

/// Which dialect a path belongs to. Repeated slashes and a final one do not matter: Java doubles the first (contract
/// B2), msrestazure appends one (B3).
#[must_use]
pub fn route(path: &str) -> Option<&'static dyn Dialect> {
    // As nearly every client spells them: a comparison each, where splitting costs a thousand instructions.
    match path {
        "/metadata/identity/oauth2/token" => return Some(&Imds),
        "/msi/token" => return Some(&AppService),
        _ => {}
    }
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let parts = [(); 4].map(|()| segments.next());
    if segments.next().is_some() {
        return token_proxy::route(path);
    }
    let is = |part: Option<&str>, word: &str| part.is_some_and(|part| part.eq_ignore_ascii_case(word));
    let [one, two, three, four] = parts;
    if is(one, "metadata") && is(two, "identity") && is(three, "oauth2") && is(four, "token") {
        Some(&Imds)
    } else if is(one, "msi") && is(two, "token") && three.is_none() {
        Some(&AppService)
    } else if is(two, "oauth2") && is(three, "v2.0") && is(four, "token") {
        Some(&Oauth::V2)
    } else if is(two, "oauth2") && is(three, "token") && four.is_none() {
        Some(&Oauth::V1)
    } else if is(one, "cloud-shell") && is(three, "oauth2") && is(four, "token") {
        Some(&CloudShell::Keyed)
    } else if is(one, "oauth2") && is(two, "token") && three.is_none() {
        Some(&CloudShell::Bare)
    } else if two.is_none() {
        plain(one)
    } else if document::is_at(path) {
        Some(&Documents::OAUTH)
    } else {
        token_proxy::route(path)
    }
}

fn plain(word: Option<&str>) -> Option<&'static dyn Dialect> {
    match word {
        Some(word) if word.eq_ignore_ascii_case("token") => Some(&Plain::Token),
        Some(word) if word.eq_ignore_ascii_case("header") => Some(&Plain::Header),
        _ => None,
    }
}

/// The body of a refusal on a path that is no door.
#[must_use]
pub fn refuse_elsewhere(refusal: &Refusal, now: Now) -> Vec<u8> {
    refusal.entra_object(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door_of(path: &str) -> Option<Door> {
        route(path).map(Dialect::door)
    }

    #[test]
    fn every_spelling_that_clients_use_reaches_its_door() {
        for path in [
            "/metadata/identity/oauth2/token",
            "//metadata/identity/oauth2/token",
            "/metadata/identity/oauth2/token/",
            "/Metadata/Identity/OAuth2/Token",
        ] {
            assert_eq!(door_of(path), Some(Door::Imds), "{path}");
        }
        for path in ["/msi/token", "/msi/token/", "/MSI/token"] {
            assert_eq!(door_of(path), Some(Door::AppService), "{path}");
        }
        let tenant = "11111111-aaaa-4bbb-8ccc-222222222222";
        for rest in ["oauth2/v2.0/token", "OAuth2/V2.0/token", "oauth2/token"] {
            assert_eq!(door_of(&format!("/{tenant}/{rest}")), Some(Door::Oauth), "{rest}");
        }
        for path in ["/oauth2/token", "/OAuth2/token/", "/cloud-shell/k/oauth2/token", "//Cloud-Shell/k/oauth2/token"] {
            assert_eq!(door_of(path), Some(Door::CloudShell), "{path}");
        }
        for path in ["/token", "/header", "/token/", "/Header"] {
            assert_eq!(door_of(path), Some(Door::Plain), "{path}");
        }
    }

    #[test]
    fn the_version_of_the_oauth_door_is_in_its_path() {
        assert_eq!(route("/t.example/oauth2/v2.0/token").map(Dialect::shape), Some(Shape::OauthV2));
        assert_eq!(route("/t.example/oauth2/token").map(Dialect::shape), Some(Shape::OauthV1));
    }

    #[test]
    fn what_else_the_metadata_service_offers_is_no_door() {
        for path in [
            "/",
            "",
            "*",
            "/metadata/instance",
            "/metadata/instance/compute/location",
            "/metadata/identity/getplatformmetadata",
            "/metadata/identity/issuecredential",
            "/metadata/identity/oauth2/token/more",
            "/msi/token/more",
            "/token/more",
            "/headers",
            "/oauth2",
            "/oauth2/token/more/x",
            "/cloud-shell/k/oauth2/v2.0/token",
            "/cloud-shell/k/token",
            "/t/oauth2/v2.0/authorize",
            "/t/v2.0/.well-known/openid-configuration/more",
            "/common/discovery/instances",
        ] {
            assert!(route(path).is_none(), "{path}");
        }
    }
}
