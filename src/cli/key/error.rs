//! Why a key verb failed where neither the device nor the certificate is to blame, and how each failure ends the process.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::assertion::AssertionError;
use crate::cli::Exit;
use crate::problem::{Blame, Problem};
use crate::signer::{KeyUriError, SignError};

/// Why we stop.
pub(super) enum Stop {
    /// It has been said.
    Told(Exit),
    /// The device; kept apart, since a missing PIN can be asked for.
    Sign(SignError),
    /// What was typed is wrong.
    Usage(Box<dyn Problem>),
    Because(Box<dyn Problem>),
    /// The same, of a failure that others share.
    Shared(Arc<dyn Problem>),
}

impl From<SignError> for Stop {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}

impl From<KeyUriError> for Stop {
    fn from(error: KeyUriError) -> Self {
        Self::Usage(Box::new(error))
    }
}

impl From<AssertionError> for Stop {
    fn from(error: AssertionError) -> Self {
        Self::Because(Box::new(error))
    }
}

impl From<KeyError> for Stop {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Subject { .. } | KeyError::Name { .. } | KeyError::NothingToRoll | KeyError::NoGraph(_) => {
                Self::Usage(Box::new(error))
            }
            error => Self::Because(Box::new(error)),
        }
    }
}

/// Why a key verb failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    #[error("write `{}`: it is already there", .0.display())]
    OutputExists(PathBuf),
    #[error("write `{}`", path.display())]
    OutputUnwritable { path: PathBuf, source: io::Error },
    #[error("read `{}`", path.display())]
    OutputUnreadable { path: PathBuf, source: io::Error },
    #[error("roll the key: the identity signs with none")]
    NothingToRoll,
    #[error("find Microsoft Graph: `{0}` is no login host of Microsoft's")]
    NoGraph(String),
    #[error("read subject `{text}`: {why}")]
    Subject { text: String, why: String },
    #[error("read alternative name `{text}`: {why}")]
    Name { text: String, why: &'static str },
    #[error("make a certificate")]
    Make(#[source] rcgen::Error),
    #[error("read the key's public half: it is no RSA key")]
    NotRsa,
    #[error("test the key: its public half verifies neither its PS256 signatures nor its RS256 ones")]
    SignsNothing,
    #[error("check `{}`: certificate {place} in it is of this key, not the first", path.display())]
    NotFirst { path: PathBuf, place: usize },
    #[error("read the PIN from the terminal")]
    Prompt(#[source] io::Error),
}

impl Problem for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::OutputExists(_) => "key-output-exists",
            Self::OutputUnwritable { .. } => "key-output-unwritable",
            Self::OutputUnreadable { .. } => "key-output-unreadable",
            Self::NothingToRoll => "key-nothing-to-roll",
            Self::NoGraph(_) => "graph-unknown",
            Self::Subject { .. } => "key-subject-malformed",
            Self::Name { .. } => "key-name-malformed",
            Self::Make(_) => "key-certificate-not-made",
            Self::NotRsa => "key-public-not-rsa",
            Self::SignsNothing => "key-signs-nothing",
            Self::NotFirst { .. } => "certificate-not-first",
            Self::Prompt(_) => "pin-not-typed",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::SignsNothing | Self::NotRsa => Blame::Platform,
            Self::Make(_) => Blame::Ourselves,
            _ => Blame::Caller,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        let text = match self {
            Self::OutputExists(_) => "name another file: the one that is there may be in use",
            Self::OutputUnwritable { .. } => "name a file in a directory that this user may write to",
            Self::OutputUnreadable { .. } => "name the PEM file that an earlier run has written, or another file",
            Self::NothingToRoll => {
                "name an identity whose `assertion` has `certificates`, with --config and --identity"
            }
            Self::NoGraph(_) => "say where Graph is: --graph https://…",
            Self::Subject { .. } => "write it as CN=billing,O=Contoso (CN, O, OU, C, L and ST, each once)",
            Self::Name { .. } => "write DNS:host.example, IP:192.0.2.1, EMAIL:a@host.example or URI:https://…",
            Self::Make(_) => "report it with the command: this is a defect of ours",
            Self::NotRsa => "name an RSA key: Entra takes no other in a certificate assertion",
            Self::SignsNothing => "make another key, or ask the device's vendor which RSA signatures it makes",
            Self::NotFirst { .. } => "put the key's own certificate first, then those above it",
            Self::Prompt(_) => "put the PIN into a file, and `pin-source=file:/…` into the key",
        };
        Some(text.into())
    }
}
