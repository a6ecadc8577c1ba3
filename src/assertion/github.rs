//! GitHub Actions' identity token, asked for anew at every exchange (contract C2).
//!
//! Easy to get wrong: the request URL has a query already, and without our `audience` GitHub answers with the owner's
//! URL as audience, which Entra refuses.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use http::HeaderValue;
use http::header::{ACCEPT, AUTHORIZATION};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::{Assertion, AssertionError, AssertionSource, Wanted, jwt};
use crate::clock::Clock;
use crate::facts::Facts;
use crate::outbound::{Answer, Outbound, Request};
use crate::secret::Secret;

/// Asks the runner's token endpoint.
pub struct GithubSource {
    outbound: Arc<Outbound>,
    url: Url,
    bearer: Secret,
    audience: String,
    clock: Arc<dyn Clock>,
}

impl GithubSource {
    /// URL and token are those of `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    #[must_use]
    pub fn new(
        outbound: Arc<Outbound>,
        request_url: &Url,
        request_token: Secret,
        audience: String,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut url = request_url.clone();
        url.query_pairs_mut().append_pair("audience", &audience);
        Self { outbound, url, bearer: request_token, audience, clock }
    }

    async fn ask(&self, wanted: Wanted<'_>) -> Result<Assertion, AssertionError> {
        // A token that cannot be sent in a header is one that GitHub did not make.
        let text = Zeroizing::new(format!("Bearer {}", self.bearer.expose()));
        let mut bearer = HeaderValue::from_str(&text).map_err(|_| AssertionError::GithubRefused { status: 401 })?;
        bearer.set_sensitive(true);
        let request = Request::get(self.url.clone())
            .with(ACCEPT, HeaderValue::from_static("application/json; api-version=2.0"))
            .with(AUTHORIZATION, bearer);
        let answer = self.outbound.send(request).await;
        let jwt = read(&answer.map_err(|source| AssertionError::GithubUnreached { source })?)?;
        let flawed =
            |observed: &Facts, source| AssertionError::GithubFlawed { observed: Box::new(observed.clone()), source };
        let facts = jwt::facts(jwt.expose()).map_err(|flaw| flawed(&Facts::default(), flaw))?;
        jwt::check(&facts, &self.audience, self.clock.now().epoch()).map_err(|flaw| flawed(&facts, flaw))?;
        let mark = jwt.fingerprint();
        if wanted.refused.contains(&mark) {
            return Err(AssertionError::Exhausted);
        }
        Ok(Assertion { jwt, mark, facts })
    }
}

fn read(answer: &Answer) -> Result<Secret, AssertionError> {
    #[derive(Deserialize)]
    struct Body {
        value: String,
    }
    let is_page = answer.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    match answer.status {
        200 => {}
        // A page is a proxy's or a gateway's: its no is not GitHub's, and passes.
        status @ (401 | 403) if !is_page => return Err(AssertionError::GithubRefused { status }),
        status => return Err(AssertionError::GithubUnavailable { status }),
    }
    let body: Body = serde_json::from_slice(&answer.body).map_err(|_| AssertionError::GithubMalformed)?;
    Ok(Secret::new(body.value))
}

impl fmt::Debug for GithubSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GithubSource({})", self.url.host_str().unwrap_or_default())
    }
}

impl AssertionSource for GithubSource {
    fn assertion<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Assertion, AssertionError>> {
        Box::pin(self.ask(wanted))
    }

    fn kind(&self) -> &'static str {
        "github"
    }

    fn source_expires(&self) -> Option<u64> {
        jwt::peek_expiry(self.bearer.expose())
    }
}
