//! Why the cluster's API did not do what we asked.
//!
//! Easy to get wrong: the server's own words may quote an object, so only the `message` of its Status is passed on, cut.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

use serde_json::Value;

use crate::outbound::{Answer, OutboundError};
use crate::problem::{Blame, Problem};

/// Of the server's words, in characters.
const LONGEST_SAYING: usize = 300;

/// Why there is no answer, or not the one that was wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    #[error("read the token for the Kubernetes API from `{}`", path.display())]
    Token { path: PathBuf, source: io::Error },
    #[error("ask the Kubernetes API")]
    Outbound(#[from] OutboundError),
    #[error("{verb} `{path}` at the Kubernetes API: {trouble}")]
    Answer { verb: &'static str, path: String, trouble: Trouble },
    #[error("ask the Kubernetes API: the program is stopping")]
    Stopped,
}

/// What was wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another status than a good one, and what was said with it.
    Status(u16, String),
    Strange(&'static str),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status, said) if said.is_empty() => write!(f, "status {status}"),
            Self::Status(status, said) => write!(f, "status {status}, {said:?}"),
            Self::Strange(what) => f.write_str(what),
        }
    }
}

impl ClusterError {
    /// The server no longer knows the place from which a watch was to go on (410).
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        self.status() == Some(410)
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { trouble: Trouble::Status(status, _), .. } => Some(*status),
            _ => None,
        }
    }

    pub(super) fn strange(verb: &'static str, path: &str, what: &'static str) -> Self {
        Self::Answer { verb, path: path.to_owned(), trouble: Trouble::Strange(what) }
    }

    pub(super) fn answered(verb: &'static str, path: &str, answer: &Answer) -> Self {
        let said = serde_json::from_slice(&answer.body).unwrap_or_default();
        Self::said(verb, path, answer.status, &said)
    }

    /// With a Status object, as far as there is one.
    pub(super) fn said(verb: &'static str, path: &str, status: u16, said: &Value) -> Self {
        let said = said["message"].as_str().unwrap_or_default().chars().take(LONGEST_SAYING).collect();
        Self::Answer { verb, path: path.to_owned(), trouble: Trouble::Status(status, said) }
    }
}

pub(super) fn json(verb: &'static str, path: &str, body: &[u8]) -> Result<Value, ClusterError> {
    serde_json::from_slice(body).map_err(|_| ClusterError::strange(verb, path, "its answer is no JSON"))
}

impl Problem for ClusterError {
    fn code(&self) -> &'static str {
        match self {
            Self::Token { .. } => "cluster-token-unreadable",
            Self::Outbound(problem) => problem.code(),
            Self::Answer { .. } => match self.status() {
                Some(401) => "cluster-token-refused",
                Some(403) => "cluster-forbidden",
                _ => "cluster-answer",
            },
            Self::Stopped => "cluster-stopped",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Token { .. } => Blame::Configuration,
            Self::Outbound(problem) => problem.blame(),
            Self::Answer { .. } => match self.status() {
                Some(401 | 403 | 404 | 422) => Blame::Configuration,
                _ => Blame::Platform,
            },
            Self::Stopped => Blame::Ourselves,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Token { .. } => "let the pod have its service account's token (`automountServiceAccountToken: true`)",
            // Its own remedies are for the way to Entra.
            Self::Outbound(_) => {
                "see that the pod reaches the API server: a NetworkPolicy's egress, the node's network"
            }
            Self::Answer { .. } => match self.status() {
                Some(401) => {
                    "see why the API server refuses the pod's token: its service account may have been made anew; restart the pod"
                }
                Some(403) => "give the webhook's service account the rights of the chart (`rbac.create: true`)",
                Some(404) => "install the chart whole: what is asked for is one of its objects",
                Some(422) => "delete that object and install the chart again: it cannot be written as it is",
                _ => "look at the API server; it is asked again",
            },
            Self::Stopped => return None,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_said_is_passed_on_in_one_line() {
        let status = serde_json::json!({"kind": "Status", "message": "secrets \"x\" is\nforbidden"});
        let error = ClusterError::said("PUT", "/api/v1/secrets", 403, &status);
        assert_eq!(error.code(), "cluster-forbidden");
        let text = error.to_string();
        assert!(text.contains("status 403") && text.contains("is\\nforbidden") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn only_a_410_means_that_all_is_to_be_listed_anew() {
        let of = |status| ClusterError::said("watch", "/", status, &Value::Null);
        assert!(of(410).is_forgotten());
        assert!(!of(500).is_forgotten() && !ClusterError::Stopped.is_forgotten());
    }
}
