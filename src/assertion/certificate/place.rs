//! The place of one configured pair: what is in use there, and whether its files were replaced.
//!
//! Looked at now and then, without inotify: a volume that Kubernetes mounts or an NFS share tells it nothing. Easy to get
//! wrong: certificate and key are replaced one after the other, so what does not belong together now may do so at the next look; and what
//! is in use stays in use until the new pair is proven.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::Crew;
use super::credential::{Credential, Origin};
use super::stamp::Stamp;
use crate::assertion::AssertionError;
use crate::observe::Event;
use crate::problem::{Problem as _, Trouble};

/// A file on a volume that hangs is left for the next look.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct Place {
    current: ArcSwap<Credential>,
    refused: Mutex<Option<Refused>>,
    /// One look at a time, also where nobody waits for it any more: each costs one of the few threads of the process.
    turn: Arc<Semaphore>,
}

/// What stands in the files and is not taken.
#[derive(Clone, Debug)]
struct Refused {
    stamps: Vec<Stamp>,
    trouble: Trouble,
    /// May be taken as it is, once the hardware can be asked.
    passing: bool,
}

/// What was found in the files.
enum Found {
    InUse,
    Judged,
    Other(Vec<Stamp>, Result<Box<Credential>, AssertionError>),
}

impl Place {
    pub(super) fn new(credential: Credential) -> Self {
        Self {
            current: ArcSwap::from_pointee(credential),
            refused: Mutex::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    pub(super) fn current(&self) -> Arc<Credential> {
        self.current.load_full()
    }

    /// Why what stands in the files now is not in use.
    pub(super) fn kept(&self) -> Option<Trouble> {
        self.refused().as_ref().map(|refused| refused.trouble.clone())
    }

    /// Takes replaced files up, if they are good. True when another certificate is in use from now on.
    pub(super) async fn look(&self, crew: &Crew) -> bool {
        let Ok(turn) = Arc::clone(&self.turn).try_acquire_owned() else { return false };
        let (current, refused) = (self.current(), self.refused().clone());
        let looking = spawn_blocking(move || {
            let _turn = turn;
            look(&current, refused.as_ref())
        });
        let (stamps, opened) = match tokio::time::timeout(PATIENCE, looking).await {
            Ok(Ok(Found::Other(stamps, opened))) => (stamps, opened),
            Ok(Ok(Found::InUse)) => {
                *self.refused() = None;
                return false;
            }
            _ => return false,
        };
        let proven = match opened {
            Ok(credential) if self.current().is_usable(crew.clock.now()) && !credential.is_usable(crew.clock.now()) => {
                Err(credential.out_of_time(crew.clock.now()))
            }
            Ok(credential) => match tokio::time::timeout(PATIENCE, credential.proven(crew)).await {
                Ok(Ok(algorithm)) => Ok((credential, algorithm)),
                Ok(Err(problem)) => Err(problem),
                Err(_) => Err(credential.too_slow(PATIENCE)),
            },
            Err(problem) => Err(problem),
        };
        match proven {
            Ok((credential, algorithm)) => {
                *self.refused() = None;
                let other = credential.leaf.thumbprint != self.current.load().leaf.thumbprint;
                let credential = Arc::new(*credential);
                self.current.store(Arc::clone(&credential));
                credential.works(crew, algorithm);
                other
            }
            Err(problem) => {
                self.keep(crew, stamps, &problem);
                false
            }
        }
    }

    /// Said once for each state of the files.
    fn keep(&self, crew: &Crew, stamps: Vec<Stamp>, problem: &AssertionError) {
        let trouble = Trouble::of(problem, 1);
        let passing = !problem.is_definite() || matches!(problem, AssertionError::CertificateNotValid { .. });
        let refused = Refused { stamps, trouble: trouble.clone(), passing };
        let same = |before: &Refused| before.stamps == refused.stamps && before.trouble.code == trouble.code;
        let known = self.refused().as_ref().is_some_and(same);
        *self.refused() = Some(refused);
        if known {
            return;
        }
        let current = self.current.load();
        let Some(Origin { pair, .. }) = &current.origin else { return };
        crew.observer.on(&Event::CertificateKept {
            identity: &crew.identity,
            file: &pair.certificate,
            thumbprint: &current.leaf.thumbprint.hex(),
            code: problem.code(),
            chain: &trouble.chain,
            remedy: trouble.remedy.as_deref(),
        });
    }

    /// Whole at any time, so a poisoned lock is no reason to stop.
    fn refused(&self) -> MutexGuard<'_, Option<Refused>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Blocks: reads metadata, and the files where they are not those in use.
fn look(current: &Credential, refused: Option<&Refused>) -> Found {
    let Some(origin) = &current.origin else { return Found::InUse };
    let stamps = origin.pair.stamps();
    if stamps == origin.stamps {
        return Found::InUse;
    }
    if refused.is_some_and(|refused| refused.stamps == stamps && !refused.passing) {
        return Found::Judged;
    }
    let opened = current.open_again(origin).map(Box::new);
    Found::Other(stamps, opened)
}
