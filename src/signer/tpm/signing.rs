//! Signs with a key in a TPM, and proves its authorisation value as often as is safe.
//!
//! A TPM counts wrong values and locks every protected key of the machine when there were too many, so a value that it has
//! not taken from us yet goes through [`Attempts`]. Easy to get wrong: it judges the value at each signature, not once at a
//! login, so that a value that was good may turn wrong when somebody changes it in the TPM.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use futures_core::future::BoxFuture;
use tss_esapi::structures::{Public, SignatureScheme};
use tss_esapi::traits::UnMarshall as _;
use zeroize::Zeroizing;

use super::chip::{Chip, Loaded, auth};
use super::codes::{Failed, Meaning};
use super::key::Usable;
use super::line::Line;
use super::tss2::KeyFile;
use super::{named, unfit};
use crate::secret::Fingerprint;
use crate::signer::{Algorithm, Attempts, Pin, PinSource, SignError, Signer, Standing, TpmPlace, TpmUri};

/// A key in a TPM.
pub(super) struct TpmSigner {
    pub(super) line: Arc<Line>,
    pub(super) logins: Arc<Logins>,
    pub(super) key: TpmUri,
}

impl Signer for TpmSigner {
    fn sign<'a>(&'a self, algorithm: Algorithm, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        let (key, logins) = (self.key.clone(), Arc::clone(&self.logins));
        let digest = digest(&SHA256, message);
        // It opens the TPM, perhaps loads the key, and proves its value.
        let job = move |chip: &mut Chip| logins.sign(chip, &key, algorithm, digest.as_ref());
        Box::pin(self.line.run(self.line.limit * 3, job))
    }

    fn public_key(&self) -> BoxFuture<'_, Result<Vec<u8>, SignError>> {
        let place = self.key.place.clone();
        Box::pin(async move {
            match place {
                TpmPlace::Handle(_) => {
                    let job = move |chip: &mut Chip| spki(&chip.load(&place, false)?.public, &place);
                    self.line.run(self.line.limit * 3, job).await
                }
                // Without the TPM, so that a certificate that does not belong to the file is found while that is away.
                TpmPlace::File(ref path) => {
                    let public = Public::unmarshall(&KeyFile::read(path)?.public);
                    let public =
                        public.map_err(|error| unfit(&place, format!("its public part is damaged ({error})")))?;
                    spki(&public, &place)
                }
            }
        })
    }

    fn kind(&self) -> &'static str {
        "tpm"
    }

    fn reopened(&self) -> u64 {
        self.line.reopened()
    }

    fn warning(&self) -> Option<String> {
        self.key.auth.as_ref().and_then(PinSource::warning)
    }
}

fn spki(public: &Public, place: &TpmPlace) -> Result<Vec<u8>, SignError> {
    Usable::of(public).and_then(|key| key.spki()).map_err(|why| unfit(place, why))
}

impl fmt::Debug for TpmSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TpmSigner({})", named(&self.key.place))
    }
}

/// The authorisation values that this TPM has taken, for all its keys.
#[derive(Debug)]
pub(super) struct Logins {
    attempts: Attempts,
    /// A person says that the value is right, whatever the TPM counts.
    force: bool,
    /// By the key's Name. Not the value itself.
    accepted: Mutex<HashMap<String, Fingerprint>>,
}

impl Logins {
    pub(super) fn new(attempts: Attempts, force: bool) -> Self {
        Self { attempts, force, accepted: Mutex::default() }
    }

    fn sign(&self, chip: &mut Chip, uri: &TpmUri, algorithm: Algorithm, digest: &[u8]) -> Result<Vec<u8>, SignError> {
        let pin = match &uri.auth {
            Some(source) => source.read()?,
            None => Pin::new(Zeroizing::default()),
        };
        let key = chip.load(&uri.place, !pin.expose().is_empty())?;
        let usable = Usable::of(&key.public).map_err(|why| unfit(&uri.place, why))?;
        let scheme = usable.scheme(algorithm)?;
        let signed = if usable.no_da {
            // Whatever is tried, nothing is counted.
            attempt(chip, &key, &pin, scheme, digest)?
        } else {
            self.careful(chip, &key, &pin, scheme, digest).map_err(|error| told(error, uri))?
        };
        signed.map_err(|failed| match failed.meaning() {
            Meaning::WrongAuth if uri.auth.is_none() => SignError::PinMissing { token: named(&uri.place) },
            Meaning::WrongAuth => SignError::PinRefused { token: named(&uri.place) },
            Meaning::Lockout => SignError::PinLocked { token: named(&uri.place) },
            Meaning::CannotDo => SignError::Unsupported { algorithm },
            _ => failed.into(),
        })
    }

    /// With a value that may be counted.
    fn careful(&self, chip: &mut Chip, key: &Loaded, pin: &Pin, scheme: SignatureScheme, digest: &[u8]) -> Outcome {
        // No TPM takes a longer one, so it is wrong without being tried, and nothing to record.
        if auth(pin).is_none() {
            return Err(SignError::PinRefused { token: key.name.clone() });
        }
        let print = Fingerprint::of(pin.expose());
        if self.taken(&key.name, print) {
            let outcome = attempt(chip, key, pin, scheme, digest)?;
            if matches!(&outcome, Err(failed) if failed.meaning() == Meaning::WrongAuth) {
                self.lock().remove(&key.name);
                // Changed in the TPM since. Put on record as if it had been asked for: nobody tries it again.
                self.attempts.begin(&key.name, pin, Standing::Clear, true)?.refused();
            }
            return Ok(outcome);
        }
        let standing = chip.standing()?;
        let permission = self.attempts.begin(&key.name, pin, standing, self.force)?;
        let outcome = attempt(chip, key, pin, scheme, digest)?;
        match outcome.as_ref().map_err(Failed::meaning) {
            Ok(_) => {
                permission.accepted();
                self.lock().insert(key.name.clone(), print);
            }
            Err(Meaning::WrongAuth) => permission.refused(),
            // Nobody knows what the TPM made of it: stays on record as interrupted.
            Err(Meaning::Gone) => drop(permission),
            Err(_) => permission.unjudged(),
        }
        Ok(outcome)
    }

    fn taken(&self, name: &str, print: Fingerprint) -> bool {
        self.lock().get(name).is_some_and(|taken| *taken == print)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Fingerprint>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the TPM said, if it was asked at all.
type Outcome = Result<Result<Vec<u8>, Failed>, SignError>;

fn attempt(chip: &mut Chip, key: &Loaded, pin: &Pin, scheme: SignatureScheme, digest: &[u8]) -> Outcome {
    // No TPM takes a longer one, so it is wrong without being tried.
    let auth = auth(pin).ok_or_else(|| SignError::PinRefused { token: key.name.clone() })?;
    Ok(chip.sign(key, auth, scheme, digest))
}

/// The record knows the key by its Name, people by where it is.
fn told(error: SignError, uri: &TpmUri) -> SignError {
    let token = named(&uri.place);
    match error {
        SignError::PinRefused { .. } if uri.auth.is_none() => SignError::PinMissing { token },
        SignError::PinRefused { .. } => SignError::PinRefused { token },
        SignError::PinFinalTry { .. } => SignError::PinFinalTry { token },
        SignError::PinCountLow { .. } => SignError::PinCountLow { token },
        SignError::PinLocked { .. } => SignError::PinLocked { token },
        SignError::PinInterrupted { .. } => SignError::PinInterrupted { token },
        other => other,
    }
}
