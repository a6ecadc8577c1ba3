//! Changes to a JSON document: JSON Patch (RFC 6902), as far as we make them.
//!
//! For `inject`, which decides them, and for those who carry them out: a kube-apiserver, or `manifest` on a YAML text. Not
//! for reading patches of strangers. Easy to get wrong: a pointer's `~` and `/` are escaped (RFC 6901 3), and `-` is the
//! place behind an array's last element.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// A place in a JSON document (RFC 6901).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// The whole document.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The place below this one: a member's name, an element's index, or `-`.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "names and indexes, written where they are called for")]
    pub fn below(&self, step: impl ToString) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.to_string());
        Self(steps)
    }

    /// From the root on, unescaped.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// The same place in a document that has this one at `place`.
    #[must_use]
    pub fn within(&self, place: &Self) -> Self {
        Self(place.0.iter().chain(&self.0).cloned().collect())
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| write!(f, "/{}", step.replace('~', "~0").replace('/', "~1")))
    }
}

impl Serialize for Pointer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One change (RFC 6902 4). A later one sees what the earlier ones did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Puts a member, or an element before the one at this index.
    Add { path: Pointer, value: Value },
    /// Takes away what is there.
    Remove { path: Pointer },
    /// Puts another value in the place of what is there.
    Replace { path: Pointer, value: Value },
    /// Fails the whole patch unless this value is there.
    Test { path: Pointer, value: Value },
}

impl Operation {
    /// What it is about.
    #[must_use]
    pub fn path(&self) -> &Pointer {
        match self {
            Self::Add { path, .. } | Self::Remove { path } | Self::Replace { path, .. } | Self::Test { path, .. } => {
                path
            }
        }
    }

    /// The same change to a document that has this one at `place`.
    #[must_use]
    pub fn within(mut self, place: &Pointer) -> Self {
        match &mut self {
            Self::Add { path, .. } | Self::Remove { path } | Self::Replace { path, .. } | Self::Test { path, .. } => {
                *path = path.within(place);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_escapes_what_its_syntax_needs() {
        let annotation = Pointer::root().below("metadata").below("annotations").below("unsecret.dev/a~b");
        assert_eq!(annotation.to_string(), "/metadata/annotations/unsecret.dev~1a~0b");
        assert_eq!(Pointer::root().to_string(), "");
    }

    #[test]
    fn an_operation_is_written_as_the_rfc_has_it() {
        let place = Pointer::root().below("spec").below("template");
        let add = Operation::Add { path: Pointer::root().below("containers").below(0), value: 1.into() }.within(&place);
        let expected = serde_json::json!({"op": "add", "path": "/spec/template/containers/0", "value": 1});
        assert_eq!(serde_json::to_value(&add).unwrap(), expected);
        let remove = serde_json::json!({"op": "remove", "path": ""});
        assert_eq!(serde_json::to_value(Operation::Remove { path: Pointer::root() }).unwrap(), remove);
    }
}
