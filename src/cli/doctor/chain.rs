//! The links of the chain, and what was found at each.
//!
//! Data only; `report` prints it. Easy to get wrong: a link's number is API (scripts branch on the exit status), and
//! whoever reads a finding reads it without the others, so it says what was tried.

use serde_json::{Value, json};

use crate::ids::IdentityName;
use crate::problem::{Problem, chain};

/// A link, in the order in which the chain is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Configuration,
    Sockets,
    Callers,
    Source,
    Assertion,
    Outbound,
    Clock,
    Issuer,
    Exchange,
    Token,
    Sinks,
}

impl Link {
    /// All that a configuration is needed for.
    pub(super) const AFTER_CONFIGURATION: [Self; 10] = [
        Self::Sockets,
        Self::Callers,
        Self::Source,
        Self::Assertion,
        Self::Outbound,
        Self::Clock,
        Self::Issuer,
        Self::Exchange,
        Self::Token,
        Self::Sinks,
    ];

    /// The name, as the report, `--json` and the help spell it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Sockets => "sockets",
            Self::Callers => "callers",
            Self::Source => "source",
            Self::Assertion => "assertion",
            Self::Outbound => "outbound",
            Self::Clock => "clock",
            Self::Issuer => "issuer",
            Self::Exchange => "exchange",
            Self::Token => "token",
            Self::Sinks => "sinks",
        }
    }

    /// The exit status when this link is the first that is broken.
    pub(super) fn status(self) -> u8 {
        match self {
            Self::Configuration => 2,
            Self::Sockets => 10,
            Self::Callers => 11,
            Self::Source => 12,
            Self::Assertion => 13,
            Self::Outbound => 14,
            Self::Clock => 15,
            Self::Issuer => 16,
            Self::Exchange => 17,
            Self::Token => 18,
            Self::Sinks => 19,
        }
    }
}

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Good,
    /// Cannot be judged from here, or will be wrong one day.
    Doubtful,
    Broken,
    /// An earlier link is broken, without which this one cannot be tried.
    NotReached,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Doubtful => "doubtful",
            Self::Broken => "broken",
            Self::NotReached => "not reached",
        }
    }
}

/// What was found at one link.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) link: Link,
    pub(super) state: State,
    /// The stable code of what is wrong.
    pub(super) code: Option<String>,
    /// What was done to find out; empty where nothing could be.
    pub(super) tried: String,
    /// The outcome first, then what belongs to it; a line each.
    pub(super) seen: Vec<String>,
    pub(super) remedy: Option<String>,
    /// What usually leads to it, the likeliest first.
    pub(super) perhaps: Vec<String>,
    /// Where to look: a page, a command, a file.
    pub(super) look_at: Vec<String>,
}

impl Finding {
    pub(super) fn good(link: Link, tried: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::new(link, State::Good, tried, seen)
    }

    /// Not broken, and yet something to hear.
    pub(super) fn doubtful(link: Link, tried: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::new(link, State::Doubtful, tried, seen)
    }

    pub(super) fn broken(link: Link, tried: impl Into<String>, problem: &dyn Problem) -> Self {
        let mut finding = Self::new(link, State::Broken, tried, chain(as_error(problem)));
        finding.code = Some(problem.code().to_owned());
        finding.remedy = problem.remedy().map(std::borrow::Cow::into_owned);
        finding
    }

    pub(super) fn not_reached(link: Link, because: Link) -> Self {
        Self::untried(link, format!("`{}` is broken", because.name()))
    }

    /// Left alone for a reason of its own.
    pub(super) fn untried(link: Link, why: impl Into<String>) -> Self {
        Self::new(link, State::NotReached, "", why)
    }

    fn new(link: Link, state: State, tried: impl Into<String>, seen: impl Into<String>) -> Self {
        let (tried, seen) = (tried.into(), vec![seen.into()]);
        Self { link, state, code: None, tried, seen, remedy: None, perhaps: Vec::new(), look_at: Vec::new() }
    }

    /// One more line of what was seen.
    pub(super) fn and(mut self, line: impl Into<String>) -> Self {
        self.seen.push(line.into());
        self
    }

    pub(super) fn remedied(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// As an object of `--json`.
    pub(super) fn json(&self, identity: Option<&IdentityName>) -> Value {
        json!({
            "identity": identity.map(IdentityName::as_str),
            "link": self.link.name(),
            "status": self.state.name(),
            "code": self.code,
            "tried": self.tried,
            "seen": self.seen,
            "remedy": self.remedy,
            "perhaps": self.perhaps,
            "look_at": self.look_at,
        })
    }
}

fn as_error(problem: &dyn Problem) -> &(dyn std::error::Error + 'static) {
    problem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Link> {
        std::iter::once(Link::Configuration).chain(Link::AFTER_CONFIGURATION).collect()
    }

    #[test]
    fn every_link_has_an_exit_status_of_its_own_and_later_ones_a_higher() {
        assert!(all().windows(2).all(|pair| pair[0].status() < pair[1].status()));
        assert!(all().iter().all(|link| ![0, 1, 3].contains(&link.status())), "those mean something else already");
    }

    #[test]
    fn the_help_tells_every_exit_status() {
        for link in all() {
            let told = format!("{} {}", link.status(), link.name());
            assert!(super::super::AFTER_HELP.contains(&told), "{told}");
        }
    }
}
