//! Why Entra gave no token: its own fault by number, no answer of Entra's at all, or nothing that can be read.
//!
//! The sentence an operator reads is ours, from the table in `fault`; Entra's description is not repeated. Easy to get
//! wrong: only an answer with Entra's marks may be held against the configuration.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::authority::Authority;
use crate::facts::Facts;
use crate::fault::{self, Class};
use crate::ids::Guid;
use crate::outbound::OutboundError;
use crate::problem::{Blame, Problem};

/// Entra sees a loop of requests (contract A11); the broker leaves it alone for minutes.
const LOOP_SEEN: u32 = 50_196;

/// What an answer tells beside its body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    pub status: u16,
    /// As asked for by the answer, at most an hour.
    pub retry_after: Option<Duration>,
    /// Local time minus the answer's `Date`, in seconds.
    pub skew: Option<f64>,
    /// Entra's, or the one we sent when it gave none.
    pub correlation_id: Option<String>,
    pub trace_id: Option<String>,
}

/// Entra's error object (contract A11).
#[derive(Clone, Debug)]
pub struct Fault {
    pub marks: Marks,
    /// The OAuth error, such as `invalid_client`.
    pub error: String,
    pub suberror: Option<String>,
    /// `error_codes`: the digits after `AADSTS`.
    pub numbers: Vec<u32>,
    pub presented: Facts,
    /// Which application asked where, for faults about these two; the reader of the answer does not know it.
    pub asker: Option<String>,
}

/// Faults about the client id and the tenant: no such application, no such tenant.
const ASKER: &[u32] = &[90_002, 700_016, 900_023];

impl Fault {
    /// How to treat it.
    #[must_use]
    pub fn class(&self) -> Class {
        fault::classify(&self.numbers, &self.error, self.marks.status)
    }

    fn known(&self) -> Option<&'static fault::Known> {
        self.numbers.iter().find_map(|&number| fault::known(number))
    }

    fn remedy(&self) -> String {
        let mut remedy = match (self.known(), self.numbers.first()) {
            (Some(known), _) => known.remedy.to_owned(),
            (None, Some(number)) => {
                format!("look the number up at https://login.microsoftonline.com/error?code={number}")
            }
            (None, None) => "look for the correlation id in the tenant's sign-in logs".to_owned(),
        };
        if let Some(presented) = self.presented.beside(&self.numbers) {
            remedy = format!("{remedy}; presented: {presented}");
        }
        if let (Some(asker), true) = (&self.asker, self.numbers.iter().any(|number| ASKER.contains(number))) {
            remedy = format!("{remedy}; asked: {asker}");
        }
        if let (Some(skew), true) = (self.marks.skew, self.numbers.contains(&700_024)) {
            remedy = format!("{remedy}; this clock minus Entra's is {skew:+.0} s");
        }
        remedy
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.known(), self.numbers.first()) {
            (Some(known), _) => write!(f, "Entra refused, AADSTS{}: {}", known.number, known.meaning),
            (None, Some(number)) => {
                write!(f, "Entra refused with `{}`, AADSTS{number}, which this version does not know", self.error)
            }
            (None, None) => write!(f, "Entra refused with `{}` and no number", self.error),
        }
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntraError {
    /// No answer came.
    #[error("ask {authority} for a token")]
    Unreached { authority: String, correlation_id: String, source: Box<OutboundError> },
    /// Entra's own error object.
    #[error("{0}")]
    Fault(Box<Fault>),
    /// Entra's 429 or 5xx without an error object.
    #[error("Entra is not available: status {}", .0.status)]
    Unavailable(Box<Marks>),
    /// An answer without anything that marks it as Entra's or its gateways'.
    #[error("an answer without Entra's marks: status {}, {looks}; a proxy or another gateway answered", .marks.status)]
    NotEntra { marks: Box<Marks>, looks: String },
    /// Marked as Entra's, but neither a token nor an error object.
    #[error("read Entra's answer with status {}: {why}", .marks.status)]
    Unreadable { marks: Box<Marks>, why: &'static str },
}

impl EntraError {
    /// How to treat it. Whatever Entra did not say itself passes: it is never held against the configuration.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Fault(fault) => fault.class(),
            _ => Class::Transient,
        }
    }

    /// What the answer told beside its body; `None` when none came.
    #[must_use]
    pub fn marks(&self) -> Option<&Marks> {
        match self {
            Self::Unreached { .. } => None,
            Self::Fault(fault) => Some(&fault.marks),
            Self::Unavailable(marks) | Self::NotEntra { marks, .. } | Self::Unreadable { marks, .. } => Some(marks),
        }
    }

    /// The same, told who asked.
    pub(super) fn asked_by(mut self, client_id: &Guid, authority: &Authority) -> Self {
        if let Self::Fault(fault) = &mut self {
            fault.asker = Some(format!("application `{client_id}` at `{authority}`"));
        }
        self
    }

    /// Entra's error object, if it sent one.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault(fault) => Some(fault),
            _ => None,
        }
    }

    /// The id to search Entra's sign-in logs for.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        match self {
            Self::Unreached { correlation_id, .. } => Some(correlation_id),
            _ => self.marks()?.correlation_id.as_deref(),
        }
    }

    /// True when Entra cannot have seen the request.
    #[must_use]
    pub fn was_never_sent(&self) -> bool {
        matches!(self, Self::Unreached { source, .. } if source.was_never_sent())
    }

    /// True when one immediate retry is fair: no connection, or a 5xx that did not ask for patience (contract A12). Not
    /// when Entra sees a loop of requests or says that asking again is pointless, whatever the status.
    #[must_use]
    pub fn is_worth_an_immediate_retry(&self) -> bool {
        match self {
            Self::Unreached { source, .. } => source.is_connection_failure(),
            Self::Fault(fault) if fault.class() != Class::Transient || fault.numbers.contains(&LOOP_SEEN) => false,
            _ => self.marks().is_some_and(|marks| marks.status >= 500 && marks.retry_after.is_none()),
        }
    }
}

impl Problem for EntraError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreached { source, .. } => source.code(),
            Self::Fault(fault) => match fault.class() {
                Class::Configuration => "entra-configuration",
                Class::Propagation => "entra-propagation",
                Class::Fresh => "entra-assertion-refused",
                Class::Transient => "entra-transient",
                Class::Policy => "entra-policy",
                Class::Client => "entra-request-refused",
            },
            Self::Unavailable(_) => "entra-unavailable",
            Self::NotEntra { .. } => "not-from-entra",
            Self::Unreadable { .. } => "entra-answer-unreadable",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Unreached { source, .. } => source.blame(),
            Self::Fault(fault) => match fault.class() {
                Class::Configuration | Class::Propagation | Class::Policy => Blame::Tenant,
                Class::Fresh => Blame::Platform,
                Class::Transient => Blame::Entra,
                Class::Client => Blame::Caller,
            },
            Self::Unavailable(_) | Self::Unreadable { .. } => Blame::Entra,
            Self::NotEntra { .. } => Blame::Network,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Unreached { source, .. } => source.remedy(),
            Self::Fault(fault) => Some(fault.remedy()).filter(|remedy| !remedy.is_empty()).map(Cow::Owned),
            Self::NotEntra { marks, .. } if marks.status >= 500 => Some(Cow::Borrowed(
                "if it lasts, ask whoever runs the proxy or gateway on the way to the login host what it answers and why",
            )),
            Self::NotEntra { .. } => Some(Cow::Borrowed(
                "let this machine reach the login host past any captive page, or set `proxy` and `proxy_auth_file`",
            )),
            Self::Unavailable(_) | Self::Unreadable { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Cloud;
    use crate::ids::Tenant;

    #[test]
    fn an_unknown_application_or_tenant_is_told_as_it_was_asked() {
        let tenant = Tenant::parse("contoso.onmicrosoft.com").unwrap();
        let (client_id, authority) = (Guid::random(), Authority::of_cloud(Cloud::Public, tenant));
        let asked = format!("; asked: application `{client_id}` at `{authority}`");
        for (number, shown) in [(700_016, true), (90_002, true), (700_213, false)] {
            let marks = Marks { status: 400, retry_after: None, skew: None, correlation_id: None, trace_id: None };
            let (error, numbers, presented) = ("x".to_owned(), vec![number], Facts::default());
            let fault = Fault { marks, error, suberror: None, numbers, presented, asker: None };
            let told = EntraError::Fault(Box::new(fault)).asked_by(&client_id, &authority);
            assert_eq!(told.remedy().unwrap().ends_with(&asked), shown, "{number}");
        }
    }
}
