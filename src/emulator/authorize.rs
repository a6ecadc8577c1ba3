//! The authorize endpoint for a scripted user agent: no page, the user signs in at once (contract A14).
//!
//! Not a login: whoever asks gets the code of the user whom `login_hint` names. Easy to get wrong: an error may only be
//! sent to a redirect URI that is registered; whatever is wrong before that is known is shown on a page (RFC 6749,
//! section 4.1.2.1).

#![expect(
    clippy::unreadable_literal,
    reason = "AADSTS numbers are written as Entra writes them, so that a search finds them"
)]

use std::collections::HashMap;

use http::header::{HeaderValue, LOCATION};
use http::request::Parts;
use http::{Response, StatusCode};
use url::{Url, form_urlencoded};

use super::answer::{self, Body};
use super::code::{Challenge, Code};
use super::consent;
use super::directory::Application;
use super::entra::Entra;
use super::request::Endpoint;
use super::rules::{Refusal, Rule, rules};
use super::session::Session;
use super::settings::TenantSettings;
use super::token_endpoint::refuse;
use crate::ids::Guid;

rules! {
    AUTHORIZE_RULES, "Every rule of the authorize endpoint, in the order of the checks; 302: the answer is a redirect with the error.";
    CLIENT: "authorize-client-missing", 900144, 400, "invalid_request", "A14", "all of it", "`client_id` is there";
    APPLICATION: "authorize-application", 700016, 400, "unauthorized_client", "A11, A14", "", "the application is in this tenant";
    REDIRECT: "authorize-redirect", 50011, 400, "invalid_request", "A14", "number", "`redirect_uri` is one of the application's, byte for byte";
    RESPONSE_TYPE: "authorize-response-type", 700054, 302, "unsupported_response_type", "A14", "number", "`response_type` is `code`";
    RESPONSE_MODE: "authorize-response-mode", 90023, 302, "invalid_request", "A14", "all of it: Entra knows `fragment` and `form_post`, the emulator does not", "`response_mode`, if there, is `query`";
    SCOPE: "authorize-scope", 70011, 302, "invalid_scope", "A11, A14", "", "`scope` is there (v2), and of one resource";
    CHALLENGE_METHOD: "authorize-challenge-method", 501491, 302, "invalid_request", "A14", "number", "`code_challenge_method`, if there, is `S256` or `plain`";
    CHALLENGE_SIZE: "authorize-challenge-size", 50147, 302, "invalid_request", "A14", "number", "`code_challenge` has 43 to 128 characters";
    SINGLE_PAGE: "authorize-single-page", 9002325, 302, "invalid_request", "A14", "number", "a single-page application sends a `code_challenge`";
    USER: "authorize-user", 50034, 302, "access_denied", "A14", "all of it: Entra shows a page", "`login_hint` names a user of the tenant";
    CONSENT: "authorize-consent", 65004, 302, "consent_required", "A14", "number, `error`", "there is consent for the scope";
}

/// An authorize request on its way through the checks.
struct Wanted<'a> {
    endpoint: Endpoint,
    query: HashMap<String, String>,
    tenant: &'a TenantSettings,
}

impl Wanted<'_> {
    fn field(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }
}

/// Answers a request to an authorize endpoint.
pub(super) fn answer(entra: &Entra, endpoint: Endpoint, tenant: &str, parts: &Parts) -> Response<Body> {
    let now = entra.clock.now().epoch().saturating_add_signed(entra.faults.common_offset());
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let page = |refusal: &Refusal| refuse(entra, refusal, &Guid::random(), now);
    let wanted = match entra.tenant(tenant) {
        Ok(tenant) => Wanted { endpoint, query, tenant },
        Err(refusal) => return page(&refusal),
    };
    let (application, target) = match target(entra, &wanted) {
        Ok(found) => found,
        Err(refusal) => return page(&refusal),
    };
    let mut answer = match code(entra, &wanted, application, now) {
        Ok(code) => vec![("code", entra.codes.issue(code).expose().to_owned())],
        Err(Refusal { rule, says }) => vec![
            ("error", rule.error.to_owned()),
            ("error_description", format!("AADSTS{}: {says}", rule.number)),
            ("error_uri", format!("{}/error?code={}", entra.authority_host(), rule.number)),
        ],
    };
    if let Some(state) = wanted.field("state") {
        answer.push(("state", state.to_owned()));
    }
    redirect(target, &answer)
}

fn redirect(mut target: Url, answer: &[(&str, String)]) -> Response<Body> {
    target.query_pairs_mut().extend_pairs(answer);
    let mut response = answer::plain(StatusCode::FOUND, "text/html", "");
    if let Ok(place) = HeaderValue::from_str(target.as_str()) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

/// The application and where its answers go.
fn target<'a>(entra: &'a Entra, wanted: &Wanted<'_>) -> Result<(&'a Application, Url), Refusal> {
    let client_id = wanted
        .field("client_id")
        .ok_or_else(|| CLIENT.refuse("The request body must contain the following parameter: 'client_id'."))?;
    let application = entra
        .directory
        .application(wanted.tenant, client_id)
        .ok_or_else(|| APPLICATION.refuse("Application was not found in the directory."))?;
    let named = wanted.field("redirect_uri").unwrap_or_default();
    let (settings, wrong) = (&application.settings, || {
        REDIRECT
            .refuse("The redirect URI specified in the request does not match the redirect URIs of the application.")
    });
    let registered = settings.redirect_uris.iter().chain(&settings.single_page_redirect_uris).any(|uri| uri == named);
    let url = Url::parse(named).ok().filter(|_| registered).ok_or_else(wrong)?;
    Ok((application, url))
}

/// The code of the user who signs in.
fn code(entra: &Entra, wanted: &Wanted<'_>, application: &Application, now: u64) -> Result<Code, Refusal> {
    if wanted.field("response_type") != Some("code") {
        return Err(RESPONSE_TYPE.refuse("The response_type is not enabled for the application; enabled is 'code'."));
    }
    if wanted.field("response_mode").is_some_and(|mode| mode != "query") {
        return Err(RESPONSE_MODE.refuse("The response_mode is not supported by the emulator; supported is 'query'."));
    }
    let (scope, resource) = (wanted.field("scope"), wanted.field("resource"));
    let wish = consent::from_query(wanted.endpoint, scope, resource).map_err(|refusal| SCOPE.refuse(refusal.says))?;
    let named = wanted.field("redirect_uri").unwrap_or_default();
    let single_page = application.settings.single_page_redirect_uris.iter().any(|uri| uri == named);
    let challenge = challenge(wanted, single_page)?;
    let user = entra.users.signing_in(&wanted.tenant.id, wanted.field("login_hint")).ok_or_else(|| {
        USER.refuse(
            "The user account does not exist in the directory. To sign into this application, the account must \
                     be added to the directory.",
        )
    })?;
    consent::check(&wish, application).map_err(|refusal| CONSENT.refuse(refusal.says))?;
    let session = Session {
        user: user.object_id.clone(),
        mark: user.mark(),
        signed_in: now,
        scope: scope.unwrap_or_default().to_owned(),
        resource: resource.map(str::to_owned),
        nonce: wanted.field("nonce").map(str::to_owned),
    };
    let mut code = Code::new(application, named, single_page, session);
    code.challenge = challenge;
    Ok(code)
}

/// Without a method it is `plain` (RFC 7636, section 4.3).
fn challenge(wanted: &Wanted<'_>, single_page: bool) -> Result<Option<Challenge>, Refusal> {
    let Some(challenge) = wanted.field("code_challenge") else {
        if single_page {
            return Err(SINGLE_PAGE
                .refuse("Proof Key for Code Exchange is required for cross-origin authorization code redemption."));
        }
        return Ok(None);
    };
    let kind = match wanted.field("code_challenge_method") {
        Some("S256") => Challenge::S256,
        None | Some("plain") => Challenge::Plain,
        Some(_) => return Err(CHALLENGE_METHOD.refuse("The code_challenge_method is not supported.")),
    };
    if !(43..=128).contains(&challenge.len()) {
        return Err(CHALLENGE_SIZE.refuse("The size of the code challenge parameter is not valid."));
    }
    Ok(Some(kind(challenge.to_owned())))
}
