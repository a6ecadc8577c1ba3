//! Why a sink's file could not be written, or its command did not do its work.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::problem::{Blame, Problem};

/// Why a sink is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("write sink file: there is no directory `{folder}`")]
    NoDirectory { folder: PathBuf },
    #[error("write sink file: every user of this machine may rename files in `{folder}`")]
    OpenDirectory { folder: PathBuf },
    #[error("write sink file `{file}`: it is a directory")]
    Directory { file: PathBuf },
    #[error("write sink file `{file}`: this process may not")]
    Forbidden { file: PathBuf, source: io::Error },
    #[error("write sink file `{file}`: there is no room")]
    Full { file: PathBuf, source: io::Error },
    #[error("write sink file `{file}`")]
    Unwritable { file: PathBuf, source: io::Error },
    #[error("give sink file `{file}` to its owner")]
    NotGivenAway { file: PathBuf, source: io::Error },
    #[error("find {kind} `{name}`: {listing} does not list it")]
    UnknownAccount { kind: &'static str, name: String, listing: &'static str },
    #[error("get an assertion for a file: not within {limit:?}")]
    NoAssertion { limit: Duration },
    #[error("run `{program}` after a write")]
    NotStarted { program: String, source: io::Error },
    /// `ended` is `exit status: 1` or `signal: 9 (SIGKILL)`.
    #[error("run `{program}` after a write: {ended}")]
    Unsuccessful { program: String, ended: String },
    #[error("run `{program}` after a write: killed, not done within {limit:?}")]
    TooSlow { program: String, limit: Duration },
    #[error("write sink file `{file}`: the task that writes ended")]
    Stopped { file: PathBuf },
}

impl Problem for SinkError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoDirectory { .. } => "sink-directory-missing",
            Self::OpenDirectory { .. } => "sink-directory-open",
            Self::Directory { .. } => "sink-is-directory",
            Self::Forbidden { .. } => "sink-forbidden",
            Self::Full { .. } => "sink-no-room",
            Self::Unwritable { .. } => "sink-unwritable",
            Self::NotGivenAway { .. } => "sink-owner-forbidden",
            Self::UnknownAccount { .. } => "sink-owner-unknown",
            Self::NoAssertion { .. } => "sink-assertion-too-slow",
            Self::NotStarted { .. } => "sink-reload-not-started",
            Self::Unsuccessful { .. } => "sink-reload-failed",
            Self::TooSlow { .. } => "sink-reload-too-slow",
            Self::Stopped { .. } => "sink-stopped",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::NoDirectory { .. }
            | Self::OpenDirectory { .. }
            | Self::Directory { .. }
            | Self::NotGivenAway { .. }
            | Self::UnknownAccount { .. }
            | Self::NotStarted { .. } => Blame::Configuration,
            Self::Stopped { .. } => Blame::Ourselves,
            _ => Blame::Platform,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::NoDirectory { .. } => "make the directory before the broker starts (RuntimeDirectory= in systemd)",
            Self::OpenDirectory { .. } => {
                "use a directory of the broker's own, or set the sticky bit: chmod o-w, or +t"
            }
            Self::Directory { .. } => "name a file, or remove the directory of that name",
            Self::Forbidden { .. } => "let the broker's user write to the directory",
            Self::Full { .. } => "make room, or use a tmpfs such as /run",
            Self::Unwritable { .. } => "see what the system says; it is tried again",
            Self::NotGivenAway { .. } => {
                "give the broker CAP_CHOWN, name a group that its user is in, or leave `owner` out"
            }
            Self::UnknownAccount { .. } => "write a name of this machine, or the number",
            Self::NoAssertion { .. } => "check what provides the assertion for what is slow; it is asked again",
            Self::NotStarted { .. } => "name a program that exists, by its absolute path; there is no shell",
            Self::Unsuccessful { .. } => "run it by hand as the broker's user; its output is not kept",
            Self::TooSlow { .. } => "let the command hand the work over and end",
            Self::Stopped { .. } => "report it: this is a defect; it is tried again",
        }))
    }
}
