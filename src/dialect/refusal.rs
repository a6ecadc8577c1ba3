//! One refusal, whatever refused: status, Entra's words and numbers, our text. Dialects render it in their own shape.
//!
//! Statuses follow contract B17. Easy to get wrong: 400 tells credential chains and Python's cache that asking again is
//! pointless, so nothing that passes by itself may be 400; and the word "unreachable" in a 403 makes Python and JS
//! believe that there is no IMDS (contract B2).

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

use super::Rejected;
use crate::broker::MintError;
use crate::clock::Now;
use crate::fault::{self, Class};
use crate::ids::{Door, Guid, IdentityName};
use crate::outbound::OutboundError;
use crate::policy::Denied;
use crate::problem::{Blame, Problem};

/// A no, ready to be rendered.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: StatusCode,
    /// The stable code of the problem.
    pub code: &'static str,
    /// The label `reason` of `unsecret_requests_rejected_total`; `None` when the caller did nothing wrong.
    pub reason: Option<&'static str>,
    /// For the header `Allow` of a 405.
    pub allow: Option<&'static str>,
    /// For the header `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    pub correlation_id: Arc<str>,
    /// The resource that policy withheld, as the caller wrote it, and whose it would have been.
    pub withheld: Option<(IdentityName, String)>,
    error: Arc<str>,
    numbers: Arc<[u32]>,
    text: String,
    trace_id: Arc<str>,
    exact: Option<&'static str>,
}

/// Clients obey whatever is sent, up to an hour, and JS blocks for a minute without it (contract B17).
const RETRY_AFTER: std::ops::RangeInclusive<u64> = 1..=5;

impl Refusal {
    /// For what is refused before or beside a dialect: the guard's rules, unknown paths.
    #[must_use]
    pub fn of_problem(status: StatusCode, reason: &'static str, problem: &dyn Problem) -> Self {
        Self { reason: Some(reason), ..Self::new(status, "invalid_request", None, problem.code(), &sentences(problem)) }
    }

    /// A request that could not be read.
    #[must_use]
    pub fn of_rejected(rejected: &Rejected) -> Self {
        let allow = if let Rejected::Method { allow } = rejected { Some(*allow) } else { None };
        let text = sentences(rejected);
        let plain = Self::new(rejected.status(), rejected.error(), rejected.number(), rejected.code(), &text);
        Self { reason: Some(rejected.reason()), exact: rejected.exact(), allow, ..plain }
    }

    /// Policy's no.
    #[must_use]
    pub fn of_denied(door: Door, denied: &Denied) -> Self {
        let oauth = door.speaks_oauth();
        let (status, error, number) = match denied {
            Denied::UnknownIdentity { .. } | Denied::Tenant { .. } | Denied::Unnamed if oauth => {
                (StatusCode::BAD_REQUEST, "unauthorized_client", Some(700_016))
            }
            Denied::UnknownIdentity { .. } | Denied::Tenant { .. } | Denied::Unnamed => {
                (StatusCode::BAD_REQUEST, "invalid_request", None)
            }
            Denied::KeyMissing => (StatusCode::UNAUTHORIZED, "invalid_client", Some(7_000_218)),
            Denied::WrongKey | Denied::TokenAsKey | Denied::EntraSecret | Denied::KeyOfAnother => {
                (StatusCode::UNAUTHORIZED, "invalid_client", Some(7_000_215))
            }
            // RFC 6749 5.2 has these words for a grant and for scopes that a client may not have.
            Denied::RelayClosed { .. } => (StatusCode::BAD_REQUEST, "unauthorized_client", None),
            Denied::RelayScope { .. } | Denied::RelayUnscoped { .. } => {
                (StatusCode::BAD_REQUEST, "invalid_scope", None)
            }
            Denied::Challenge { .. } => (StatusCode::BAD_REQUEST, "invalid_request", None),
            // Not 400, from which chains of credentials move on to somebody's command line login.
            Denied::Peer { .. } | Denied::Resource { .. } => (StatusCode::FORBIDDEN, "access_denied", None),
        };
        let mut text = sentences(denied);
        if matches!(denied, Denied::UnknownIdentity { .. }) && !oauth {
            // .NET looks for these words.
            text.insert_str(0, "Identity not found: ");
        }
        let withheld = match denied {
            Denied::Resource { asked, identity } | Denied::RelayScope { asked, identity } => {
                Some((identity.clone(), asked.trim_matches('`').to_owned()))
            }
            _ => None,
        };
        Self { reason: Some(denied.reason()), withheld, ..Self::new(status, error, number, denied.code(), &text) }
    }

    /// A document of a tenant that nobody here has, in Entra's words for one that does not exist.
    #[must_use]
    pub fn of_unknown_tenant(denied: &Denied) -> Self {
        let number = Some(90_002);
        let text = sentences(denied);
        let plain = Self::new(StatusCode::BAD_REQUEST, "invalid_tenant", number, denied.code(), &text);
        Self { reason: Some(denied.reason()), ..plain }
    }

    /// What is only wanting for now.
    #[must_use]
    pub fn passing(problem: &dyn Problem) -> Self {
        let (status, text) = (StatusCode::SERVICE_UNAVAILABLE, sentences(problem));
        let plain = Self::new(status, "temporarily_unavailable", None, problem.code(), &text);
        Self { retry_after: Some(*RETRY_AFTER.end()), ..plain }
    }

    /// No token could be had. Entra's words and ids are passed on, the description is ours, without paths.
    #[must_use]
    pub fn of_mint(door: Door, failed: &MintError) -> Self {
        let error = failed.error.as_deref().filter(|_| !failed.class.is_passing());
        let error = error.unwrap_or(match failed.class {
            Class::Propagation | Class::Fresh | Class::Transient => "temporarily_unavailable",
            Class::Configuration => "invalid_client",
            Class::Policy => "access_denied",
            Class::Client => "invalid_request",
        });
        let status = status_of(door, failed.class, error, &failed.numbers);
        let text = describe(failed);
        let mut refusal = Self::new(status, error, None, failed.problem.code(), &text);
        refusal.numbers = Arc::clone(&failed.numbers);
        if let Some(id) = &failed.correlation_id {
            refusal.correlation_id = Arc::clone(id);
        }
        if let Some(id) = &failed.trace_id {
            refusal.trace_id = Arc::clone(id);
        }
        refusal.retry_after = failed.class.is_passing().then(|| {
            let seconds = failed.retry_in.or(failed.retry_after).unwrap_or(Duration::ZERO).as_secs_f64().ceil();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1..=5 at once")]
            let seconds = seconds as u64;
            seconds.clamp(*RETRY_AFTER.start(), *RETRY_AFTER.end())
        });
        refusal
    }

    /// A request that could not be passed on to where it belongs: in few words, since the error's own may name our files.
    #[must_use]
    pub fn unpassed(error: &OutboundError) -> Self {
        let what = match error {
            OutboundError::Loop { .. } | OutboundError::Target { .. } => sentences(error),
            _ => join(
                "this request is not for unsecret, and could not be passed on",
                Some("look for the code in unsecret's log"),
            ),
        };
        let (status, word) = match error {
            OutboundError::Target { .. } => (StatusCode::BAD_REQUEST, "invalid_request"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        };
        let passing = status == StatusCode::SERVICE_UNAVAILABLE;
        let plain = Self::new(status, word, None, error.code(), &what);
        Self { retry_after: passing.then_some(*RETRY_AFTER.end()), ..plain }
    }

    fn new(status: StatusCode, error: &str, number: Option<u32>, code: &'static str, text: &str) -> Self {
        Self {
            status,
            code,
            reason: None,
            allow: None,
            retry_after: None,
            correlation_id: Guid::random().as_str().into(),
            withheld: None,
            error: error.into(),
            numbers: number.into_iter().collect(),
            text: text.to_owned(),
            trace_id: Guid::random().as_str().into(),
            exact: None,
        }
    }

    /// Number, text, code and ids: often the only thing that an application's log will show.
    fn message(&self) -> String {
        let mut message = String::new();
        if let Some(number) = self.numbers.first() {
            let _ = write!(message, "AADSTS{number}: ");
        }
        let _ = write!(message, "{} (unsecret: {}) Correlation ID: {}", self.text, self.code, self.correlation_id);
        if self.status == StatusCode::FORBIDDEN { without_unreachable(message) } else { message }
    }

    /// Entra's error object (contract A11), on the OAuth door, on IMDS and where there is no door.
    pub(super) fn entra_object(&self, now: Now) -> Vec<u8> {
        #[derive(Serialize)]
        struct Object<'a> {
            error: &'a str,
            error_description: &'a str,
            error_codes: &'a [u32],
            timestamp: &'a str,
            trace_id: &'a str,
            correlation_id: &'a str,
        }
        if let Some(exact) = self.exact {
            return exact.as_bytes().to_vec();
        }
        let timestamp = timestamp(now);
        let description = format!("{} Trace ID: {} Timestamp: {timestamp}", self.message(), self.trace_id);
        json(&Object {
            error: &self.error,
            error_description: &description,
            error_codes: &self.numbers,
            timestamp: &timestamp,
            trace_id: &self.trace_id,
            correlation_id: &self.correlation_id,
        })
    }

    /// App Service's error object (contract B3).
    pub(super) fn app_service_object(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Object<'a> {
            status_code: u16,
            message: &'a str,
            correlation_id: &'a str,
        }
        json(&Object {
            status_code: self.status.as_u16(),
            message: &self.message(),
            correlation_id: &self.correlation_id,
        })
    }

    /// Cloud Shell's error object (contract B5).
    pub(super) fn nested_object(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Object<'a> {
            error: Inner<'a>,
        }
        #[derive(Serialize)]
        struct Inner<'a> {
            code: &'a str,
            message: &'a str,
        }
        let about_the_resource = self.withheld.is_some() || &*self.error == "invalid_resource";
        let code = if about_the_resource { "AudienceNotSupported" } else { &self.error };
        json(&Object { error: Inner { code, message: &self.message() } })
    }
}

fn json(object: &impl Serialize) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "structs of texts and numbers always have a JSON form")]
    serde_json::to_vec(object).expect("plain fields")
}

/// Contract B17, by class and door.
fn status_of(door: Door, class: Class, error: &str, numbers: &[u32]) -> StatusCode {
    let unknown_to_entra = || matches!(numbers.first(), Some(500_011 | 50_001 | 500_012 | 700_016 | 700_011 | 90_002));
    match (class, door) {
        (Class::Propagation | Class::Fresh | Class::Transient, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Class::Client, _) if door.speaks_oauth() && error == "invalid_client" => StatusCode::UNAUTHORIZED,
        (Class::Client, _) | (Class::Configuration, Door::Oauth | Door::TokenProxy) => StatusCode::BAD_REQUEST,
        (Class::Configuration, _) if unknown_to_entra() => StatusCode::BAD_REQUEST,
        (Class::Configuration | Class::Policy, _) => StatusCode::FORBIDDEN,
    }
}

/// What went wrong upstream, in words that are safe to show: a problem's own text may name files of ours.
fn describe(failed: &MintError) -> String {
    if let Some(known) = failed.numbers.iter().find_map(|&number| fault::known(number)) {
        return join(known.meaning, Some(known.remedy).filter(|remedy| !remedy.is_empty()));
    }
    let what = match failed.problem.blame() {
        _ if !failed.numbers.is_empty() || failed.error.is_some() => "Entra refused the request of this identity",
        Blame::Caller => "the request cannot be served as it is",
        Blame::Configuration => "the configuration of this identity does not work",
        Blame::Platform => "the platform gave no usable proof of this identity",
        Blame::Network => "there is no working way to Entra",
        Blame::Entra => "Entra did not answer as it should",
        Blame::Tenant => "an administrator's decision in Entra stands against it",
        Blame::Ourselves => "unsecret itself failed",
    };
    join(what, Some("look for the code in unsecret's log, or ask /readyz?verbose"))
}

fn sentences(problem: &dyn Problem) -> String {
    join(&problem.to_string(), problem.remedy().as_deref())
}

/// Two sentences of two clauses.
fn join(what: &str, remedy: Option<&str>) -> String {
    let mut text = capitalised(what);
    text.push('.');
    if let Some(remedy) = remedy {
        text.push(' ');
        text.push_str(&capitalised(remedy));
        text.push('.');
    }
    text
}

fn capitalised(clause: &str) -> String {
    let clause = clause.trim_end_matches('.');
    let mut rest = clause.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// The caller's own words may hold it.
fn without_unreachable(message: String) -> String {
    const WORD: &str = "unreachable";
    let lower = message.to_ascii_lowercase();
    if !lower.contains(WORD) {
        return message;
    }
    let mut clean = String::with_capacity(message.len() + 8);
    let mut last = 0;
    for (start, _) in lower.match_indices(WORD) {
        clean.push_str(&message[last..start]);
        clean.push_str("un-reachable");
        last = start + WORD.len();
    }
    clean.push_str(&message[last..]);
    clean
}

fn timestamp(now: Now) -> String {
    let seconds = i64::try_from(now.epoch()).unwrap_or_default();
    jiff::Timestamp::from_second(seconds).unwrap_or_default().strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
