//! The grants that carry a user: authorization code, refresh token, on-behalf-of (contract A14).
//!
//! The order of their checks; each grant's own stand in `code`, `refresh` and `behalf`. Easy to get wrong: what may be
//! used once is used up last, when nothing else can refuse the request.

use serde_json::Value;

use super::code::{self, Code};
use super::consent;
use super::delegated::{self, Delegated};
use super::entra::{Asked, Entra, NoToken};
use super::journal::{JournalEntry, cut};
use super::request::TokenRequest;
use super::rules::{self, Refusal};
use super::tokens::Proof;
use super::{behalf, target};

/// What a token request presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    Client,
    Code,
    Refresh,
    Behalf,
}

impl Grant {
    pub(super) fn read(request: &TokenRequest) -> Result<Self, Refusal> {
        match request.required("grant_type", &rules::GRANT_MISSING)? {
            "client_credentials" => Ok(Self::Client),
            "authorization_code" => Ok(Self::Code),
            "refresh_token" => Ok(Self::Refresh),
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => Ok(Self::Behalf),
            other => {
                Err(rules::GRANT_UNKNOWN
                    .refuse(format!("The app requested an unsupported grant type '{}'.", cut(other))))
            }
        }
    }
}

/// Judges a request for a user's tokens.
pub(super) async fn decide(
    entra: &Entra,
    grant: Grant,
    asked: &Asked<'_>,
    seen: &mut JournalEntry,
) -> Result<Value, NoToken> {
    let Asked { request, tenant, application, now, .. } = *asked;
    let code = presented(entra, grant, asked)?;
    let proof = match &code {
        Some(code) if code.single_page => Proof::None,
        _ => entra.authenticate(request, tenant, application, seen, now).await?,
    };
    let session = match code {
        Some(code) => {
            code::check(&code, request, now)?;
            code.session
        }
        None if grant == Grant::Refresh => entra.refresh_tokens.check(request, application, &entra.users, now)?,
        None => behalf::check(request, application, &entra.users, now)?,
    };
    let wish = consent::read(request, Some(&session))?;
    target::exists(&wish.resource, tenant.id.as_str(), &entra.directory)?;
    let names = consent::check(&wish, application)?;
    let user = entra.users.by_object(session.user.as_str());
    let user = user.ok_or_else(|| rules::REFRESH_REVOKED.refuse("The user is not in the directory any more."))?;
    match grant {
        Grant::Code => entra.codes.redeem(request)?,
        Grant::Refresh => entra.refresh_tokens.spend(request)?,
        Grant::Behalf | Grant::Client => {}
    }
    let capable = asked.capable;
    let order = Delegated { application, user, resource: &wish.resource, names: &names, proof, capable, now };
    delegated::issue(entra, asked, &order, &wish, &session).map_err(NoToken::Broken)
}

/// What can be said before the client has proved itself; gives the code, if it is one.
fn presented(entra: &Entra, grant: Grant, asked: &Asked<'_>) -> Result<Option<Code>, Refusal> {
    let request = asked.request;
    match grant {
        Grant::Code => {
            let code = entra.codes.find(request, asked.application)?;
            code::check_origin(&code, request)?;
            Ok(Some(code))
        }
        Grant::Refresh => request.required("refresh_token", &rules::REFRESH_MISSING).map(|_| None),
        Grant::Behalf | Grant::Client => behalf::check_form(request).map(|()| None),
    }
}
