//! Certificates of our own: made when they are due, kept in a folder, shown as `plan` says.
//!
//! Several processes may share the folder: each reads what the others made before it makes any, under one lock. Easy to
//! get wrong: a folder that cannot be written is no reason not to serve, but clients then have to trust anew at each start.

use std::path::PathBuf;
use std::sync::Arc;

use super::HttpsError;
use super::folder::{Folder, ROOTS};
use super::generation::Generation;
use super::pair::Pair;
use super::plan::{self, Fit, Life};
use crate::clock::Now;
use crate::problem::{Problem as _, chain};
use crate::secret::Fingerprint;

/// Only somebody who changes names at every start comes so far; the oldest with other names goes.
const CROWD: usize = 12;

/// What clients are to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// PEM, the one that is used first before the others.
    pub roots: Vec<String>,
    /// The file that is kept with them, unless it could not be written.
    pub file: Option<PathBuf>,
}

/// The certificates for some names.
#[derive(Debug)]
pub(super) struct Local {
    folder: PathBuf,
    names: Vec<String>,
    generations: Vec<Generation>,
    /// What was told of the folder last.
    told: Option<String>,
    /// Files that are none of ours, told once.
    strange: Vec<Fingerprint>,
}

impl Local {
    pub(super) fn new(folder: PathBuf, names: Vec<String>) -> Self {
        Self { folder, names, generations: Vec::new(), told: None, strange: Vec::new() }
    }

    /// Reads, makes and keeps what there has to be, and says what is to be shown. Fails only where there is nothing to show.
    pub(super) fn tend(&mut self, now: Now) -> Result<Vec<Arc<Pair>>, HttpsError> {
        match self.share(now) {
            Ok(()) => self.told = None,
            Err(problem) => {
                self.tell(&problem);
                if let Err(problem) = self.make(now)
                    && self.generations.is_empty()
                {
                    return Err(problem);
                }
            }
        }
        let lives = self.lives();
        let shown = plan::shown(&lives, now.epoch());
        Ok(shown.into_iter().map(|place| Arc::clone(&self.generations[place].pair)).collect())
    }

    /// What clients are to trust now and next: every root whose certificate has not ended.
    pub(super) fn bundle(&self, now: Now) -> Bundle {
        let kept = self.told.is_none();
        Bundle { roots: self.roots(now), file: kept.then(|| self.folder.join(ROOTS)) }
    }

    /// Brings folder and memory to the same.
    fn share(&mut self, now: Now) -> Result<(), HttpsError> {
        let failed = |source| HttpsError::Unkept { folder: self.folder.clone(), source };
        let folder = Folder::open(&self.folder).map_err(failed)?;
        // Held to the end: two processes that start at once make one certificate, not two.
        let _lock = folder.lock().map_err(failed)?;
        let files = folder.certificates().map_err(failed)?;
        for (name, text) in files {
            self.take(&name, text);
        }
        self.make(now)?;
        let failed = |source| HttpsError::Unkept { folder: self.folder.clone(), source };
        for generation in self.generations.iter_mut().filter(|generation| !generation.kept) {
            folder.put(&generation.file(), generation.text()).map_err(failed)?;
            generation.kept = true;
        }
        self.forget(&folder, now);
        let roots = self.roots(now).concat();
        folder.publish(&roots).map_err(|source| HttpsError::Unkept { folder: self.folder.clone(), source })
    }

    fn take(&mut self, name: &str, text: zeroize::Zeroizing<Vec<u8>>) {
        let mark = Fingerprint::of(&text);
        if self.strange.contains(&mark) || self.generations.iter().any(|one| one.text() == &**text) {
            return;
        }
        match Generation::read(text, true) {
            Ok(generation) => self.generations.push(generation),
            Err(why) => {
                self.strange.push(mark);
                let file = self.folder.join("keys").join(name);
                tracing::warn!(file = %file.display(), why, "this is no certificate of ours; it is passed over");
            }
        }
    }

    /// Makes the next one where it is due.
    fn make(&mut self, now: Now) -> Result<(), HttpsError> {
        if !plan::is_next_due(&self.lives(), now.epoch()) {
            return Ok(());
        }
        let generation = Generation::make(&self.names, now)?;
        tracing::info!(names = %self.names.join(", "), "a new local CA has issued a certificate for listen.https");
        self.generations.push(generation);
        Ok(())
    }

    /// What is long over, and the oldest of a crowd. What cannot be removed now can be later.
    fn forget(&mut self, folder: &Folder, now: Now) {
        self.generations.sort_by_key(|one| one.pair.not_before);
        let mut crowd = self.generations.len().saturating_sub(CROWD);
        let names = &self.names;
        self.generations.retain(|one| {
            let life = one.life(names);
            let crowded = crowd > 0 && life.fit == Fit::Stranger;
            crowd -= usize::from(crowded);
            !((crowded || life.is_over(now.epoch())) && folder.remove(&one.file()).is_ok())
        });
    }

    fn lives(&self) -> Vec<Life> {
        self.generations.iter().map(|one| one.life(&self.names)).collect()
    }

    /// Also those of another process with other names.
    fn roots(&self, now: Now) -> Vec<String> {
        let mut lasting: Vec<_> = self.generations.iter().filter(|one| now.epoch() < one.pair.not_after).collect();
        lasting.sort_by_key(|one| (one.pair.not_before, one.file()));
        lasting.into_iter().map(|one| one.root.clone()).collect()
    }

    fn tell(&mut self, problem: &HttpsError) {
        let text = chain(problem);
        if self.told.as_ref() == Some(&text) {
            return;
        }
        let remedy = problem.remedy().unwrap_or_default();
        tracing::warn!(
            code = problem.code(),
            remedy = &*remedy,
            "{text}; it stays in memory, and clients must trust anew after each start"
        );
        self.told = Some(text);
    }
}
