//! Whether to ask again.

use serde::{Deserialize, Serialize};

use crate::fault::Class;

/// What asking again is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// Nothing, until somebody changes something.
    AfterChange,
    /// Something, if a change was made just now and has not spread yet.
    WhileSpreading,
    /// Once, with a fresh assertion.
    FreshAssertion,
    /// Once, with a new token.
    NewToken,
    /// Seldom: asking too often is what is wrong.
    WithCare,
    /// It passes by itself.
    Later,
}

impl Retry {
    /// As an answer to "shall I ask again?".
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::AfterChange => "no: the answer stays the same until somebody changes something",
            Self::WhileSpreading => {
                "only if something was changed within the last ten minutes: then each minute, since one success may be \
                 followed by failures; otherwise not before a change"
            }
            Self::FreshAssertion => "once, with a fresh assertion; if that is refused too, not before a change",
            Self::NewToken => "once, with a new token: a client that caches has to let go of the old one",
            Self::WithCare => {
                "with care: not at all for several minutes, then seldom, since asking too often is what is wrong"
            }
            Self::Later => {
                "yes, later: it passes by itself; wait as long as Retry-After says, else a second, then twice as long each time"
            }
        }
    }

    /// As the exchange itself treats a fault of this class.
    pub(super) fn of(class: Class) -> Self {
        match class {
            Class::Configuration | Class::Policy | Class::Client => Self::AfterChange,
            Class::Propagation => Self::WhileSpreading,
            Class::Fresh => Self::FreshAssertion,
            Class::Transient => Self::Later,
        }
    }
}
