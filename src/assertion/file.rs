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
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::{Assertion, AssertionError, AssertionSource, Wanted, jwt};
use crate::clock::Clock;
use crate::facts::Facts;
use crate::secret::Secret;

/// Entra's own limit on a request is not much more; a real token is 1 to 3 KiB.
const LIMIT: u64 = 64 * 1024;

/// Reads the token at `path`.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    audience: String,
    clock: Arc<dyn Clock>,
    /// One read at a time: at a volume that hangs, each further try would cost another of the few threads of the process,
    /// until no identity could read or sign any more.
    turn: Arc<Semaphore>,
}

impl FileSource {
    /// `audience` is what the token must be for (contract A7).
    #[must_use]
    pub fn new(path: PathBuf, audience: String, clock: Arc<dyn Clock>) -> Self {
        Self { path, audience, clock, turn: Arc::new(Semaphore::new(1)) }
    }

    async fn read(&self, wanted: Wanted<'_>) -> Result<Assertion, AssertionError> {
        // On a thread of its own: a network volume that hangs must not stop the runtime that serves held tokens.
        let path = self.path.clone();
        let stopped = |join| AssertionError::FileUnreadable { path: self.path.clone(), source: io::Error::other(join) };
        // Never closed. The thread keeps it, also when nobody waits any more.
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok();
        let reading = move || {
            let _turn = turn;
            token(&path)
        };
        let jwt = tokio::task::spawn_blocking(reading).await.map_err(stopped)??;
        let flawed = |observed: &Facts, source| AssertionError::FileFlawed {
            path: self.path.clone(),
            observed: Box::new(observed.clone()),
            source,
        };
        let facts = jwt::facts(jwt.expose()).map_err(|flaw| flawed(&Facts::default(), flaw))?;
        jwt::check(&facts, &self.audience, self.clock.now().epoch()).map_err(|flaw| flawed(&facts, flaw))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::fault::Class;
    use crate::problem::Problem as _;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use std::fs;

    const WANTED: Wanted<'_> = Wanted { token_url: "https://login/token", refused: &[] };

    fn token(subject: &str, expires: u64) -> String {
        let claims = format!(r#"{{"iss":"i","sub":"{subject}","aud":["api://x"],"exp":{expires}}}"#);
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"RS256","kid":"k"}"#), part(&claims), part("canary"))
    }

    fn source(path: &Path) -> FileSource {
        FileSource::new(path.to_owned(), "api://x".to_owned(), Arc::new(ManualClock::standing(1_000)))
    }

    #[tokio::test]
    async fn the_file_is_read_anew_through_a_swapped_symlink() {
        let dir = tempfile::tempdir().unwrap();
        let (path, next) = (dir.path().join("token"), dir.path().join("next"));
        for name in ["one", "two"] {
            fs::write(dir.path().join(name), format!("{}\r\n", token(name, 2_000))).unwrap();
        }
        let source = source(&path);
        for name in ["one", "two"] {
            std::os::unix::fs::symlink(dir.path().join(name), &next).unwrap();
            fs::rename(&next, &path).unwrap();
            let assertion = source.assertion(WANTED).await.unwrap();
            assert_eq!(assertion.facts.subject.as_deref(), Some(name));
            assert_eq!(assertion.jwt.expose(), token(name, 2_000));
        }
    }

    #[test]
    fn a_file_that_hangs_holds_one_thread_however_often_it_is_tried() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(2).build().unwrap();
        let source = Arc::new(source(&path));
        runtime.block_on(async {
            for _ in 0..3 {
                let source = Arc::clone(&source);
                let task = tokio::spawn(async move { source.assertion(WANTED).await });
                tokio::task::yield_now().await;
                task.abort();
            }
            assert_eq!(tokio::task::spawn_blocking(|| 7).await.unwrap(), 7);
            // A writer that comes and goes ends the wait.
            drop(File::options().write(true).open(&path).unwrap());
            assert_eq!(tokio::task::spawn_blocking(|| 8).await.unwrap(), 8);
        });
    }

    #[tokio::test]
    async fn each_state_of_the_file_has_its_own_error_and_the_next_good_token_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let source = source(&path);
        let whole = token("s", 2_000);
        assert_eq!(source.assertion(WANTED).await.unwrap_err().code(), "token-file-missing");
        for (content, code) in [
            (" \n".to_owned(), "token-file-empty"),
            (whole[..whole.len() / 2].to_owned(), "assertion-incomplete"),
            (token("s", 900), "assertion-expired"),
            ("x".repeat(64 * 1024 + 1), "token-file-too-large"),
        ] {
            fs::write(&path, content).unwrap();
            let problem = source.assertion(WANTED).await.unwrap_err();
            assert_eq!((problem.code(), problem.class()), (code, Class::Transient));
            fs::write(&path, &whole).unwrap();
            source.assertion(WANTED).await.unwrap();
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(source.assertion(WANTED).await.unwrap_err().code(), "token-file-unreadable");
    }

    #[tokio::test]
    async fn an_expired_token_is_named_with_both_times() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, token("s", 900)).unwrap();
        let problem = source(&path).assertion(WANTED).await.unwrap_err();
        let line = crate::problem::chain(&problem);
        assert!(line.ends_with("it expired: `exp` is 900, now is 1000"), "{line}");
    }

    #[tokio::test]
    async fn a_token_that_entra_refused_is_not_offered_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let source = source(&path);
        fs::write(&path, token("s", 2_000)).unwrap();
        let refused = [source.assertion(WANTED).await.unwrap().mark];
        let again = Wanted { refused: &refused, ..WANTED };
        assert!(matches!(source.assertion(again).await, Err(AssertionError::Exhausted)));
        fs::write(&path, token("s", 2_001)).unwrap();
        source.assertion(again).await.unwrap();
    }
}
