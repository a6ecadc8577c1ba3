//! A certificate and the key that signs for it: proven before its first use, and again whenever it was opened anew.
//!
//! Does not choose between certificates (`mod` does) and does not watch its files (`place` does). Easy to get wrong: hardware may come back
//! with another key under the same name, so every signature is verified before it leaves; that costs a hundredth of signing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo};

use super::stamp::Stamp;
use super::{Crew, proof};
use crate::assertion::{AssertionError, Leaf};
use crate::clock::Now;
use crate::observe::Event;
use crate::problem::{Problem as _, Trouble};
use crate::secret::Fingerprint;
use crate::signer::{Algorithm, FileSigner, KeyUri, SignError, Signer, Signers};

/// Opens the key of a certificate, whose `subjectPublicKey` is `wanted`.
pub trait Keys: Send + Sync + std::fmt::Debug {
    /// As [`Signers::open`]: may take a second, so not on the runtime's thread.
    fn open(&self, key: &KeyUri, wanted: &[u8]) -> Result<Arc<dyn Signer>, SignError>;
}

impl Keys for Signers {
    fn open(&self, key: &KeyUri, wanted: &[u8]) -> Result<Arc<dyn Signer>, SignError> {
        Signers::open(self, key, Some(wanted))
    }
}

/// Where a certificate and its key are, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// PEM with the leaf first, or PKCS#12.
    pub certificate: PathBuf,
    pub key: KeyUri,
}

/// A certificate and the key that signs for it.
#[derive(Debug)]
pub struct Credential {
    pub leaf: Leaf,
    pub signer: Arc<dyn Signer>,
    /// Where it was read; nothing where it came by another way, and so cannot be replaced there.
    pub(super) origin: Option<Origin>,
    proof: Mutex<Option<Proof>>,
    standing: Lock<Standing>,
    /// How many openings of the signer were told.
    told: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Origin {
    pub(super) pair: Pair,
    pub(super) keys: Arc<dyn Keys>,
    pub(super) stamps: Vec<Stamp>,
}

/// That the key is the certificate's.
#[derive(Clone, Copy, Debug)]
struct Proof {
    algorithm: Algorithm,
    /// How often the signer had been opened anew before.
    reopened: u64,
}

/// How it is with the key, to who only looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// What it last proved to sign with.
    pub(super) algorithm: Option<Algorithm>,
    /// Why it does not sign now.
    pub(super) trouble: Option<Trouble>,
}

impl Pair {
    /// The files whose replacement means another certificate or another key. A PIN is read at every login anyway.
    pub(super) fn stamps(&self) -> Vec<Stamp> {
        let named = self.key.files().filter(|(what, _)| *what != "PIN file").map(|(_, path)| path);
        std::iter::once(self.certificate.as_path()).chain(named).map(Stamp::of).collect()
    }

    pub(super) fn leaf(&self) -> Result<Leaf, AssertionError> {
        let password_file = match &self.key {
            KeyUri::File { password_file, .. } => password_file.as_deref(),
            KeyUri::Pkcs11(_) | KeyUri::Tpm(_) => None,
        };
        Leaf::open(&self.certificate, password_file)
    }
}

impl Credential {
    #[must_use]
    pub fn new(leaf: Leaf, signer: Arc<dyn Signer>) -> Self {
        let (told, standing) = (AtomicU64::new(signer.reopened()), Lock::default());
        Self { leaf, signer, origin: None, proof: Mutex::new(None), standing, told }
    }

    /// Reads the certificate and opens its key, without comparing them. May take a second, so not on the runtime's thread.
    pub fn open(pair: &Pair, keys: &Arc<dyn Keys>) -> Result<Self, AssertionError> {
        let stamps = pair.stamps();
        let leaf = pair.leaf()?;
        let signer = keys.open(&pair.key, &leaf.public_key).map_err(|source| AssertionError::Sign { source })?;
        let origin = Some(Origin { pair: pair.clone(), keys: Arc::clone(keys), stamps });
        Ok(Self { origin, ..Self::new(leaf, signer) })
    }

    /// What its files hold now. A key in hardware stays as it is for the same public key.
    pub(super) fn open_again(&self, origin: &Origin) -> Result<Self, AssertionError> {
        let in_file = matches!(origin.pair.key, KeyUri::File { .. });
        let stamps = origin.pair.stamps();
        let leaf = origin.pair.leaf()?;
        if in_file || leaf.public_key != self.leaf.public_key {
            return Self::open(&origin.pair, &origin.keys);
        }
        let origin = Some(Origin { pair: origin.pair.clone(), keys: Arc::clone(&origin.keys), stamps });
        Ok(Self { origin, ..Self::new(leaf, Arc::clone(&self.signer)) })
    }

    /// Of two files; `password_file` is for PKCS#12.
    pub fn from_files(certificate: &Path, key: &Path, password_file: Option<&Path>) -> Result<Self, AssertionError> {
        let leaf = Leaf::open(certificate, password_file)?;
        let signer = FileSigner::open(key, password_file).map_err(|source| AssertionError::Sign { source })?;
        Ok(Self::new(leaf, Arc::new(signer)))
    }

    /// What an operator should hear, such as a key file that others can read.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.signer.warning()
    }

    pub(super) fn is_in_file(&self) -> bool {
        self.signer.kind() == "file"
    }

    /// Signs what `unsigned` makes for the algorithm in use, with a proof before where one is wanted.
    pub(super) async fn sign(
        &self,
        crew: &Crew,
        unsigned: impl Fn(Algorithm) -> String,
    ) -> Result<(Algorithm, String, Vec<u8>), AssertionError> {
        let signed = self.try_sign(crew, unsigned).await;
        match &signed {
            Ok((algorithm, ..)) => self.works(crew, *algorithm),
            Err(problem) => self.fails(crew, problem),
        }
        signed
    }

    async fn try_sign(
        &self,
        crew: &Crew,
        unsigned: impl Fn(Algorithm) -> String,
    ) -> Result<(Algorithm, String, Vec<u8>), AssertionError> {
        let algorithm = self.proven(crew).await?;
        let message = unsigned(algorithm);
        let signature = self.operate(crew, algorithm, &message).await;
        let signature = signature.map_err(|source| AssertionError::Sign { source })?;
        if proof::is_good(algorithm, &self.leaf, &message, &signature) {
            return Ok((algorithm, message, signature));
        }
        *self.proof.lock().await = None;
        Err(self.unusable(algorithm.name()))
    }

    /// Signs the proof's message, whatever was proven before: whether the key still works.
    pub(super) async fn test(&self, crew: &Crew) -> Result<(), AssertionError> {
        self.sign(crew, |_| proof::message(&self.leaf)).await.map(drop)
    }

    /// The algorithm that was proven. Tells nothing of how it went.
    pub(super) async fn proven(&self, crew: &Crew) -> Result<Algorithm, AssertionError> {
        // Held over the proof: one is enough for all who wait.
        let mut proof = self.proof.lock().await;
        // Read before, so that an opening in the middle of the proof asks for another.
        let reopened = self.signer.reopened();
        if let Some(known) = proof.filter(|known| known.reopened == reopened) {
            return Ok(known.algorithm);
        }
        *proof = None;
        let algorithm = self.prove(crew).await?;
        *proof = Some(Proof { algorithm, reopened });
        Ok(algorithm)
    }

    async fn prove(&self, crew: &Crew) -> Result<Algorithm, AssertionError> {
        self.compare(crew).await?;
        let (mut unsupported, mut tried) = (None, Vec::new());
        let candidates = crew.algorithm.map_or_else(|| vec![Algorithm::Ps256, Algorithm::Rs256], |one| vec![one]);
        let message = proof::message(&self.leaf);
        for algorithm in candidates {
            match self.operate(crew, algorithm, &message).await {
                Ok(signature) if proof::is_good(algorithm, &self.leaf, &message, &signature) => return Ok(algorithm),
                Ok(_) => tried.push(algorithm.name()),
                Err(problem @ SignError::Unsupported { .. }) => unsupported = Some(problem),
                Err(source) => return Err(AssertionError::Sign { source }),
            }
        }
        match unsupported {
            Some(source) if tried.is_empty() => Err(AssertionError::Sign { source }),
            _ => Err(self.unusable(&tried.join(" and "))),
        }
    }

    /// The key must be the certificate's.
    async fn compare(&self, crew: &Crew) -> Result<(), AssertionError> {
        let started = crew.clock.now();
        let key = self.signer.public_key().await;
        // A key that is away, or that a wrong PIN locks up, fails here and never comes to sign.
        let key = key.inspect_err(|problem| self.tell(crew, started, problem.outcome()));
        let key = key.map_err(|source| AssertionError::Sign { source })?;
        let key = SubjectPublicKeyInfo::from_der(&key);
        let key = key.map(|(_, info)| info.subject_public_key.data.to_vec()).unwrap_or_default();
        if key == self.leaf.public_key {
            return Ok(());
        }
        Err(AssertionError::KeyMismatch {
            certificate: self.leaf.name.clone(),
            thumbprint: self.leaf.thumbprint.hex(),
            wanted: Fingerprint::of(&self.leaf.public_key).hex(),
            found: Fingerprint::of(&key).hex(),
        })
    }

    fn unusable(&self, algorithm: &str) -> AssertionError {
        AssertionError::SignatureUnusable {
            certificate: self.leaf.name.clone(),
            thumbprint: self.leaf.thumbprint.hex(),
            algorithm: algorithm.to_owned(),
        }
    }

    /// One signature, and word of it.
    async fn operate(&self, crew: &Crew, algorithm: Algorithm, message: &str) -> Result<Vec<u8>, SignError> {
        let started = crew.clock.now();
        let signed = self.signer.sign(algorithm, message.as_bytes()).await;
        self.tell(crew, started, signed.as_ref().map_or_else(SignError::outcome, |_| "ok"));
        signed
    }

    fn tell(&self, crew: &Crew, started: Now, outcome: &'static str) {
        crew.observer.on(&Event::Signed {
            identity: &crew.identity,
            backend: self.signer.kind(),
            outcome,
            took: crew.clock.now().mono.saturating_sub(started.mono),
            resets: self.resets(),
        });
    }

    /// How often the key was opened anew since this was last asked.
    fn resets(&self) -> u64 {
        let now = self.signer.reopened();
        now.saturating_sub(self.told.fetch_max(now, Ordering::Relaxed))
    }

    pub(super) fn too_slow(&self, patience: Duration) -> AssertionError {
        AssertionError::KeySlow { certificate: self.leaf.name.clone(), patience }
    }

    /// Tells it where it is news: the first proof, another algorithm, the end of trouble.
    pub(super) fn works(&self, crew: &Crew, algorithm: Algorithm) {
        let (before, trouble) = {
            let mut standing = self.standing();
            (standing.algorithm.replace(algorithm), standing.trouble.take())
        };
        if before == Some(algorithm) && trouble.is_none() {
            return;
        }
        crew.observer.on(&Event::KeyProven {
            identity: &crew.identity,
            certificate: &self.leaf.name,
            backend: self.signer.kind(),
            algorithm: algorithm.name(),
            // Nobody has asked for it, so the key cannot do better.
            fell_back: crew.algorithm.is_none() && algorithm != Algorithm::default(),
            recovered: trouble.is_some(),
        });
    }

    /// The same: a failure is told once, until it is another or over.
    pub(super) fn fails(&self, crew: &Crew, problem: &AssertionError) {
        let trouble = {
            let mut standing = self.standing();
            let before = standing.trouble.take().filter(|before| before.code == problem.code());
            let consecutive = before.map_or(0, |before| before.consecutive).saturating_add(1);
            standing.trouble = Some(Trouble::of(problem, consecutive));
            standing.trouble.clone()
        };
        let Some(Trouble { code, chain, remedy, consecutive: 1 }) = trouble else { return };
        crew.observer.on(&Event::KeyFailed {
            identity: &crew.identity,
            certificate: &self.leaf.name,
            backend: self.signer.kind(),
            code,
            chain: &chain,
            remedy: remedy.as_deref(),
        });
    }

    /// Whether now is within its validity.
    pub(super) fn is_usable(&self, now: Now) -> bool {
        self.leaf.is_valid_at(now.epoch())
    }

    pub(super) fn out_of_time(&self, now: Now) -> AssertionError {
        AssertionError::CertificateNotValid {
            certificate: self.leaf.name.clone(),
            not_before: self.leaf.not_before,
            not_after: self.leaf.not_after,
            now: now.epoch(),
        }
    }

    /// Whole at any time, so a poisoned lock is no reason to stop.
    pub(super) fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
