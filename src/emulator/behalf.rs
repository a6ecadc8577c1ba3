//! On-behalf-of: a user's token for this application becomes one for the next API (contract A14).
//!
//! Easy to get wrong: the token's audience must be the application itself, by its client id or its `api://` form, and
//! somebody must have signed in: an app-only token is nobody's.

use serde_json::Value;

use super::directory::Application;
use super::jwt::Jwt;
use super::request::TokenRequest;
use super::rules::{self, Refusal};
use super::session::Session;
use super::tokens;
use super::users::Users;
use crate::ids::Guid;

/// The fields that every request has.
pub(super) fn check_form(request: &TokenRequest) -> Result<(), Refusal> {
    request.required("assertion", &rules::BEHALF_ASSERTION_MISSING)?;
    if request.field("requested_token_use") == Some("on_behalf_of") {
        return Ok(());
    }
    Err(rules::BEHALF_USE.refuse("The request body must contain the following parameter: 'requested_token_use'."))
}

/// The sign-in that the user's token stands for.
pub(super) fn check(
    request: &TokenRequest,
    application: &Application,
    users: &Users,
    now: u64,
) -> Result<Session, Refusal> {
    let text = request.field("assertion").unwrap_or_default();
    let jwt = Jwt::parse(text).ok_or_else(|| rules::BEHALF_NOT_A_JWT.refuse("JWT token is invalid or malformed."))?;
    if !tokens::is_ours(&jwt) {
        return Err(rules::BEHALF_SIGNATURE.refuse(
            "Assertion failed signature validation. [Reason - The provided signature value did not match the expected \
             signature value.]",
        ));
    }
    let client_id = application.settings.client_id.as_str();
    let audience = jwt.claim("aud").unwrap_or_default();
    if audience.strip_prefix("api://").unwrap_or(audience) != client_id {
        return Err(rules::BEHALF_AUDIENCE.refuse(format!(
            "Assertion audience does not match the Client app presenting the assertion. The audience in the assertion \
             was '{}' and the expected audience is '{client_id}' or 'api://{client_id}'.",
            super::journal::cut(audience)
        )));
    }
    if jwt.claims.get("exp").and_then(Value::as_u64).is_none_or(|end| end <= now) {
        return Err(rules::BEHALF_EXPIRED.refuse("Assertion is not within its valid time range."));
    }
    let user = jwt.claim("oid").filter(|_| jwt.claim("scp").is_some()).and_then(|oid| users.by_object(oid));
    let Some(user) = user.filter(|user| user.settings.tenant == application.settings.tenant) else {
        return Err(rules::BEHALF_APP_ONLY.refuse("Application is not allowed to make application on-behalf-of calls."));
    };
    Ok(session(user.object_id.clone(), user.mark(), now))
}

/// A sign-in that names nothing for later requests.
pub(super) fn session(user: Guid, mark: u64, now: u64) -> Session {
    Session { user, mark, signed_in: now, scope: String::new(), resource: None, nonce: None }
}
