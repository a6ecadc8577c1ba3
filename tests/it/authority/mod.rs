//! The local authority (contract B11) and the same behind the token proxy (B10): documents first, then a token.

mod families;
mod keys;
mod token_proxy;

use http::Method;
use serde_json::Value;
use url::Url;

use crate::support::http::{Answer, Call, Place};
use crate::support::world::{CLIENT, Plan, World};

/// Where a client of this world believes the authority to be.
struct Authority {
    place: Place,
    /// Scheme, name and port, as the client spells them.
    origin: String,
}

impl Authority {
    fn of(world: &World) -> Vec<Self> {
        let plain = Self { place: world.http().into(), origin: format!("http://{}", world.http()) };
        let over_tls = world.plan.https.then(|| world.tls());
        let over_tls = over_tls.map(|tls| Self { origin: format!("https://{}", tls.host()), place: tls.into() });
        std::iter::once(plain).chain(over_tls).collect()
    }

    /// A GET of a URL that must be here.
    async fn get(&self, url: &str) -> Answer {
        Call::get(self.place.clone(), self.path(url)).send().await
    }

    /// A document that must be there.
    async fn document(&self, url: &str) -> Value {
        let answer = self.get(url).await;
        assert_eq!(answer.status, 200, "{url}: {}", answer.body);
        answer.json()
    }

    /// A POST of a form to a URL that must be here.
    async fn post(&self, url: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let call = Call::form(self.place.clone(), self.path(url), fields);
        headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send().await
    }

    /// The path and query of a URL at this authority.
    fn path(&self, url: &str) -> String {
        let path = url.strip_prefix(&self.origin).unwrap_or_else(|| panic!("{url} is not at {}", self.origin));
        assert!(path.starts_with('/'), "{url}");
        path.to_owned()
    }
}

/// A world with its doors over TLS too, as every one of these clients wants them (contract B11).
async fn world_of(plan: Plan) -> World {
    World::of(Plan { https: true, ..plan }).await
}

/// What every confidential client with a secret sends, for v2.
fn form<'a>(key: &'a str, scope: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![("grant_type", "client_credentials"), ("client_id", CLIENT), ("client_secret", key), ("scope", scope)]
}

/// A text of a document.
fn text<'a>(document: &'a Value, field: &str) -> &'a str {
    document[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {document}"))
}

/// Scheme, name and port, by which Go and JS compare.
fn origin(url: &str) -> String {
    Url::parse(url).unwrap().origin().ascii_serialization()
}

/// Checks Entra's error object of an unknown tenant.
fn assert_unknown_tenant(answer: &Answer) {
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(answer.text("error"), "invalid_tenant");
    assert_eq!(answer.json()["error_codes"], serde_json::json!([90_002]));
    assert!(answer.text("error_description").contains("(unsecret: unknown-tenant)"), "{}", answer.body);
}

/// The same request without a body in the answer.
async fn head(authority: &Authority, url: &str) -> Answer {
    Call::get(authority.place.clone(), authority.path(url)).method(Method::HEAD).send().await
}
