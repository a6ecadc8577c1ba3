//! Authorization codes: made by `authorize`, redeemed once at the token endpoint (contract A14).
//!
//! Easy to get wrong: two redemptions may come at the same time, so the last check of all marks the code as redeemed
//! while it holds the lock; and a refused redemption must not use the code up.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::directory::Application;
use super::request::TokenRequest;
use super::rules::{self, Refusal};
use super::session::Session;
use crate::ids::Guid;
use crate::secret::{Fingerprint, Secret};

/// Entra's codes live ten minutes.
const LIFE: u64 = 600;
/// Expired and redeemed codes are known for so long, so that each is refused with its own number.
const REMEMBERED: u64 = 86_400;

/// What the authorize request fixed.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) tenant: Guid,
    pub(super) client_id: Guid,
    pub(super) redirect_uri: String,
    /// The redirect URI is that of a single-page application.
    pub(super) single_page: bool,
    pub(super) challenge: Option<Challenge>,
    pub(super) session: Session,
    redeemed: bool,
}

impl Code {
    pub(super) fn new(application: &Application, redirect_uri: &str, single_page: bool, session: Session) -> Self {
        Self {
            tenant: application.settings.tenant.clone(),
            client_id: application.settings.client_id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            single_page,
            challenge: None,
            session,
            redeemed: false,
        }
    }
}

/// PKCE (RFC 7636).
#[derive(Clone)]
pub(super) enum Challenge {
    Plain(String),
    S256(String),
}

impl Challenge {
    fn fits(&self, verifier: &str) -> bool {
        match self {
            Self::Plain(challenge) => challenge == verifier,
            Self::S256(challenge) => *challenge == Fingerprint::of(verifier.as_bytes()).base64url(),
        }
    }
}

/// The codes by the hash of their text.
#[derive(Default)]
pub(super) struct Codes(Mutex<HashMap<String, Code>>);

impl Codes {
    /// A new code.
    pub(super) fn issue(&self, code: Code) -> Secret {
        let text = format!("1.{}", opaque());
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = code.session.signed_in;
        codes.retain(|_, old| old.session.signed_in.saturating_add(REMEMBERED) > now);
        codes.insert(hash(&text), code);
        Secret::new(text)
    }

    /// The code that the request presents, known to be the application's.
    pub(super) fn find(&self, request: &TokenRequest, application: &Application) -> Result<Code, Refusal> {
        let text = request.required("code", &rules::CODE_MISSING)?;
        request.required("redirect_uri", &rules::REDIRECT_MISSING)?;
        let codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let code = codes.get(&hash(text)).ok_or_else(|| {
            rules::CODE_UNKNOWN.refuse("The provided authorization code or refresh token is malformed or invalid.")
        })?;
        if code.client_id != application.settings.client_id || code.tenant != application.settings.tenant {
            return Err(rules::CODE_CLIENT.refuse("The provided authorization code was issued to another client."));
        }
        Ok(code.clone())
    }

    /// Uses the code up: only one redemption gets through.
    pub(super) fn redeem(&self, request: &TokenRequest) -> Result<(), Refusal> {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match codes.get_mut(&hash(request.field("code").unwrap_or_default())) {
            Some(code) if !code.redeemed => {
                code.redeemed = true;
                Ok(())
            }
            _ => Err(rules::CODE_REDEEMED.refuse(
                "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing \
                 refresh token.",
            )),
        }
    }
}

/// That the code is in time, for this redirect URI and for whoever knows the verifier.
pub(super) fn check(code: &Code, request: &TokenRequest, now: u64) -> Result<(), Refusal> {
    if now >= code.session.signed_in.saturating_add(LIFE) {
        return Err(rules::CODE_EXPIRED.refuse(
            "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive \
             authorization request for this user and resource.",
        ));
    }
    if request.field("redirect_uri") != Some(&code.redirect_uri) {
        return Err(rules::REDIRECT_DIFFERENT.refuse(format!(
            "The reply address '{}' does not match the reply address '{}' provided when requesting Authorization code.",
            super::journal::cut(request.field("redirect_uri").unwrap_or_default()),
            code.redirect_uri
        )));
    }
    let Some(challenge) = &code.challenge else { return Ok(()) };
    let verifier = request.required("code_verifier", &rules::VERIFIER_MISSING)?;
    if challenge.fits(verifier) {
        return Ok(());
    }
    Err(rules::VERIFIER_WRONG
        .refuse("The Code_Verifier does not match the code_challenge supplied in the authorization request."))
}

/// That a single-page application redeems from a page: there is an `Origin`.
pub(super) fn check_origin(code: &Code, request: &TokenRequest) -> Result<(), Refusal> {
    if code.single_page && !request.cross_origin {
        return Err(rules::CODE_SINGLE_PAGE.refuse(
            "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests.",
        ));
    }
    Ok(())
}

/// As long as nobody can guess.
pub(super) fn opaque() -> String {
    format!("{}{}", Guid::random(), Guid::random()).replace('-', "")
}

/// By which codes and refresh tokens are kept: nobody who sees the map can use what is in it.
pub(super) fn hash(text: &str) -> String {
    Fingerprint::of(text.as_bytes()).hex()
}
