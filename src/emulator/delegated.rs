//! Issues a user's tokens: access token, id token, refresh token (contract A14).
//!
//! Easy to get wrong: `appidacr` says how the *client* proved itself, whoever the user is; and the id token's issuer is
//! the one that the discovery document names, which for access tokens it is not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::EmulatorError;
use super::consent::{self, Wish};
use super::directory::{Application, derived_guid};
use super::entra::{Asked, Entra};
use super::request::Endpoint;
use super::session::Session;
use super::tokens::{self, BACKDATED, Body, Proof, map};
use super::users::User;
use crate::ids::Guid;
use crate::secret::Secret;

const ID_TOKEN_LIFE: u64 = 3_600;

/// What a user's access token says.
pub(super) struct Delegated<'a> {
    pub(super) application: &'a Application,
    pub(super) user: &'a User,
    pub(super) resource: &'a str,
    pub(super) names: &'a [String],
    pub(super) proof: Proof,
    pub(super) capable: bool,
    pub(super) now: u64,
}

/// The JSON body of a success.
pub(super) fn issue(
    entra: &Entra,
    asked: &Asked<'_>,
    order: &Delegated<'_>,
    wish: &Wish,
    session: &Session,
) -> Result<Value, EmulatorError> {
    let (token, life) = access_token(entra, order)?;
    let endpoint = asked.request.endpoint;
    let body = Body { life, refresh_in: None, now: order.now, resource: order.resource };
    let mut body = tokens::body(endpoint, &body, &token);
    let names = order.names.iter().map(|name| match endpoint {
        Endpoint::V1 => name.clone(),
        Endpoint::V2 => format!("{}/{name}", order.resource),
    });
    let scope: Vec<_> = wish.shown().map(str::to_owned).chain(names).collect();
    body["scope"] = json!(scope.join(" "));
    if wish.openid() {
        body["id_token"] = json!(id_token(entra, endpoint, order, session.nonce.as_deref())?);
    }
    if wish.offline() {
        let mut session = session.clone();
        // On-behalf-of had no authorize request: its own scope is what a later request without one means.
        if session.scope.is_empty() {
            session.scope = format!("{} offline_access", scope.join(" "));
        }
        session.resource.get_or_insert_with(|| order.resource.to_owned());
        let refresh = entra.refresh_tokens.issue(order.application, &session, order.now);
        body["refresh_token"] = json!(refresh.expose());
    }
    if asked.request.field("client_info").is_some() {
        let info = json!({ "uid": order.user.object_id.as_str(), "utid": order.user.settings.tenant.as_str() });
        body["client_info"] = json!(URL_SAFE_NO_PAD.encode(info.to_string()));
    }
    Ok(body)
}

/// A signed access token and how long it lives.
pub(super) fn access_token(
    entra: &Entra,
    order: &Delegated<'_>,
) -> Result<(String, std::time::Duration), EmulatorError> {
    let settings = &order.application.settings;
    let continuous = entra.continuous.life(order.application, order.resource, order.capable);
    let life = continuous.unwrap_or(settings.token_lifetime);
    let (tenant, user) = (settings.tenant.as_str(), order.user);
    let start = order.now.saturating_sub(BACKDATED);
    let uti = tokens::uti();
    let mut claims = map(json!({
        "aud": order.resource,
        "iss": format!("https://sts.windows.net/{tenant}/"),
        "iat": start,
        "nbf": start,
        "exp": order.now.saturating_add(life.as_secs()),
        "acr": "1",
        "amr": ["pwd"],
        "appid": settings.client_id.as_str(),
        "appidacr": order.proof.claim(),
        "name": user.settings.name,
        "oid": user.object_id.as_str(),
        "scp": order.names.join(" "),
        "sub": subject(order.resource, user),
        "tid": tenant,
        "unique_name": user.settings.name,
        "upn": user.settings.name,
        "uti": uti,
        "ver": "1.0",
    }));
    if order.names.is_empty() {
        claims.insert("scp".to_owned(), json!("openid profile email"));
    }
    if continuous.is_some() {
        claims.insert("xms_cc".to_owned(), json!(["CP1"]));
        entra.continuous.note(&settings.client_id, uti);
    }
    Ok((tokens::sign(&claims)?.expose().to_owned(), life))
}

/// A user's token for tests, minted without a request.
pub(super) fn minted(entra: &Entra, user: &str, client_id: &Guid, scope: &str) -> Result<Secret, EmulatorError> {
    let user = entra.users.named(user)?;
    let application = entra.directory.application_of(&user.settings.tenant, client_id);
    let application = application.ok_or_else(|| EmulatorError::UnknownApplication(client_id.to_string()))?;
    let wish = consent::from_scope(scope).map_err(|_| EmulatorError::Scope(scope.to_owned()))?;
    let now = entra.clock.now().epoch().saturating_add_signed(entra.faults.common_offset());
    let (resource, names) = (wish.resource.as_str(), wish.names());
    let proof = Proof::Secret;
    let order = Delegated { application, user, resource, names, proof, capable: false, now };
    access_token(entra, &order).map(|(token, _)| Secret::new(token))
}

fn id_token(
    entra: &Entra,
    endpoint: Endpoint,
    order: &Delegated<'_>,
    nonce: Option<&str>,
) -> Result<String, EmulatorError> {
    let settings = &order.application.settings;
    let version = match endpoint {
        Endpoint::V1 => "",
        Endpoint::V2 => "/v2.0",
    };
    let mut claims = map(json!({
        "aud": settings.client_id.as_str(),
        "iss": format!("{}/{}{version}", entra.authority_host(), settings.tenant),
        "iat": order.now.saturating_sub(BACKDATED),
        "nbf": order.now.saturating_sub(BACKDATED),
        "exp": order.now.saturating_add(ID_TOKEN_LIFE),
        "name": order.user.settings.name,
        "oid": order.user.object_id.as_str(),
        "sub": subject(settings.client_id.as_str(), order.user),
        "tid": settings.tenant.as_str(),
        "uti": tokens::uti(),
    }));
    claims.extend(match endpoint {
        Endpoint::V1 => map(json!({
            "upn": order.user.settings.name, "unique_name": order.user.settings.name, "ver": "1.0"
        })),
        Endpoint::V2 => map(json!({ "preferred_username": order.user.settings.name, "ver": "2.0" })),
    });
    if let Some(nonce) = nonce {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    Ok(tokens::sign(&claims)?.expose().to_owned())
}

/// Pairwise: another one for each audience.
fn subject(audience: &str, user: &User) -> String {
    derived_guid(&format!("{audience} {}", user.object_id)).to_string()
}
