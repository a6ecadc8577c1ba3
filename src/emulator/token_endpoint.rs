//! The token endpoint over HTTP: reads the request, plays a fault or answers with the verdict, and writes the journal.
//!
//! Not the judgement (`entra`). Easy to get wrong: the journal has the entry before the answer leaves, so that whoever got
//! an answer finds it there.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::EmulatorError;
use super::answer::{self, Body, Refused};
use super::consent::suberror;
use super::entra::{Entra, NoToken};
use super::faults::Fault;
use super::journal::{JournalEntry, Verdict};
use super::request::{Endpoint, TokenRequest};
use super::rules::{self, Refusal};
use crate::ids::Guid;
use crate::problem::chain;

/// What a client has to send with its next interactive request.
const INTERACT: &str =
    r#"{"access_token":{"polids":{"essential":true,"values":["9ab03e19-ed42-4168-b6b7-7001fb3e933a"]}}}"#;

/// The connection is to be reset in place of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is reset on demand")]
pub(super) struct ResetWanted;

/// Answers a request to a token endpoint.
pub(super) async fn answer(
    entra: &Arc<Entra>,
    endpoint: Endpoint,
    tenant: &str,
    parts: &Parts,
    body: &[u8],
) -> Result<Response<Body>, ResetWanted> {
    let request = TokenRequest::read(endpoint, tenant, &parts.headers, body);
    let (client_id, correlation) = (request.client_id().map(str::to_owned), request.correlation.clone());
    let mut seen = request.entry(entra.clock.now().epoch());
    let changes = entra.faults.changes();
    let fault = entra.faults.next(client_id.as_deref());
    let mut slowed = None;
    match fault {
        None => {}
        Some(Fault::Hold) => {
            let place = entra.journal.open(seen.clone());
            wait_for_change(changes).await;
            return Ok(judge(entra, parts, &request, seen, place).await);
        }
        Some(Fault::SlowBody { pause_ms }) => slowed = Some(Duration::from_millis(pause_ms)),
        Some(fault) => {
            seen.verdict = Verdict::Fault(fault.name());
            entra.journal.open(seen);
            return play(entra, &fault, &correlation).await;
        }
    }
    let place = entra.journal.open(seen.clone());
    let response = judge(entra, parts, &request, seen, place).await;
    Ok(match slowed {
        Some(pause) => response.map(|body| body.slowed(pause)),
        None => response,
    })
}

async fn wait_for_change(mut changes: tokio::sync::watch::Receiver<u64>) {
    // An error means that the emulator is being dropped: nobody waits for the answer any more.
    let _ = changes.changed().await;
}

async fn judge(
    entra: &Arc<Entra>,
    parts: &Parts,
    request: &TokenRequest,
    mut seen: JournalEntry,
    place: usize,
) -> Response<Body> {
    let offset = entra.faults.clock_offset(request.client_id());
    let now = entra.clock.now().epoch().saturating_add_signed(offset);
    let verdict =
        if parts.method == Method::POST {
            entra.decide(request, &mut seen, now).await
        } else {
            Err(NoToken::Refused(rules::METHOD.refuse(format!(
                "The endpoint only accepts POST, OPTIONS requests. Received a {} request.",
                parts.method
            ))))
        };
    let mut response = match verdict {
        Ok(token) => {
            seen.verdict = Verdict::Token;
            answer::json(StatusCode::OK, &token)
        }
        Err(NoToken::Refused(refusal)) => {
            seen.verdict = Verdict::Refused { number: refusal.rule.number, rule: refusal.rule.name };
            refuse(entra, &refusal, &request.correlation, now)
        }
        Err(NoToken::Broken(why)) => {
            seen.verdict = Verdict::Fault("emulator");
            broken(&why)
        }
    };
    entra.journal.settle(place, seen);
    answer::dated(&mut response, now);
    if request.echo {
        answer::set(&mut response, "client-request-id", request.correlation.as_str());
    }
    response
}

/// Our own failure, told apart from everything that Entra says.
fn broken(why: &EmulatorError) -> Response<Body> {
    let body = json!({ "error": "server_error", "error_description": chain(why) });
    answer::json(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

/// A refusal by a rule.
pub(super) fn refuse(entra: &Entra, refusal: &Refusal, correlation: &Guid, now: u64) -> Response<Body> {
    let Refusal { rule, says } = refusal;
    let refused = Refused {
        number: rule.number,
        error: rule.error,
        status: rule.status,
        says,
        suberror: suberror(rule),
        claims: None,
    };
    answer::refused(&refused, correlation, &entra.authority_host(), now)
}

async fn play(entra: &Entra, fault: &Fault, correlation: &Guid) -> Result<Response<Body>, ResetWanted> {
    let refused = |number, error: &str, status, says: &str| {
        let refused = Refused { number, error, status, says, suberror: None, claims: None };
        answer::refused(&refused, correlation, &entra.authority_host(), entra.clock.now().epoch())
    };
    let (mut response, wait) = match fault {
        Fault::Throttle { retry_after } => {
            let says = "The server has terminated the request because there are too many requests from this tenant.";
            (refused(90055, "temporarily_unavailable", 429, says), *retry_after)
        }
        Fault::Status { status, retry_after } => {
            let says = "The service is temporarily unavailable. Please retry later.";
            (refused(90033, "temporarily_unavailable", *status, says), *retry_after)
        }
        Fault::Refuse { number, error, status } => {
            (refused(*number, error, *status, "Refused on demand by the emulator."), None)
        }
        Fault::Interact { number } => {
            let refused = Refused {
                number: *number,
                error: "interaction_required",
                status: 400,
                says: "Due to a configuration change made by your administrator, you must use multi-factor authentication.",
                suberror: Some("basic_action"),
                claims: Some(INTERACT),
            };
            let now = entra.clock.now().epoch();
            (answer::refused(&refused, correlation, &entra.authority_host(), now), None)
        }
        Fault::Propagation => {
            let rule = &rules::FEDERATED_SUBJECT;
            let says = "No matching federated identity record found for presented assertion subject.";
            (refused(rule.number, rule.error, rule.status, says), None)
        }
        Fault::Html { status } => (answer::page(*status), None),
        Fault::Garbage => (answer::plain(StatusCode::OK, "application/json", r#"{"token_type":"Bearer","expi"#), None),
        Fault::HugeBody { bytes } => {
            (answer::json(StatusCode::OK, &Value::Null).map(|_| Body::Huge { left: *bytes }), None)
        }
        Fault::Reset | Fault::Outage => return Err(ResetWanted),
        Fault::Hang | Fault::Hold | Fault::SlowBody { .. } | Fault::ClockOffset { .. } => pending().await,
    };
    answer::retry_after(&mut response, wait);
    Ok(response)
}
