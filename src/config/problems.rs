//! What is wrong with a configuration: a list, because everything is reported at once.
//!
//! Each item says where (file and line, or variable), what is wrong with which value, and a right one. Not a log format.
//! Easy to get wrong: a value that could be a key or a password is never repeated, see [`shown`].

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::problem::{Blame, Problem, report};
use crate::secret::local_key::is_entra_secret;

/// What kind of mistake; the stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The file cannot be read.
    Unreadable,
    /// It is no TOML.
    Syntax,
    UnknownKey,
    WrongType,
    WrongValue,
    Missing,
    /// Two settings that exclude each other.
    Conflict,
    /// Two identities or callers that cannot be told apart.
    Duplicate,
    /// A local key that cannot be read or used.
    LocalKey,
    /// A real client secret where a local key belongs.
    EntraSecret,
    /// An identity that nobody may use, or that does not say who may.
    NoCaller,
    /// What this build was made without.
    FeatureMissing,
}

impl Mistake {
    /// Every kind, for the documentation's sake.
    pub const ALL: [Self; 12] = [
        Self::Unreadable,
        Self::Syntax,
        Self::UnknownKey,
        Self::WrongType,
        Self::WrongValue,
        Self::Missing,
        Self::Conflict,
        Self::Duplicate,
        Self::LocalKey,
        Self::EntraSecret,
        Self::NoCaller,
        Self::FeatureMissing,
    ];

    /// Stable, listed in `docs/errors.md`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "config-unreadable",
            Self::Syntax => "config-syntax",
            Self::UnknownKey => "config-unknown-key",
            Self::WrongType => "config-wrong-type",
            Self::WrongValue => "config-wrong-value",
            Self::Missing => "config-missing",
            Self::Conflict => "config-conflict",
            Self::Duplicate => "config-duplicate",
            Self::LocalKey => "config-local-key",
            Self::EntraSecret => "config-entra-secret",
            Self::NoCaller => "config-no-caller",
            Self::FeatureMissing => "config-feature-missing",
        }
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    pub mistake: Mistake,
    /// `config.toml, line 14`, `variable UNSECRET_SCOPES`, or empty where nothing was written.
    pub place: String,
    /// The path in the file: `identity[0].scopes`; empty for the file as a whole.
    pub path: String,
    /// What is wrong, with the wrong value.
    pub what: String,
    /// What to do, with a right value.
    pub remedy: String,
}

impl ConfigProblem {
    /// True when it is only about who may use an identity: a token can be had for all that.
    #[must_use]
    pub fn is_about_callers(&self) -> bool {
        self.mistake == Mistake::NoCaller || self.path.contains(".caller[")
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        if !self.path.is_empty() {
            write!(f, "`{}` ", self.path)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for ConfigProblem {}

impl Problem for ConfigProblem {
    fn code(&self) -> &'static str {
        self.mistake.code()
    }

    fn blame(&self) -> Blame {
        Blame::Configuration
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.remedy))
    }
}

/// Every problem of a configuration. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblems(pub(super) Vec<ConfigProblem>);

impl ConfigProblems {
    /// In the order of the file.
    #[must_use]
    pub fn items(&self) -> &[ConfigProblem] {
        &self.0
    }

    /// The terminal form: each problem with its remedy and code, an empty line between them, and the count.
    #[must_use]
    pub fn report(&self) -> String {
        let mut out = String::new();
        for problem in &self.0 {
            let _ = writeln!(out, "{}", report(problem));
        }
        let _ = writeln!(out, "{}", count(self.0.len()));
        out
    }
}

fn count(problems: usize) -> String {
    if problems == 1 {
        "1 problem in the configuration".to_owned()
    } else {
        format!("{problems} problems in the configuration")
    }
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&count(self.0.len()))?;
        for (n, problem) in self.0.iter().enumerate() {
            write!(f, "{} {problem}", if n == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}

impl Problem for ConfigProblems {
    fn code(&self) -> &'static str {
        "config-invalid"
    }

    fn blame(&self) -> Blame {
        Blame::Configuration
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        match self.0.as_slice() {
            [only] => Some(Cow::Borrowed(&only.remedy)),
            _ => Some(Cow::Borrowed("run `unsecret check`, which shows each with its remedy")),
        }
    }
}

/// What stands for a text that is not shown.
pub(super) const HIDDEN: &str = "\"…\"";

/// A text in quotes for a message; `…` for what may be a secret that strayed into the wrong setting, and for what is
/// too long to read.
#[must_use]
pub(super) fn shown(text: &str) -> String {
    let strayed = text.starts_with("uns_")
        || is_entra_secret(text)
        || text.contains("PRIVATE KEY")
        || text.starts_with("eyJ")
        || text.contains('@') && text.contains("://");
    if strayed || text.len() > 200 || text.chars().any(char::is_control) {
        HIDDEN.to_owned()
    } else {
        format!("{text:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let secret = format!("abc8Q~{}", "x".repeat(34));
        for text in [secret.as_str(), "uns_whatever", "eyJhbGciOi", "http://user:pass@proxy:8080", "a\nb"] {
            assert_eq!(shown(text), "\"…\"");
        }
        assert_eq!(shown("https://vault.azure.net"), "\"https://vault.azure.net\"");
    }
}
