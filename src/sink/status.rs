//! What is said of a sink: on the admin pages, for readiness.
//!
//! No token and no content. Easy to get wrong: a file that was written once is no good for ever; readiness ends with the
//! token in it.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Sink;
use crate::clock::{Deadline, Now};
use crate::ids::IdentityName;
use crate::problem::Trouble;

/// One sink, to who only looks. Times are seconds since 1970.
#[derive(Clone, Debug)]
pub struct SinkStatus {
    pub identity: IdentityName,
    pub file: PathBuf,
    pub required: bool,
    /// This process has written the file, and what stands in it is not past.
    pub ready: bool,
    /// When what stands in the file expires; `None` where it does not say, or nothing was written.
    pub expires: Option<u64>,
    /// Why the file is not as it should be.
    pub trouble: Option<Trouble>,
}

/// Where a writer says how it stands.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    sink: Option<(IdentityName, PathBuf, bool)>,
    /// What is wanted was written.
    written: bool,
    /// Until when what was written is good, if it says so.
    expires: Option<Deadline>,
    trouble: Option<Trouble>,
}

impl Board {
    pub(super) fn expect(&self, sink: &Sink) {
        self.said().sink = Some((sink.identity.clone(), sink.target.file.clone(), sink.required));
    }

    pub(super) fn written(&self, expires: Option<Deadline>) {
        let mut said = self.said();
        said.written = true;
        said.expires = expires;
        said.trouble = None;
    }

    /// What stands in the file is not what is wanted any more.
    pub(super) fn outdated(&self) {
        let mut said = self.said();
        said.written = false;
        said.expires = None;
    }

    pub(super) fn failed(&self, trouble: Option<Trouble>) {
        self.said().trouble = trouble;
    }

    pub(super) fn read(&self, now: Now) -> Option<SinkStatus> {
        let said = self.said();
        let (identity, file, required) = said.sink.clone()?;
        let expires = said.expires.map(|deadline| deadline.epoch());
        Some(SinkStatus { identity, file, required, ready: said.is_good(now), expires, trouble: said.trouble.clone() })
    }

    pub(super) fn lets_ready(&self, now: Now) -> bool {
        let said = self.said();
        !said.sink.as_ref().is_some_and(|(_, _, required)| *required) || said.is_good(now)
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn is_good(&self, now: Now) -> bool {
        self.written && self.expires.is_none_or(|expires| !expires.is_past(now))
    }
}
