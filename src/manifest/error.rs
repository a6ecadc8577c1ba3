//! Why a manifest cannot be read or changed.

use std::borrow::Cow;

use thiserror::Error;

use crate::problem::{Blame, Problem};

/// Lines and columns count from 1, in the whole stream.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// It is no YAML.
    #[error("line {line}, column {column}: {what}")]
    Syntax { line: usize, column: usize, what: String },
    /// Two values for one key: readers do not agree on which counts.
    #[error("line {line}: the key `{key}` stands twice in one mapping")]
    Duplicate { line: usize, key: String },
    /// YAML allows it, JSON does not.
    #[error("line {line}: {what}")]
    NotJson { line: usize, what: String },
    /// Aliases that stand for aliases.
    #[error("line {line}: the aliases of this document stand for more than {most} values")]
    TooLarge { line: usize, most: usize },
    /// A change would be one of other places too.
    #[error("line {line}: `{place}` shares its text with other places, by an anchor, an alias or a merge")]
    Shared { line: usize, place: String },
    /// An operation that does not fit what is there.
    #[error("`{place}`: {why}")]
    Place { place: String, why: &'static str },
    /// The changed text would not say what was meant.
    #[error("the document at line {line} is written in a way that we cannot change without altering what it says")]
    Unable { line: usize },
}

impl Problem for ManifestError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "manifest-syntax",
            Self::Duplicate { .. } => "manifest-duplicate-key",
            Self::NotJson { .. } => "manifest-not-json",
            Self::TooLarge { .. } => "manifest-too-large",
            Self::Shared { .. } => "manifest-shared",
            Self::Place { .. } => "manifest-place",
            Self::Unable { .. } => "manifest-unable",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Unable { .. } | Self::Place { .. } => Blame::Ourselves,
            _ => Blame::Configuration,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Syntax { .. } => "mend the YAML there",
            Self::Duplicate { .. } => "keep one of the two",
            Self::NotJson { .. } => "write it as a quoted string, or as a value that JSON has",
            Self::TooLarge { .. } => "write out what the aliases stand for",
            Self::Shared { .. } => "write out in this place what the alias stands for, and change that",
            Self::Place { .. } => "report this: the operations do not fit the document",
            Self::Unable { .. } => {
                "write the document in plain block style, for instance with `kubectl create --dry-run=client -o yaml -f`"
            }
        }))
    }
}
