//! The legacy app: it knows a token URL, a client id and a secret, and nothing else.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use crate::outbound::{Answer, Outbound, Request};
use crate::problem::chain;
use crate::secret::Secret;

/// An app configured years ago.
pub(super) struct LegacyApp {
    pub(super) http: Arc<Outbound>,
    pub(super) token_url: Url,
    pub(super) client_id: String,
    pub(super) secret: Secret,
    pub(super) scope: String,
}

impl LegacyApp {
    pub(super) fn token_url(&self) -> &Url {
        &self.token_url
    }

    pub(super) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The request that every OAuth 2 client makes; the same whoever is at the other end.
    pub(super) async fn ask(&self) -> Result<Seen, String> {
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.client_id)
            .append_pair("client_secret", self.secret.expose())
            .append_pair("scope", &self.scope)
            .finish();
        let request = Request::post_form(self.token_url.clone(), Zeroizing::new(form.into_bytes()));
        Seen::of(&self.http.send(request).await.map_err(|error| format!("the app's request: {}", chain(&error)))?)
    }
}

/// What the app got to see.
pub(super) struct Seen {
    status: u16,
    token: Option<Secret>,
    expires_in: String,
    error: String,
    numbers: Vec<u64>,
}

impl Seen {
    pub(super) fn of(answer: &Answer) -> Result<Self, String> {
        let body: Value = serde_json::from_slice(&answer.body).map_err(|_| "an answer is not JSON".to_owned())?;
        let text = |field: &str| body[field].as_str().map(str::to_owned);
        let number = |field: &str| body[field].as_u64().map(|number| number.to_string()).or_else(|| text(field));
        Ok(Self {
            status: answer.status,
            token: text("access_token").map(Secret::new),
            expires_in: number("expires_in").unwrap_or_default(),
            error: text("error").or_else(|| text("message")).unwrap_or_default(),
            numbers: body["error_codes"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
        })
    }

    pub(super) fn expect_token(&self) -> Result<(), String> {
        if self.status == 200 && self.token.is_some() { Ok(()) } else { Err(format!("no token but {self}")) }
    }

    pub(super) fn expect_refusal(&self, number: u64) -> Result<(), String> {
        if self.numbers.contains(&number) { Ok(()) } else { Err(format!("not AADSTS{number} but {self}")) }
    }

    pub(super) fn same_token(&self, other: &Self) -> bool {
        match (&self.token, &other.token) {
            (Some(one), Some(other)) => one.fingerprint() == other.fingerprint(),
            _ => false,
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.token.is_some() {
            return write!(f, "{}, a token for {} s", self.status, self.expires_in);
        }
        write!(f, "{}, {}", self.status, self.error)?;
        self.numbers.iter().try_for_each(|number| write!(f, " AADSTS{number}"))
    }
}
