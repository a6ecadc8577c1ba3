//! Refresh tokens: each use gives a new one (contract A14).
//!
//! Easy to get wrong: at Entra the old one stays valid; that each is used once only is a setting here, for clients
//! that have to survive it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::code::{hash, opaque};
use super::directory::Application;
use super::request::TokenRequest;
use super::rules::{self, Refusal};
use super::session::Session;
use super::users::Users;
use crate::ids::Guid;
use crate::secret::Secret;

/// Entra forgets a refresh token that was not used for 90 days.
const IDLE: u64 = 90 * 86_400;
/// Idle ones are known for so long, so that they are refused as idle.
const REMEMBERED: u64 = 2 * IDLE;

struct RefreshToken {
    tenant: Guid,
    client_id: Guid,
    session: Session,
    issued: u64,
    used: bool,
}

/// The refresh tokens by the hash of their text.
pub(super) struct RefreshTokens {
    tokens: Mutex<HashMap<String, RefreshToken>>,
    /// Each may be used once only.
    single_use: bool,
    /// By policy users have to sign in again after this.
    sign_in_frequency: Option<Duration>,
}

impl RefreshTokens {
    pub(super) fn new(single_use: bool, sign_in_frequency: Option<Duration>) -> Self {
        Self { tokens: Mutex::default(), single_use, sign_in_frequency }
    }

    pub(super) fn issue(&self, application: &Application, session: &Session, now: u64) -> Secret {
        let text = format!("1.r.{}", opaque());
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, old| old.issued.saturating_add(REMEMBERED) > now);
        let token = RefreshToken {
            tenant: application.settings.tenant.clone(),
            client_id: application.settings.client_id.clone(),
            session: Session { nonce: None, ..session.clone() },
            issued: now,
            used: false,
        };
        tokens.insert(hash(&text), token);
        Secret::new(text)
    }

    /// The sign-in that the request's token stands for.
    pub(super) fn check(
        &self,
        request: &TokenRequest,
        application: &Application,
        users: &Users,
        now: u64,
    ) -> Result<Session, Refusal> {
        let text = request.required("refresh_token", &rules::REFRESH_MISSING)?;
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(&hash(text)).ok_or_else(|| {
            rules::REFRESH_UNKNOWN.refuse("The provided authorization code or refresh token is malformed or invalid.")
        })?;
        if token.client_id != application.settings.client_id || token.tenant != application.settings.tenant {
            return Err(rules::REFRESH_CLIENT.refuse("The provided refresh token was issued to another client."));
        }
        if now >= token.issued.saturating_add(IDLE) {
            return Err(rules::REFRESH_IDLE.refuse("The refresh token has expired due to inactivity."));
        }
        let user = users.by_object(token.session.user.as_str());
        if user.is_none_or(|user| user.mark() != token.session.mark) {
            return Err(rules::REFRESH_REVOKED.refuse(
                "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might \
                 have changed or reset their password.",
            ));
        }
        let signed_in = token.session.signed_in;
        if self.sign_in_frequency.is_some_and(|often| now >= signed_in.saturating_add(often.as_secs())) {
            return Err(rules::REFRESH_FREQUENCY.refuse(
                "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.",
            ));
        }
        Ok(token.session.clone())
    }

    /// Notes the use; the last check, so that a refused request uses nothing up.
    pub(super) fn spend(&self, request: &TokenRequest) -> Result<(), Refusal> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = tokens.get_mut(&hash(request.field("refresh_token").unwrap_or_default())) else {
            return Ok(());
        };
        if self.single_use && token.used {
            return Err(rules::REFRESH_USED.refuse("The provided refresh token was used before."));
        }
        token.used = true;
        Ok(())
    }
}
