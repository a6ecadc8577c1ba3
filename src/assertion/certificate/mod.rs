//! Assertions that we sign ourselves, with keys whose certificates the application registration lists (contract A6).
//!
//! | file | subject |
//! | --- | --- |
//! | `claims` | what is signed |
//! | `credential`, `proof` | one certificate and its key, and that they belong together |
//! | `place`, `stamp` | where it is configured, and whether its files were replaced |
//! | `rests` | what is passed over for a while |
//! | `status` | what is shown of it |
//! | `tend` | what is done beside signing: files looked at, keys tested, ends told |
//!
//! Signed anew for every request, never kept. Several certificates may be configured, newest first, so that a new one
//! can be rolled out before Entra knows it everywhere. Easy to get wrong: which certificate signs is decided anew for each
//! question; what Entra refused, or hardware failed, is remembered, so that not every exchange pays for it.

mod claims;
mod credential;
mod place;
mod proof;
mod rests;
mod stamp;
mod status;
mod tend;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_core::future::BoxFuture;

use self::claims::{Draft, SKEW};
use self::place::Place;
use self::rests::Rests;
use self::tend::Agenda;
use super::{Assertion, AssertionError, AssertionSource, Leaf, Wanted};
use crate::clock::{Clock, Now};
use crate::ids::{Guid, IdentityName};
use crate::observe::{Certificate, Event, Fanout, Observer};
use crate::secret::{Fingerprint, Secret};
use crate::signer::Algorithm;

pub(super) use self::claims::{header, part};
pub use self::credential::{Credential, Keys, Pair};
pub use self::status::CertificateStatus;

/// With the skew before it, the most from `nbf` to `exp` that contract A6 documents: ten minutes.
const LIFE: Duration = Duration::from_secs(600 - SKEW);
/// How long a certificate that Entra refused is passed over; contract A11 gives replication ten minutes.
const REFUSED_FOR: Duration = Duration::from_secs(300);
/// The same for one whose key failed: hardware is opened again at most this often.
const FAILED_FOR: Duration = Duration::from_secs(30);
/// A key that hangs is waited for this long where another may sign; callers wait ten seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who signs, and how.
#[derive(Clone, Debug)]
pub struct Signing {
    pub identity: IdentityName,
    pub client_id: Guid,
    /// `None`: PS256, or RS256 where the key cannot do PSS as Entra wants it.
    pub algorithm: Option<Algorithm>,
    /// How often each key signs a test message; `None` for never.
    pub test_every: Option<Duration>,
}

/// What every credential of one identity needs.
#[derive(Debug)]
struct Crew {
    identity: IdentityName,
    algorithm: Option<Algorithm>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
}

/// Signs assertions with the newest certificate that Entra takes and whose key works.
#[derive(Debug)]
pub struct CertificateSource {
    client_id: Guid,
    crew: Crew,
    test_every: Option<Duration>,
    /// Newest first; never empty.
    places: Vec<Place>,
    refused: Rests,
    failed: Rests,
    agenda: Mutex<Agenda>,
    /// The last that was told of one certificate standing in for another.
    told: Mutex<Option<PassedOver>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PassedOver {
    passed: Fingerprint,
    instead: Fingerprint,
    by_entra: bool,
}

impl CertificateSource {
    /// Takes the certificates newest first. Asks no key anything: [`CertificateSource::prove`] does.
    pub fn new(
        signing: Signing,
        credentials: Vec<Credential>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, AssertionError> {
        if credentials.is_empty() {
            return Err(AssertionError::NoCertificate);
        }
        let Signing { identity, client_id, algorithm, test_every } = signing;
        let agenda = Mutex::new(Agenda::starting(clock.now(), test_every));
        Ok(Self {
            client_id,
            crew: Crew { identity, algorithm, clock, observer },
            test_every,
            places: credentials.into_iter().map(Place::new).collect(),
            refused: Rests::new(REFUSED_FOR),
            failed: Rests::new(FAILED_FOR),
            agenda,
            told: Mutex::default(),
        })
    }

    /// For who signs once and leaves: heard by nobody, its keys proven.
    pub async fn open(
        client_id: Guid,
        algorithm: impl Into<Option<Algorithm>>,
        credentials: Vec<Credential>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AssertionError> {
        #[expect(clippy::expect_used, reason = "a name in small letters")]
        let identity = IdentityName::parse("alone").expect("a name");
        let signing = Signing { identity, client_id, algorithm: algorithm.into(), test_every: None };
        let source = Self::new(signing, credentials, clock, Arc::new(Fanout::default()))?;
        source.prove(Duration::MAX).await?;
        Ok(source)
    }

    /// Proves every key, and fails where one is sure not to be its certificate's. Hardware that does not answer within
    /// `patience`, or fails in a way that may pass, is left for its first use.
    pub async fn prove(&self, patience: Duration) -> Result<(), AssertionError> {
        for credential in self.credentials() {
            let proving = credential.proven(&self.crew);
            let proven = if credential.is_in_file() {
                proving.await
            } else {
                let proven = tokio::time::timeout(patience, proving).await;
                proven.unwrap_or_else(|_| Err(credential.too_slow(patience)))
            };
            match proven {
                Ok(algorithm) => credential.works(&self.crew, algorithm),
                // Told by who asked for the proof.
                Err(problem) if credential.is_in_file() || problem.is_definite() => return Err(problem),
                Err(problem) => credential.fails(&self.crew, &problem),
            }
        }
        Ok(())
    }

    pub fn identity(&self) -> &IdentityName {
        &self.crew.identity
    }

    /// The certificates in use, newest first.
    pub fn leaves(&self) -> Vec<Leaf> {
        self.credentials().map(|credential| credential.leaf.clone()).collect()
    }

    /// What an operator should hear, such as a key file that others can read.
    pub fn warnings(&self) -> Vec<String> {
        self.credentials().filter_map(|credential| credential.warning()).collect()
    }

    /// What is to be seen of each certificate, newest first.
    pub fn status(&self) -> Vec<CertificateStatus> {
        self.places.iter().map(|place| self.status_of(place)).collect()
    }

    fn status_of(&self, place: &Place) -> CertificateStatus {
        let credential = place.current();
        let (leaf, standing) = (&credential.leaf, credential.standing().clone());
        CertificateStatus {
            certificate: leaf.name.clone(),
            thumbprint: leaf.thumbprint.hex(),
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            algorithm: standing.algorithm.map(Algorithm::name),
            trouble: standing.trouble,
            refused_until: self.refused.until(leaf.thumbprint),
            kept: place.kept(),
        }
    }

    fn credentials(&self) -> impl Iterator<Item = Arc<Credential>> {
        self.places.iter().map(Place::current)
    }

    async fn sign(&self, wanted: Wanted<'_>, life: Duration) -> Result<Assertion, AssertionError> {
        let now = self.crew.clock.now();
        let offered = self.offered(wanted.refused, now)?;
        let (now, life) = (now.epoch(), life.as_secs());
        let draft = Draft { client_id: &self.client_id, token_url: wanted.token_url, now, life };
        let mut first = None;
        for (place, credential) in offered.iter().enumerate() {
            let signing = credential.sign(&self.crew, |algorithm| draft.unsigned(algorithm, &credential.leaf));
            let signed = if place + 1 == offered.len() {
                signing.await
            } else {
                let signed = tokio::time::timeout(PATIENCE, signing).await;
                signed.unwrap_or_else(|_| {
                    let problem = credential.too_slow(PATIENCE);
                    credential.fails(&self.crew, &problem);
                    Err(problem)
                })
            };
            let mark = credential.leaf.thumbprint;
            match signed {
                Ok((algorithm, message, signature)) => {
                    self.failed.end(mark);
                    self.tell_passed_over(mark, self.crew.clock.now());
                    let jwt = Secret::new(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)));
                    return Ok(Assertion { jwt, mark, facts: draft.facts(algorithm, &credential.leaf) });
                }
                Err(problem) => {
                    self.failed.add(mark, self.crew.clock.now());
                    first.get_or_insert(problem);
                }
            }
        }
        // The newest is the one that was meant.
        Err(first.unwrap_or(AssertionError::Exhausted))
    }

    /// The certificates to try, in this order: those that are passed over come last, so that they are tried only where
    /// there is nothing else.
    fn offered(&self, refused: &[Fingerprint], now: Now) -> Result<Vec<Arc<Credential>>, AssertionError> {
        let usable: Vec<_> = self.credentials().filter(|credential| credential.is_usable(now)).collect();
        let (mut good, mut resting) = (Vec::new(), Vec::new());
        for credential in usable {
            let mark = credential.leaf.thumbprint;
            if refused.contains(&mark) {
                self.refused.add(mark, now);
                continue;
            }
            // Only the first may be the one trial of what rested; both are asked, since each counts its own.
            let lets = if good.is_empty() {
                self.refused.lets(mark, now) && self.failed.lets(mark, now)
            } else {
                !self.refused.has(mark) && !self.failed.has(mark)
            };
            if lets { good.push(credential) } else { resting.push(credential) }
        }
        good.append(&mut resting);
        match (good.is_empty(), self.credentials().find(|credential| credential.is_usable(now))) {
            (false, _) => Ok(good),
            (true, Some(_)) => Err(AssertionError::Exhausted),
            (true, None) => {
                let newest = self.credentials().next();
                Err(newest.map_or(AssertionError::NoCertificate, |newest| newest.out_of_time(now)))
            }
        }
    }

    /// Tells once that this certificate signs and a newer one does not, and why.
    fn tell_passed_over(&self, signing: Fingerprint, now: Now) {
        let newest = self.credentials().find(|credential| credential.is_usable(now));
        let Some(newest) = newest else { return };
        let passed = newest.leaf.thumbprint;
        let by_entra = self.refused.has(passed);
        if passed == signing {
            // Whether Entra takes it now shows later.
            if !by_entra {
                *self.told() = None;
            }
            return;
        }
        let news = PassedOver { passed, instead: signing, by_entra };
        if self.told().replace(news) == Some(news) {
            return;
        }
        let trouble = newest.standing().trouble.clone();
        self.crew.observer.on(&Event::CertificatePassedOver {
            identity: &self.crew.identity,
            passed: &passed.hex(),
            instead: &signing.hex(),
            reason: if by_entra { "refused-by-entra" } else { trouble.map_or("key-failed", |trouble| trouble.code) },
        });
    }

    fn told(&self) -> MutexGuard<'_, Option<PassedOver>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AssertionSource for CertificateSource {
    fn assertion<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Assertion, AssertionError>> {
        Box::pin(self.sign(wanted, LIFE))
    }

    /// Contract A6: Entra sets no ceiling on `exp`.
    fn lasting<'a>(&'a self, wanted: Wanted<'a>, life: Duration) -> BoxFuture<'a, Result<Assertion, AssertionError>> {
        Box::pin(self.sign(wanted, life))
    }

    fn accepted(&self, mark: Fingerprint) {
        if self.refused.end(mark) {
            *self.told() = None;
            let (identity, thumbprint) = (&self.crew.identity, &*mark.hex());
            self.crew.observer.on(&Event::CertificateAccepted { identity, thumbprint });
        }
    }

    fn kind(&self) -> &'static str {
        "certificate"
    }
}

impl From<&Leaf> for Certificate {
    fn from(leaf: &Leaf) -> Self {
        Self { thumbprint: leaf.thumbprint.hex(), not_before: leaf.not_before, not_after: leaf.not_after }
    }
}
