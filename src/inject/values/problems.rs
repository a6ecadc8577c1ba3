//! What is wrong with the values: a list, because everything is reported at once.
//!
//! Easy to get wrong: a value is shown beside what is right, unless it could be a secret that strayed there.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use crate::problem::{Blame, Problem, report};

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuesProblem {
    /// `defaults.doors[0]`; empty for the whole.
    pub path: String,
    pub(super) kind: Kind,
    pub(super) what: String,
    pub(super) remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    UnknownKey,
    WrongValue,
}

impl fmt::Display for ValuesProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the values" } else { &self.path };
        write!(f, "`{path}` {}", self.what)
    }
}

impl std::error::Error for ValuesProblem {}

impl Problem for ValuesProblem {
    fn code(&self) -> &'static str {
        match self.kind {
            Kind::UnknownKey => "values-unknown-key",
            Kind::WrongValue => "values-wrong-value",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Configuration
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.remedy))
    }
}

/// Every problem of the values. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuesProblems(pub(super) Vec<ValuesProblem>);

impl ValuesProblems {
    #[must_use]
    pub fn items(&self) -> &[ValuesProblem] {
        &self.0
    }

    /// The terminal form: each problem with its remedy and code, an empty line between them, and the count.
    #[must_use]
    pub fn report(&self) -> String {
        let mut out = String::new();
        for problem in &self.0 {
            let _ = writeln!(out, "{}", report(problem));
        }
        let _ = writeln!(out, "{}", self.count());
        out
    }

    fn count(&self) -> String {
        match self.0.len() {
            1 => "1 problem in the values".to_owned(),
            many => format!("{many} problems in the values"),
        }
    }
}

impl fmt::Display for ValuesProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.count())?;
        for (n, problem) in self.0.iter().enumerate() {
            write!(f, "{} {problem}", if n == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for ValuesProblems {}

impl Problem for ValuesProblems {
    fn code(&self) -> &'static str {
        "values-invalid"
    }

    fn blame(&self) -> Blame {
        Blame::Configuration
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        let remedies: Vec<_> = self.0.iter().map(|problem| problem.remedy.as_str()).collect();
        Some(Cow::Owned(remedies.join("; ")))
    }
}
