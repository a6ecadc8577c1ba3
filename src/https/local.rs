//! Certificates of our own: made when they are due, kept in a folder, shown as `plan` says.
//!
//! Several processes may share the folder: each reads what the others made before it makes any, under one lock. Easy to
//! get wrong: a folder that cannot be written is no reason not to serve, but clients then have to trust anew at each start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::HttpsError;
use super::bundle::{Bundle, COMBINED, ROOTS, TRUST_STORE, machine_roots};
use super::folder::Folder;
use super::generation::Generation;
use super::pair::Pair;
use super::plan::{self, Fit, Life};
use crate::clock::Now;
use crate::problem::{Problem as _, chain};
use crate::secret::Fingerprint;

/// Only somebody who changes names at every start comes so far; the oldest with other names goes.
const CROWD: usize = 12;

/// What clients are to trust, for who is no broker. Where there is no certificate yet, one is made for these names; where
/// one may only read, what the broker has published is taken.
pub fn trusted(folder: &Path, names: &[String], now: Now) -> Result<Bundle, HttpsError> {
    let mut local = Local::new(folder.to_owned(), names.to_vec());
    let Err(problem) = local.share(now, Make::IfNone) else { return Ok(local.bundle(now)) };
    match std::fs::read_to_string(folder.join(ROOTS)) {
        Ok(roots) if !roots.is_empty() => {
            let end = "-----END CERTIFICATE-----\n";
            Ok(Bundle(roots.split_inclusive(end).map(str::to_owned).collect()))
        }
        _ => Err(problem),
    }
}

/// When a certificate is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Make {
    WhenDue,
    /// Names are the broker's business.
    IfNone,
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
        match self.share(now, Make::WhenDue) {
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
        // Also those of another process with other names.
        let mut lasting: Vec<_> = self.generations.iter().filter(|one| now.epoch() < one.pair.not_after).collect();
        lasting.sort_by_key(|one| (one.pair.not_before, one.file()));
        Bundle(lasting.into_iter().map(|one| one.root.clone()).collect())
    }

    /// Brings folder and memory to the same.
    fn share(&mut self, now: Now, make: Make) -> Result<(), HttpsError> {
        let path = self.folder.clone();
        let failed = |source| HttpsError::Unkept { folder: path.clone(), source };
        let folder = Folder::open(&self.folder).map_err(failed)?;
        // Held to the end: two processes that start at once make one certificate, not two.
        let _lock = folder.lock().map_err(failed)?;
        let files = folder.certificates().map_err(failed)?;
        for (name, text) in files {
            self.take(&name, text);
        }
        if make == Make::WhenDue || self.bundle(now).count() == 0 {
            self.make(now)?;
        }
        for generation in self.generations.iter_mut().filter(|generation| !generation.kept) {
            folder.put(&generation.file(), generation.text()).map_err(failed)?;
            generation.kept = true;
        }
        self.forget(&folder, now);
        publish(&folder, &self.bundle(now)).map_err(failed)
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

/// Writes the roots where they have changed. The other forms follow if they are there; the roots come last, so that a
/// crash between leaves something to be noticed.
fn publish(folder: &Folder, bundle: &Bundle) -> io::Result<()> {
    let roots = bundle.roots();
    if folder.public(ROOTS)?.is_some_and(|there| *there == roots.as_bytes()) {
        return Ok(());
    }
    let (combined, store) = (folder.public(COMBINED)?.is_some(), folder.public(TRUST_STORE)?.is_some());
    let machine = if combined || store { machine_roots() } else { Vec::new() };
    if combined {
        folder.publish(COMBINED, bundle.combined(&machine).as_bytes())?;
    }
    if store {
        let store = bundle.trust_store(&machine).map_err(io::Error::other)?;
        folder.publish(TRUST_STORE, &store)?;
    }
    folder.publish(ROOTS, roots.as_bytes())
}
