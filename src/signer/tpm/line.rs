//! The way to one TPM: who may use it now, how long that may take, and what is done when it does not work.
//!
//! Every job has a thread and a connection of its own. A connection that is held between jobs would be faster, but a
//! signature is wanted once an hour, and a held one shuts everybody else out of `/dev/tpm0` and of swtpm, keeps slots for
//! keys and sessions taken, and must be mended after each reset. Easy to get wrong: a thread that hangs in libtss2 cannot be
//! stopped, only left behind, and not in tokio's own pool, whose end the process waits for at its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use super::chip::Chip;
use crate::clock::{Clock, Deadline};
use crate::signer::SignError;

/// Threads that may hang at the same time. Each costs a stack, and what the TPM does not answer one it answers no other.
const ABANDONED: usize = 3;
/// The first pause after trouble, doubled up to the last: back within a minute of the cause's end.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// One TPM, as its TCTI names it.
#[derive(Debug)]
pub(super) struct Line {
    tcti: Arc<str>,
    /// For one call, as the configuration has it.
    pub(super) limit: Duration,
    clock: Arc<dyn Clock>,
    /// Who has it uses the TPM.
    turn: tokio::sync::Mutex<()>,
    /// Threads that were left behind.
    abandoned: Mutex<Vec<JoinHandle<()>>>,
    trouble: Mutex<Option<Trouble>>,
    reopened: AtomicU64,
}

#[derive(Debug)]
struct Trouble {
    error: Arc<SignError>,
    pause: Duration,
    until: Deadline,
}

/// The TPM command that a thread is in, for the message when it hangs there.
pub(super) type Step = Arc<Mutex<&'static str>>;

impl Line {
    pub(super) fn new(tcti: &str, limit: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            tcti: tcti.into(),
            limit,
            clock,
            turn: tokio::sync::Mutex::default(),
            abandoned: Mutex::default(),
            trouble: Mutex::default(),
            reopened: AtomicU64::new(0),
        }
    }

    pub(super) fn tcti(&self) -> &str {
        &self.tcti
    }

    pub(super) fn reopened(&self) -> u64 {
        self.reopened.load(Ordering::Relaxed)
    }

    /// Does a job with the TPM, which must not take longer than `limit` once it is its turn.
    pub(super) async fn run<T, J>(self: &Arc<Self>, limit: Duration, job: J) -> Result<T, SignError>
    where
        T: Send + 'static,
        J: FnOnce(&mut Chip) -> Result<T, SignError> + Send + 'static,
    {
        let line = Arc::clone(self);
        // In a task of its own: a caller who hangs up must not give the turn away while the TPM is at work.
        let task = tokio::spawn(async move {
            let _turn = line.turn.lock().await;
            line.cooling()?;
            let outcome = line.attempt(limit, job).await;
            line.learn(outcome.as_ref().err());
            outcome
        });
        task.await.unwrap_or_else(|stopped| Err(SignError::Backend { kind: "tpm", source: Box::new(stopped) }))
    }

    async fn attempt<T, J>(&self, limit: Duration, job: J) -> Result<T, SignError>
    where
        T: Send + 'static,
        J: FnOnce(&mut Chip) -> Result<T, SignError> + Send + 'static,
    {
        let step = Step::new(Mutex::new("Tss2_TctiLdr_Initialize"));
        let place = || self.tcti.to_string();
        if self.abandoned() >= ABANDONED {
            return Err(SignError::Hung { place: place(), function: read(&step), limit });
        }
        let (tell, told) = oneshot::channel();
        let (tcti, at) = (Arc::clone(&self.tcti), Arc::clone(&step));
        let work = move || {
            // The connection is closed before the outcome is told: whoever is next finds the TPM free.
            let outcome = Chip::open(&tcti, at).and_then(|mut chip| job(&mut chip));
            let _ = tell.send(outcome);
        };
        let refused = |source| SignError::Backend { kind: "tpm", source: Box::new(source) };
        let thread = thread::Builder::new().name("tpm".to_owned()).spawn(work).map_err(refused)?;
        match tokio::time::timeout(limit, told).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(SignError::Died { place: place(), function: read(&step) }),
            Err(_) => {
                lock(&self.abandoned).push(thread);
                Err(SignError::Hung { place: place(), function: read(&step), limit })
            }
        }
    }

    /// How many still hang: one that was left behind may end after all.
    fn abandoned(&self) -> usize {
        let mut abandoned = lock(&self.abandoned);
        abandoned.retain(|thread| !thread.is_finished());
        abandoned.len()
    }

    /// The earlier error while it is too soon for another attempt.
    fn cooling(&self) -> Result<(), SignError> {
        match &*lock(&self.trouble) {
            Some(trouble) if !trouble.until.is_past(self.clock.now()) => {
                Err(SignError::Cooling(Arc::clone(&trouble.error)))
            }
            _ => Ok(()),
        }
    }

    fn learn(&self, error: Option<&SignError>) {
        let mut trouble = lock(&self.trouble);
        match error.and_then(SignError::trouble) {
            Some(error) => {
                let pause = trouble.as_ref().map_or(FIRST_PAUSE, |last| (last.pause * 2).min(LAST_PAUSE));
                let until = Deadline::after(self.clock.now(), pause);
                *trouble = Some(Trouble { error: Arc::new(error), pause, until });
            }
            None if trouble.take().is_some() => {
                self.reopened.fetch_add(1, Ordering::Relaxed);
            }
            None => {}
        }
    }
}

fn read(step: &Step) -> &'static str {
    *lock(step)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
