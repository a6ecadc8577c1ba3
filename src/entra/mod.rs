//! Asks Entra for an access token: one POST to the v2 token endpoint (contract A2).
//!
//! Not a retry loop (`mint::exchange` decides) and no cache. Easy to get wrong: whatever answers is not necessarily
//! Entra; a proxy's page must never be taken for Entra's opinion of our configuration.

mod error;
mod relay;
mod wire;

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::authority::Authority;
use crate::claims::Claims;
use crate::clock::Clock;
use crate::facts::Facts;
use crate::ids::{Guid, Resource};
use crate::outbound::{Answer, Outbound, Request};
use crate::secret::Secret;

pub use error::{EntraError, Fault, Marks};
pub use relay::{Passed, RelayRequest};
pub use wire::{Granted, read, read_keys, read_metadata};

/// One request for an access token.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    pub authority: &'a Authority,
    pub client_id: &'a Guid,
    pub resource: &'a Resource,
    /// What is asked of the token beside.
    pub claims: &'a Claims,
    pub assertion: &'a Secret,
    /// What the assertion says, for the remedy when Entra refuses it.
    pub presented: &'a Facts,
}

/// Entra's token endpoint, as far as this program uses it.
#[derive(Clone, Debug)]
pub struct Entra {
    outbound: Arc<Outbound>,
    clock: Arc<dyn Clock>,
}

/// What Entra gave, and what its answer tells beside.
#[derive(Debug)]
pub struct Exchanged {
    pub granted: Granted,
    pub marks: Marks,
}

impl Entra {
    #[must_use]
    pub fn new(outbound: Arc<Outbound>, clock: Arc<dyn Clock>) -> Self {
        Self { outbound, clock }
    }

    /// One POST, one answer. Cancel-safe; a failure changes nothing.
    pub async fn exchange(&self, ask: TokenRequest<'_>) -> Result<Exchanged, EntraError> {
        let correlation_id = Guid::random();
        let request = decorated(Request::post_form(ask.authority.token_url(), wire::form(ask)), &correlation_id);
        let answer = self.outbound.send(request).await;
        let answer = answer.map_err(|source| EntraError::Unreached {
            authority: ask.authority.to_string(),
            correlation_id: correlation_id.to_string(),
            source: Box::new(source),
        })?;
        wire::read(&answer, &correlation_id, self.clock.now(), ask.presented)
            .map_err(|error| error.asked_by(ask.client_id, ask.authority))
    }

    /// Reads the tenant's OIDC metadata (contract A1): tells whether Entra is reached, and its clock, and costs no token
    /// request. Cancel-safe; changes nothing.
    pub async fn metadata(&self, authority: &Authority) -> Result<Marks, EntraError> {
        let (answer, correlation_id) = self.get(authority, authority.metadata_url()).await?;
        wire::read_metadata(&answer, &correlation_id, self.clock.now())
    }

    /// Reads the keys by which the tenant's tokens are checked, and gives them as they came. Cancel-safe; changes nothing.
    pub async fn keys(&self, authority: &Authority) -> Result<Vec<u8>, EntraError> {
        let (answer, correlation_id) = self.get(authority, authority.keys_url()).await?;
        wire::read_keys(&answer, &correlation_id, self.clock.now())
    }

    async fn get(&self, authority: &Authority, url: Url) -> Result<(Answer, Guid), EntraError> {
        let correlation_id = Guid::random();
        match self.outbound.send(decorated(Request::get(url), &correlation_id)).await {
            Ok(answer) => Ok((answer, correlation_id)),
            Err(source) => Err(EntraError::Unreached {
                authority: authority.to_string(),
                correlation_id: correlation_id.to_string(),
                source: Box::new(source),
            }),
        }
    }
}

/// The headers by which Entra's logs can be searched for this request (contract A2).
fn decorated(request: Request, correlation_id: &Guid) -> Request {
    let name = HeaderName::from_static;
    let id = HeaderValue::from_str(correlation_id.as_str()).unwrap_or(HeaderValue::from_static(""));
    request
        .with(name("x-client-sku"), HeaderValue::from_static("unsecret"))
        .with(name("x-client-ver"), HeaderValue::from_static(env!("CARGO_PKG_VERSION")))
        .with(name("client-request-id"), id)
        .with(name("return-client-request-id"), HeaderValue::from_static("true"))
}
