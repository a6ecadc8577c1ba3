//! Why a start or a reload did not come about.

use std::borrow::Cow;

use crate::assertion::AssertionError;
use crate::config::ConfigProblems;
use crate::https::HttpsError;
use crate::ids::IdentityName;
use crate::listen::BindError;
use crate::problem::{Blame, Problem};

/// Why the broker does not start. What may pass by itself (Entra, the platform, a token file that is not there yet)
/// never ends up here.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("open what proves identity `{identity}`")]
    Open { identity: IdentityName, source: AssertionError },
    #[error(transparent)]
    Https(#[from] HttpsError),
}

impl StartError {
    /// True when starting again cannot help before somebody changes the configuration or its files: exit status 2.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Open { .. } | Self::Https(_))
    }

    fn problem(&self) -> &dyn Problem {
        match self {
            Self::Bind(problem) => problem,
            Self::Open { source, .. } => source,
            Self::Https(problem) => problem,
        }
    }
}

impl Problem for StartError {
    fn code(&self) -> &'static str {
        self.problem().code()
    }

    fn blame(&self) -> Blame {
        self.problem().blame()
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        self.problem().remedy()
    }
}

/// Why a reload left everything as it was.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Configuration(#[from] ConfigProblems),
    #[error("reload: `{setting}` was {was} and would become {new}; listeners are bound once")]
    Listener { setting: &'static str, was: String, new: String },
    #[error("reload: `{setting}` was {was} and would become {new}; open keys depend on it")]
    Hardware { setting: &'static str, was: String, new: String },
    #[error("open what proves identity `{identity}`")]
    Open { identity: IdentityName, source: AssertionError },
    #[error(transparent)]
    Https(#[from] HttpsError),
}

impl Problem for ReloadError {
    fn code(&self) -> &'static str {
        match self {
            Self::Configuration(problems) => problems.code(),
            Self::Listener { .. } => "reload-listener-changed",
            Self::Hardware { .. } => "reload-hardware-changed",
            Self::Open { source, .. } => source.code(),
            Self::Https(problem) => problem.code(),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Configuration(_) | Self::Listener { .. } | Self::Hardware { .. } => Blame::Configuration,
            Self::Open { source, .. } => source.blame(),
            Self::Https(problem) => problem.blame(),
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Configuration(problems) => problems.remedy(),
            Self::Listener { setting, .. } | Self::Hardware { setting, .. } => {
                Some(Cow::Owned(format!("restart unsecret to change `{setting}`, or set it back and reload again")))
            }
            Self::Open { source, .. } => source.remedy(),
            Self::Https(problem) => problem.remedy(),
        }
    }
}
