//! Whether a file was replaced, told from what its metadata says.
//!
//! Through symlinks, since Kubernetes swaps one. Easy to get wrong: a stamp is taken before the file is read, so that what
//! is replaced meanwhile is noticed the next time.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What changes with a file; nothing of it where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<Facts>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    place: (u64, u64),
    length: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Self {
        let facts = std::fs::metadata(path).map(|found| Facts {
            place: (found.dev(), found.ino()),
            length: found.len(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        });
        Self(facts.ok())
    }
}
