//! The OIDC issuers that the emulator knows, and those it plays itself.
//!
//! A played issuer serves discovery and keys over plain HTTP at its `at`, mints platform tokens, and answers as GitHub's
//! token endpoint does (contract C2). Not the judge of these documents (`metadata` is, and reads them over the wire as it
//! reads anybody's). Easy to get wrong: all rules apply to the issuer's URL, only the dialling goes to `at`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use super::EmulatorError;
use super::dial::{self, Stream, Trust};
use super::jwt::SigningKey;
use super::settings::{GithubSettings, IssuerSettings};
use crate::clock::Clock;
use crate::ids::Guid;
use crate::secret::Secret;

/// The path of GitHub's endpoint on a played issuer.
pub(super) const GITHUB_PATH: &str = "/_github/token";

const DISCOVERY: &str = ".well-known/openid-configuration";

/// What a platform token says; everything may be overridden, so that tests can make wrong ones.
#[derive(Clone, Debug)]
pub struct PlatformToken {
    pub subject: String,
    pub audience: String,
    pub life: Duration,
    /// Laid over the header; `null` takes a field away.
    pub header: Map<String, Value>,
    /// Laid over the claims; `null` takes a claim away.
    pub claims: Map<String, Value>,
}

impl PlatformToken {
    /// A right token that lives an hour.
    pub fn new(subject: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            audience: audience.into(),
            life: Duration::from_secs(3_600),
            header: Map::new(),
            claims: Map::new(),
        }
    }

    /// Sets a header field, or takes it away with `Value::Null`.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Sets a claim, or takes it away with `Value::Null`.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }
}

/// Every issuer that was declared.
pub(super) struct Issuers(pub(super) Vec<Issuer>);

impl Issuers {
    /// A connection for this URL: to the issuer of the same origin, or to nobody.
    pub(super) async fn dial(&self, url: &Url) -> Option<Box<dyn Stream>> {
        let same = |issuer: &&Issuer| Url::parse(&issuer.url).is_ok_and(|own| own.origin() == url.origin());
        let issuer = self.0.iter().find(same)?;
        dial::connect(issuer.at, issuer.trust.as_ref(), url).await
    }

    pub(super) fn played(&self, url: &str) -> Result<(&Issuer, &Played), EmulatorError> {
        let issuer = self.0.iter().find(|issuer| issuer.url == url);
        let played = issuer.and_then(|issuer| Some((issuer, issuer.played.as_ref()?)));
        played.ok_or_else(|| EmulatorError::UnknownIssuer(url.to_owned()))
    }
}

/// A declared issuer.
pub(super) struct Issuer {
    pub(super) url: String,
    /// For a played issuer the address that was really bound.
    pub(super) at: SocketAddr,
    /// Spoken to over TLS, by whom this vouches for; `None`: in plain HTTP.
    trust: Option<Trust>,
    pub(super) played: Option<Played>,
}

/// What only an issuer has that the emulator plays.
pub(super) struct Played {
    /// Made when it is first needed: that takes a noticeable fraction of a second.
    key: Mutex<Option<Arc<SigningKey>>>,
    /// Laid over the discovery document; `null` takes a field away.
    altered: Mutex<Map<String, Value>>,
    pub(super) github: Option<GithubSettings>,
}

impl Issuer {
    pub(super) fn new(
        settings: &IssuerSettings,
        at: SocketAddr,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, EmulatorError> {
        let trust = settings.ca_file.as_ref().map(|path| Trust::read(path, Arc::clone(clock))).transpose()?;
        let played = settings.hosted.then(|| Played {
            key: Mutex::default(),
            altered: Mutex::default(),
            github: settings.github.clone(),
        });
        Ok(Self { url: settings.url.clone(), at, trust, played })
    }

    /// The URL that discovery takes for this issuer: one slash between, whether or not the issuer ends in one.
    pub(super) fn below(&self, path: &str) -> String {
        format!("{}/{path}", self.url.strip_suffix('/').unwrap_or(&self.url))
    }

    /// Answers a GET on a played issuer.
    pub(super) fn answer(&self, uri: &Uri, headers: &HeaderMap, now: u64) -> (StatusCode, Value) {
        let Some(played) = &self.played else { return not_found() };
        let is = |path: &str| Url::parse(&self.below(path)).is_ok_and(|url| url.path() == uri.path());
        if is(DISCOVERY) {
            (StatusCode::OK, Value::Object(self.document(played)))
        } else if is("keys") {
            let keys: Vec<_> = played.key().iter().map(|key| key.jwk()).collect();
            (StatusCode::OK, json!({ "keys": keys }))
        } else if uri.path() == GITHUB_PATH {
            self.github(played, uri, headers, now)
        } else {
            not_found()
        }
    }

    fn document(&self, played: &Played) -> Map<String, Value> {
        let mut document = Map::from_iter([
            ("issuer".to_owned(), json!(self.url)),
            ("jwks_uri".to_owned(), json!(self.below("keys"))),
            ("response_types_supported".to_owned(), json!(["id_token"])),
            ("subject_types_supported".to_owned(), json!(["public"])),
            ("id_token_signing_alg_values_supported".to_owned(), json!(["RS256"])),
        ]);
        lay_over(&mut document, &played.altered.lock().unwrap_or_else(PoisonError::into_inner));
        document
    }

    /// `{"value": "eyJ…"}` for the right bearer (contract C2).
    fn github(&self, played: &Played, uri: &Uri, headers: &HeaderMap, now: u64) -> (StatusCode, Value) {
        let Some(github) = &played.github else { return not_found() };
        let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if !bearer.is_some_and(|bearer| Secret::new(bearer).fingerprint() == github.request_token.fingerprint()) {
            return (StatusCode::UNAUTHORIZED, json!({ "message": "the request token is not the job's" }));
        }
        let query = uri.query().unwrap_or_default();
        let asked = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "audience");
        let audience = asked.map_or_else(|| github.owner_url.clone(), |(_, value)| value.into_owned());
        let mut token = PlatformToken::new(github.subject.clone(), audience);
        token.life = github.token_lifetime;
        match played.mint(&self.url, &token.header("typ", "JWT"), now) {
            Ok(jwt) => (StatusCode::OK, json!({ "value": jwt.expose() })),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, json!({ "message": "no token could be signed" })),
        }
    }
}

impl Played {
    /// A new key takes the place of the old one, which is no longer published.
    pub(super) fn rotate(&self) -> Result<(), EmulatorError> {
        let key = SigningKey::generate().map_err(|_| EmulatorError::Key)?;
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(key));
        Ok(())
    }

    /// Alters a field of the discovery document; `null` takes it away, `None` puts it right again.
    pub(super) fn alter(&self, field: &str, value: Option<Value>) {
        let mut altered = self.altered.lock().unwrap_or_else(PoisonError::into_inner);
        match value {
            Some(value) => altered.insert(field.to_owned(), value),
            None => altered.remove(field),
        };
    }

    /// A platform token. Like Kubernetes (contract C1), no `typ` in the header.
    pub(super) fn mint(&self, issuer: &str, token: &PlatformToken, now: u64) -> Result<Secret, EmulatorError> {
        let key = self.key()?;
        let mut header = Map::from_iter([("alg".to_owned(), json!("RS256")), ("kid".to_owned(), json!(key.kid))]);
        let mut claims = Map::from_iter([
            ("iss".to_owned(), json!(issuer)),
            ("sub".to_owned(), json!(token.subject)),
            ("aud".to_owned(), json!(token.audience)),
            ("iat".to_owned(), json!(now)),
            ("nbf".to_owned(), json!(now)),
            ("exp".to_owned(), json!(now.saturating_add(token.life.as_secs()))),
            ("jti".to_owned(), json!(Guid::random().as_str())),
        ]);
        lay_over(&mut header, &token.header);
        lay_over(&mut claims, &token.claims);
        key.sign(&header, &claims).map_err(|_| EmulatorError::Key)
    }

    fn key(&self) -> Result<Arc<SigningKey>, EmulatorError> {
        let mut held = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = &*held {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(SigningKey::generate().map_err(|_| EmulatorError::Key)?);
        *held = Some(Arc::clone(&key));
        Ok(key)
    }
}

fn lay_over(map: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (name, value) in over {
        if value.is_null() {
            map.remove(name);
        } else {
            map.insert(name.clone(), value.clone());
        }
    }
}

fn not_found() -> (StatusCode, Value) {
    (StatusCode::NOT_FOUND, json!({ "message": "no such path on this issuer" }))
}
