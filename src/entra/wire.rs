//! Forms and bodies of the token endpoint (contract A2, A4, A11). No I/O.
//!
//! Easy to get wrong: Entra's numbers arrive as numbers or as text, its error object may lack any field, and a body
//! that is a token or an error object still has to be told from a proxy's page.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::error::{EntraError, Fault, Marks};
use super::{Exchanged, TokenRequest};
use crate::clock::Now;
use crate::facts::Facts;
use crate::ids::Guid;
use crate::outbound::Answer;
use crate::secret::Secret;

/// A success (contract A4).
#[derive(Clone, Debug)]
pub struct Granted {
    pub access_token: Secret,
    pub expires_in: Duration,
    pub ext_expires_in: Option<Duration>,
    pub refresh_in: Option<Duration>,
}

/// No token lives longer; more is a mistake that would never be refreshed away.
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// What we let a server ask us to wait (contract A12).
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
/// What we let anybody else ask: a block page that says "in an hour" must not outlast the block.
const STRANGERS_WAIT: Duration = Duration::from_secs(60);
/// Letters, digits and `-._~` stand for themselves in a form.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The body of the request. It holds the assertion and is wiped on drop.
pub(super) fn form(ask: TokenRequest<'_>) -> Zeroizing<Vec<u8>> {
    let (scope, claims) = (ask.resource.scope(), ask.claims.text());
    let mut fields = vec![
        ("client_id", ask.client_id.as_str()),
        ("grant_type", "client_credentials"),
        ("scope", &scope),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", ask.assertion.expose()),
    ];
    fields.extend(claims.as_deref().map(|claims| ("claims", claims)));
    encoded(&fields)
}

pub(super) fn encoded(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // Room for every byte escaped: growing would leave a copy of the assertion behind.
    let room = fields.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    for (name, value) in fields {
        if !body.is_empty() {
            body.push(b'&');
        }
        for piece in utf8_percent_encode(name, FORM) {
            body.extend_from_slice(piece.as_bytes());
        }
        body.push(b'=');
        for piece in utf8_percent_encode(value, FORM) {
            body.extend_from_slice(piece.as_bytes());
        }
    }
    body
}

/// Tells what an answer is: a token, Entra's refusal, Entra out of order, or somebody else's page.
pub fn read(answer: &Answer, sent: &Guid, now: Now, presented: &Facts) -> Result<Exchanged, EntraError> {
    read_as(answer, sent, now, presented, success).map(|(granted, marks)| Exchanged { granted, marks })
}

/// Tells the tenant's OIDC metadata from the same others.
pub fn read_metadata(answer: &Answer, sent: &Guid, now: Now) -> Result<Marks, EntraError> {
    read_as(answer, sent, now, &Facts::default(), metadata).map(|((), marks)| marks)
}

/// Tells the tenant's keys from the same others.
pub fn read_keys(answer: &Answer, sent: &Guid, now: Now) -> Result<Vec<u8>, EntraError> {
    read_as(answer, sent, now, &Facts::default(), keys).map(|(document, _)| document)
}

pub(super) fn read_as<T>(
    answer: &Answer,
    sent: &Guid,
    now: Now,
    presented: &Facts,
    success: fn(&[u8]) -> Result<T, &'static str>,
) -> Result<(T, Marks), EntraError> {
    let mut marks = marks(answer, sent, now);
    let ours = is_marked(answer, sent);
    if !ours {
        marks.retry_after = marks.retry_after.map(|wait| wait.min(STRANGERS_WAIT));
    }
    if answer.status == 200 {
        return match success(&answer.body) {
            Ok(good) => Ok((good, marks)),
            Err(why) if ours => Err(EntraError::Unreadable { marks: Box::new(marks), why }),
            Err(_) => Err(EntraError::NotEntra { looks: looks(answer), marks: Box::new(marks) }),
        };
    }
    if let Some(object) = ErrorObject::read(&answer.body).filter(|object| ours || !object.numbers.is_empty()) {
        marks.correlation_id = object.correlation_id.or(marks.correlation_id);
        marks.trace_id = object.trace_id.or(marks.trace_id);
        let ErrorObject { error, suberror, numbers, .. } = object;
        return Err(EntraError::Fault(Box::new(Fault {
            marks,
            error,
            suberror,
            numbers,
            presented: presented.clone(),
            asker: None,
        })));
    }
    let marks = Box::new(marks);
    Err(match answer.status {
        _ if !ours => EntraError::NotEntra { looks: looks(answer), marks },
        429 | 500.. => EntraError::Unavailable(marks),
        _ => EntraError::Unreadable { marks, why: "neither what was asked for nor an error object" },
    })
}

#[derive(Deserialize)]
struct Success {
    token_type: Option<String>,
    access_token: Option<String>,
    expires_in: Option<Value>,
    ext_expires_in: Option<Value>,
    refresh_in: Option<Value>,
}

fn success(body: &[u8]) -> Result<Granted, &'static str> {
    let object: Success = serde_json::from_slice(body).map_err(|_| "it is not the JSON object of a token")?;
    // Moved into a `Secret` before anything else can fail, so that it is wiped in every case.
    let access_token = object.access_token.map(Secret::new).ok_or("no `access_token` in it")?;
    if !object.token_type.is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer")) {
        return Err("its `token_type` is not `Bearer`");
    }
    let text = access_token.expose();
    // It goes into a header of the application's.
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its `access_token` cannot be sent in a header");
    }
    let expires_in = object.expires_in.as_ref().and_then(seconds).filter(|life| !life.is_zero());
    Ok(Granted {
        expires_in: expires_in.ok_or("no `expires_in` in it")?.min(LONGEST_LIFE),
        ext_expires_in: object.ext_expires_in.as_ref().and_then(seconds).map(|life| life.min(LONGEST_LIFE)),
        refresh_in: object.refresh_in.as_ref().and_then(seconds),
        access_token,
    })
}

/// A document of this kind names the endpoint that tokens come from.
fn metadata(body: &[u8]) -> Result<(), &'static str> {
    let document: Value = serde_json::from_slice(body).map_err(|_| "it is not JSON")?;
    document["token_endpoint"].as_str().map(drop).ok_or("no `token_endpoint` in it")
}

/// As it came, when it is a set of keys at all.
fn keys(body: &[u8]) -> Result<Vec<u8>, &'static str> {
    let document: Value = serde_json::from_slice(body).map_err(|_| "it is not JSON")?;
    document["keys"].as_array().map(|_| body.to_vec()).ok_or("no `keys` in it")
}

/// A count of seconds, as a number or as text; fractions are cut off.
fn seconds(value: &Value) -> Option<Duration> {
    let count = match value {
        Value::String(text) => text.trim().parse().ok()?,
        Value::Number(number) => number.as_f64()?,
        _ => return None,
    };
    Duration::try_from_secs_f64(count).ok().map(|life| Duration::from_secs(life.as_secs()))
}

struct ErrorObject {
    error: String,
    suberror: Option<String>,
    numbers: Vec<u32>,
    correlation_id: Option<String>,
    trace_id: Option<String>,
}

impl ErrorObject {
    /// Takes any JSON object with a text `error`; the rest may be missing or odd.
    fn read(body: &[u8]) -> Option<Self> {
        let object: Value = serde_json::from_slice(body).ok()?;
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let error = plain(text("error")?);
        let listed = object.get("error_codes").and_then(Value::as_array).into_iter().flatten().filter_map(number);
        let mut numbers: Vec<_> = listed.take(8).collect();
        if numbers.is_empty() {
            numbers.extend(text("error_description").and_then(number_in));
        }
        Some(Self {
            error,
            suberror: text("suberror").map(plain),
            numbers,
            correlation_id: text("correlation_id").map(plain),
            trace_id: text("trace_id").map(plain),
        })
    }
}

/// Strangers' text, fit for a log line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => number.as_u64()?.try_into().ok(),
        Value::String(text) => text.trim_start_matches("AADSTS").parse().ok(),
        _ => None,
    }
}

/// The digits after `AADSTS` in a description.
fn number_in(description: &str) -> Option<u32> {
    let rest = description.split_once("AADSTS")?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn marks(answer: &Answer, sent: &Guid, now: Now) -> Marks {
    Marks {
        status: answer.status,
        retry_after: answer.header("retry-after").and_then(|text| retry_after(text, now)),
        skew: answer.header("date").and_then(epoch).map(|date| now.wall.as_secs_f64() - date),
        correlation_id: Some(answer.header("client-request-id").map_or_else(|| sent.to_string(), plain)),
        trace_id: answer.header("x-ms-request-id").map(plain),
    }
}

/// Entra says who it is in headers that a proxy's page does not have. Its error pages carry fewer of them than its
/// answers (a guess: any `x-ms-…`; `x-azure-ref` is of the front door before it), and must not be blamed on a proxy.
fn is_marked(answer: &Answer, sent: &Guid) -> bool {
    let echoed = answer.header("client-request-id").is_some_and(|id| id.eq_ignore_ascii_case(sent.as_str()));
    echoed || answer.headers.keys().any(|name| name.as_str().starts_with("x-ms-") || name == "x-azure-ref")
}

/// What an operator recognises a stranger's page by.
fn looks(answer: &Answer) -> String {
    let kind = answer.header("content-type").map(plain);
    kind.map_or_else(|| "no content type".to_owned(), |kind| format!("content type `{kind}`"))
}

/// Seconds or an HTTP date, at most an hour (contract A12).
fn retry_after(text: &str, now: Now) -> Option<Duration> {
    let wait = match text.trim().parse() {
        Ok(count) => Duration::from_secs(count),
        Err(_) => Duration::try_from_secs_f64((epoch(text)? - now.wall.as_secs_f64()).max(0.0)).ok()?,
    };
    Some(wait.min(LONGEST_WAIT))
}

/// An HTTP date as seconds since 1970.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit a double for millions of years")]
fn epoch(date: &str) -> Option<f64> {
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date.trim());
    parsed.ok().map(|date| date.as_second() as f64)
}

#[cfg(test)]
mod tests;
