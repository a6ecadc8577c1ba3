//! The broker's own failures, as opposed to those that a mint reports.
//!
//! They pass by themselves unless said otherwise, so they are 503 downstream and carry how long to wait. Easy to get
//! wrong: a failure that passes and says no time makes JS clients block for a minute.

use std::borrow::Cow;
use std::time::Duration;

use super::MintError;
use crate::fault::Class;
use crate::ids::{IdentityName, NotA};
use crate::problem::{Blame, Problem};

/// What asks to be asked again at once says so with this.
const SOON: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
enum Mishap {
    #[error("no token yet: the exchange is still running after {} s of waiting", .0.as_secs())]
    StillMinting(Duration),
    #[error("the exchange did not end within {} s and was given up", .0.as_secs())]
    Hung(Duration),
    #[error("the assertion source did not answer within {} s", .0.as_secs())]
    Unanswered(Duration),
    #[error("Entra gave a token that lives 0 s")]
    Lifeless,
    #[error("the token that was refused is {} s old, and none is replaced that soon again", .0.as_secs())]
    JustReplaced(Duration),
    #[error("the exchange crashed")]
    Crashed,
    #[error("the exchange was dropped while the process was going down")]
    Lost,
    #[error("identity `{0}` holds {1} tokens in use, which is as many as it may")]
    Crowded(IdentityName, usize),
    #[error("identity `{0}` is allowed by policy but unknown to the broker")]
    Unwired(IdentityName),
    #[error("the resource asked for is not one: {0}")]
    Malformed(NotA),
}

impl Problem for Mishap {
    fn code(&self) -> &'static str {
        match self {
            Self::StillMinting(_) => "mint-still-running",
            Self::Hung(_) => "mint-hung",
            Self::Unanswered(_) => "probe-unanswered",
            Self::Lifeless => "token-lifeless",
            Self::JustReplaced(_) => "token-just-replaced",
            Self::Crashed => "mint-crashed",
            Self::Lost => "mint-dropped",
            Self::Crowded(..) => "slots-full",
            Self::Unwired(_) => "identity-not-wired",
            Self::Malformed(_) => "resource-malformed",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::StillMinting(_) | Self::Hung(_) => Blame::Network,
            Self::Unanswered(_) => Blame::Platform,
            Self::Lifeless | Self::JustReplaced(_) => Blame::Entra,
            Self::Crashed | Self::Lost | Self::Unwired(_) => Blame::Ourselves,
            Self::Crowded(..) | Self::Malformed(_) => Blame::Caller,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::StillMinting(_) => "ask again in a moment; if it stays so, check the way to Entra and `listen.wait`",
            Self::Hung(_) => "check the way to Entra and the assertion source: one of them neither answers nor fails",
            Self::Unanswered(_) => "check the platform that gives assertions; `unsecret` goes on asking it",
            Self::Lifeless => {
                "look for a token lifetime policy on the application, and for a proxy that alters answers"
            }
            Self::JustReplaced(_) => {
                "ask again in half a minute; if the resource refuses every new token, look at the sign-in logs of the application"
            }
            Self::Crashed => "report this with the log lines before it; other tokens are not affected",
            Self::Lost => "ask again once the process is up",
            Self::Crowded(..) => "list the `scopes` that applications need instead of allowing any",
            Self::Unwired(_) => "report this together with the configuration's identities",
            Self::Malformed(_) => "ask for an App ID URI or a GUID, such as https://vault.azure.net",
        }))
    }
}

pub(super) fn still_minting(waited: Duration) -> MintError {
    passing(Mishap::StillMinting(waited))
}

pub(super) fn hung(after: Duration) -> MintError {
    passing(Mishap::Hung(after))
}

pub(super) fn unanswered(after: Duration) -> MintError {
    passing(Mishap::Unanswered(after))
}

pub(super) fn lifeless() -> MintError {
    passing(Mishap::Lifeless)
}

pub(super) fn just_replaced(age: Duration, retry_in: Duration) -> MintError {
    MintError { retry_in: Some(retry_in), ..passing(Mishap::JustReplaced(age)) }
}

pub(super) fn crashed() -> MintError {
    passing(Mishap::Crashed)
}

pub(super) fn lost() -> MintError {
    passing(Mishap::Lost)
}

pub(super) fn crowded(identity: &IdentityName, slots: usize) -> MintError {
    passing(Mishap::Crowded(identity.clone(), slots))
}

pub(super) fn unwired(identity: &IdentityName) -> MintError {
    passing(Mishap::Unwired(identity.clone()))
}

pub(super) fn malformed(why: NotA) -> MintError {
    MintError::new(Mishap::Malformed(why), Class::Client)
}

fn passing(mishap: Mishap) -> MintError {
    MintError { retry_in: Some(SOON), ..MintError::new(mishap, Class::Transient) }
}
