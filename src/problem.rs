//! What an error owes its reader: a stable code, whose move it is, and what to do.
//!
//! One error, three forms: on the wire (the dialects render it), in the log (one line, [`chain`]) and at the terminal
//! ([`report`]). Not a catch-all error type: each seam has its own `thiserror` enum that implements [`Problem`]. Easy to
//! get wrong: `Display` must not repeat its source, because every printer walks the chain.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Write as _;

/// Who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The application that asked.
    Caller,
    /// Our configuration file, flags or variables.
    Configuration,
    /// The platform or hardware that proves who we are: token file, CI endpoint, HSM.
    Platform,
    /// The way to Entra: DNS, proxy, TLS inspection.
    Network,
    /// Entra itself, passing.
    Entra,
    /// An administrator's decision in Entra: registration, policy, consent.
    Tenant,
    /// A defect of ours.
    Ourselves,
}

/// An error that knows its code, its owner and its remedy.
pub trait Problem: Error + Send + Sync + 'static {
    /// Stable, kebab-case, listed in `docs/errors.md`.
    fn code(&self) -> &'static str;
    /// Who can mend it.
    fn blame(&self) -> Blame;
    /// A thing to do, as an imperative clause: lower case and without a full stop, since each printer sets it into a
    /// sentence of its own. `None` where there is nothing to do but wait.
    fn remedy(&self) -> Option<Cow<'_, str>> {
        None
    }
}

/// The whole chain in one line: `read federated token file `…`: No such file or directory`.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // A wrapper whose text already ends in its source's text would say it twice.
        let text = cause.to_string();
        if !line.ends_with(&text) {
            let _ = write!(line, ": {text}");
        }
        source = cause.source();
    }
    line
}

/// A failure, ready to be read by who only looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub code: &'static str,
    /// The whole chain, one line.
    pub chain: String,
    pub remedy: Option<String>,
    /// How many in a row, this one included.
    pub consecutive: u32,
}

impl Trouble {
    #[must_use]
    pub fn of(problem: &dyn Problem, consecutive: u32) -> Self {
        let remedy = problem.remedy().map(Cow::into_owned);
        Self { code: problem.code(), chain: chain(as_error(problem)), remedy, consecutive }
    }
}

/// The terminal form: `error: …`, `remedy: …`, `code: …`, each on its line, with a final newline.
#[must_use]
pub fn report(problem: &dyn Problem) -> String {
    let mut out = format!("error: {}\n", chain(as_error(problem)));
    if let Some(remedy) = problem.remedy() {
        let _ = writeln!(out, "remedy: {remedy}");
    }
    let _ = writeln!(out, "code: {}", problem.code());
    out
}

fn as_error(problem: &dyn Problem) -> &(dyn Error + 'static) {
    problem
}
