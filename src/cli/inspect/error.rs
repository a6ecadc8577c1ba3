//! Why there is nothing to inspect, or no keys to verify with.

use std::borrow::Cow;

use crate::cli::Exit;
use crate::inspect::verify::NoKeys;
use crate::outbound::OutboundError;
use crate::problem::{Blame, Problem};

/// What ends the verb before it has looked.
#[derive(Debug, thiserror::Error)]
pub(super) enum InspectError {
    #[error("read {from}")]
    Unreadable { from: String, source: std::io::Error },
    #[error("read {from}: it is larger than 1 MiB, and no token or certificate is")]
    TooLarge { from: String },
    #[error("read `--expect`: it is not CLAIM=VALUE")]
    Expectation,
    #[error("verify it: this is no token that can be read")]
    NotVerifiable,
    #[error("read the keys in {from}")]
    Keys { from: String, source: NoKeys },
    #[error("discover the keys: `{found}` is no https URL")]
    Address { found: String },
    #[error("discover the keys at {at}")]
    Unreached { at: String, source: OutboundError },
    #[error("discover the keys at {at}: status {status}, not 200")]
    Status { at: String, status: u16 },
    #[error("discover the keys at {at}: the answer is no discovery document with `issuer` and `jwks_uri`")]
    Document { at: String },
    #[error("discover the keys at {at}: the document's issuer is `{found}`, not `{wanted}`")]
    OtherIssuer { at: String, found: String, wanted: String },
    #[error("start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("write the report as JSON")]
    Json(#[source] serde_json::Error),
}

impl InspectError {
    /// What the arguments name and is not there is bad usage; what was asked and came out wrong is a failure.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Expectation
            | Self::Keys { .. }
            | Self::Address { .. } => Exit::Usage,
            Self::Runtime(_) | Self::Json(_) => Exit::Ourselves,
            _ => Exit::Failed,
        }
    }
}

impl Problem for InspectError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "inspect-unreadable",
            Self::TooLarge { .. } => "inspect-too-large",
            Self::Expectation => "inspect-expectation-malformed",
            Self::NotVerifiable => "inspect-not-verifiable",
            Self::Keys { .. } => "verify-keys-unreadable",
            Self::Unreached { source, .. } => source.code(),
            Self::Address { .. } | Self::Status { .. } | Self::Document { .. } => "verify-discovery-failed",
            Self::OtherIssuer { .. } => "verify-discovery-issuer",
            Self::Runtime(_) | Self::Json(_) => "inspect-failed",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Unreached { source, .. } => source.blame(),
            Self::Status { .. } | Self::Document { .. } => Blame::Network,
            Self::Runtime(_) | Self::Json(_) => Blame::Ourselves,
            _ => Blame::Caller,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Unreadable { .. } => {
                "name a file that exists and that you may read; a token itself belongs on stdin, never on the command line"
            }
            Self::TooLarge { .. } => "give the token or certificate and nothing else",
            Self::Expectation => "write the claim, an equals sign and the value, such as idtyp=app",
            Self::NotVerifiable => "give a JWT",
            Self::Keys { .. } => "give the document that the issuer's `jwks_uri` serves",
            Self::Address { .. } => {
                "give the issuer as it stands in its tokens, such as https://sts.windows.net/TENANT/"
            }
            Self::Unreached { source, .. } => return source.remedy(),
            Self::Status { .. } | Self::Document { .. } => {
                "look at that address with a browser; where it is not to be reached, save the keys and use `--jwks`"
            }
            Self::OtherIssuer { .. } => "give the issuer that the document names, if your API accepts it",
            Self::Runtime(_) => "see the cause: usually a limit on threads or open files",
            Self::Json(_) => "report it: this is a defect",
        }))
    }
}
