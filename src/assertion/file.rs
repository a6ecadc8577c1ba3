//! A federated token that the platform keeps in a file (contract C1).
//!
//! Read by its path at every exchange: the kubelet swaps a symlink, so an open file or an inode would be yesterday's
//! token. Not a watcher, nothing is kept. Easy to get wrong: a writer that does not rename leaves half a token for a
//! moment; that is told from a wrong one, and passes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_core::future::BoxFuture;
use zeroize::Zeroizing;

use super::{Assertion, AssertionError, AssertionSource, Wanted, jwt};
use crate::clock::Clock;
use crate::secret::Secret;

/// Entra's own limit on a request is not much more; a real token is 1 to 3 KiB.
const LIMIT: u64 = 64 * 1024;

/// Reads the token at `path`.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    audience: String,
    clock: Arc<dyn Clock>,
}

impl FileSource {
    /// `audience` is what the token must be for (contract A7).
    #[must_use]
    pub fn new(path: PathBuf, audience: String, clock: Arc<dyn Clock>) -> Self {
        Self { path, audience, clock }
    }

    async fn read(&self, wanted: Wanted<'_>) -> Result<Assertion, AssertionError> {
        // On a thread of its own: a network volume that hangs must not stop the runtime that serves held tokens.
        let path = self.path.clone();
        let stopped = |join| AssertionError::FileUnreadable { path: self.path.clone(), source: io::Error::other(join) };
        let jwt = tokio::task::spawn_blocking(move || token(&path)).await.map_err(stopped)??;
        let flawed = |source| AssertionError::FileFlawed { path: self.path.clone(), source };
        let facts = jwt::facts(jwt.expose()).map_err(flawed)?;
        jwt::check(&facts, &self.audience, self.clock.now().epoch()).map_err(flawed)?;
        let mark = jwt.fingerprint();
        if wanted.refused.contains(&mark) {
            return Err(AssertionError::Exhausted);
        }
        Ok(Assertion { jwt, mark, facts })
    }
}

impl AssertionSource for FileSource {
    fn assertion<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Assertion, AssertionError>> {
        Box::pin(self.read(wanted))
    }

    fn kind(&self) -> &'static str {
        "file"
    }
}

fn token(path: &Path) -> Result<Secret, AssertionError> {
    let named = || path.to_owned();
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => AssertionError::FileMissing { path: named() },
        io::ErrorKind::PermissionDenied => AssertionError::FileForbidden { path: named(), source },
        _ => AssertionError::FileUnreadable { path: named(), source },
    };
    let file = File::open(path).map_err(failed)?;
    // Room for all of it at once: growing would leave copies of the token behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(8 * 1024));
    file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LIMIT {
        return Err(AssertionError::FileTooLarge { path: named(), limit: LIMIT });
    }
    // What is not ASCII is no token; the part it falls into says so.
    let text = Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned());
    match text.trim() {
        "" => Err(AssertionError::FileEmpty { path: named() }),
        token => Ok(Secret::new(token)),
    }
}
