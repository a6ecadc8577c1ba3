//! One key behind a module, as a [`Signer`].
//!
//! It remembers where it found its key, and looks anew when that session is gone. Easy to get wrong: the work runs in a
//! task of its own, since a caller that hangs up would else leave half a conversation with the child behind.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
use futures_core::future::BoxFuture;

use super::codes::{NO_MECHANISM, Tried};
use super::login::{self, Permit};
use super::messages::{Again, Answer, Mechanism, Request, Token};
use super::module::{Module, Turn};
use super::{choose, rsa};
use crate::signer::{Algorithm, PinSource, Pkcs11Uri, SignError, Signer};

/// Signs with a key in a token.
pub(in crate::signer) struct Pkcs11Signer(Arc<Key>);

struct Key {
    uri: Pkcs11Uri,
    /// The certificate's `RSAPublicKey`.
    wanted: Option<Vec<u8>>,
    module: Arc<Module>,
    found: Mutex<Option<Found>>,
    /// How often it was found.
    attached: AtomicU64,
}

/// Where the key is, while the session with this number is open.
#[derive(Clone)]
struct Found {
    token: Token,
    session: u64,
    key: u64,
    always_authenticate: bool,
    public: Option<Vec<u8>>,
    mechanisms: Arc<[String]>,
}

impl Pkcs11Signer {
    pub(in crate::signer) fn new(uri: Pkcs11Uri, wanted: Option<Vec<u8>>, module: Arc<Module>) -> Self {
        Self(Arc::new(Key { uri, wanted, module, found: Mutex::default(), attached: AtomicU64::new(0) }))
    }

    /// Whether a configuration that names this key is served by this signer.
    pub(in crate::signer) fn is_for(&self, uri: &Pkcs11Uri, wanted: Option<&[u8]>) -> bool {
        self.0.uri == *uri && self.0.wanted.as_deref() == wanted
    }
}

impl Signer for Pkcs11Signer {
    fn sign<'a>(&'a self, algorithm: Algorithm, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        let (key, message) = (Arc::clone(&self.0), message.to_vec());
        Box::pin(to_the_end(async move { key.sign(algorithm, &message).await }))
    }

    fn public_key(&self) -> BoxFuture<'_, Result<Vec<u8>, SignError>> {
        let key = Arc::clone(&self.0);
        Box::pin(to_the_end(async move { key.public().await }))
    }

    fn kind(&self) -> &'static str {
        "pkcs11"
    }

    fn reopened(&self) -> u64 {
        self.0.attached.load(Ordering::Relaxed).saturating_sub(1)
    }

    fn warning(&self) -> Option<String> {
        self.0.uri.pin.as_ref().and_then(PinSource::warning)
    }
}

/// Whoever waits for it may go away.
pub(super) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, SignError>> + Send + 'static,
) -> Result<T, SignError> {
    let join = tokio::spawn(work).await;
    join.unwrap_or_else(|join| Err(SignError::Backend { kind: "PKCS#11", source: Box::new(join) }))
}

impl Key {
    async fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut turn = self.module.turn().await;
        turn.awake(&self.uri)?;
        let mut tried = Tried::default();
        loop {
            match self.try_sign(&mut turn, algorithm, message).await {
                Ok(signature) => {
                    turn.well(&self.uri);
                    return Ok(signature);
                }
                Err(error) => turn.cure(&self.uri, self.slot(), error, &mut tried)?,
            }
        }
    }

    async fn public(&self) -> Result<Vec<u8>, SignError> {
        let mut turn = self.module.turn().await;
        turn.awake(&self.uri)?;
        let mut tried = Tried::default();
        let found = loop {
            match self.attach(&mut turn).await {
                Ok(found) => break found,
                Err(error) => turn.cure(&self.uri, self.slot(), error, &mut tried)?,
            }
        };
        // A key that shows nothing of itself passes for the certificate's, until it has to sign.
        let public = found.public.as_ref().or(self.wanted.as_ref());
        let public = public.ok_or_else(|| SignError::KeyHidden { key: choose::named(&self.uri) })?;
        Ok(rsa::subject_public_key_info(public))
    }

    async fn try_sign(&self, turn: &mut Turn<'_>, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let found = self.attach(turn).await?;
        for mechanism in ways(algorithm, &found.mechanisms) {
            let data = prepared(mechanism, message);
            match self.ask(turn, &found, mechanism, data).await {
                Ok(Answer::Signature(signature)) => return Ok(signature),
                Ok(_) => return Err(turn.nonsense("C_Sign", &found.token.label)),
                Err(SignError::Device { code, .. }) if NO_MECHANISM.contains(&code.as_str()) => {}
                // It could be seen without a login, and used it cannot be.
                Err(SignError::SessionLost { code, .. })
                    if code == "CKR_USER_NOT_LOGGED_IN" && !turn.is_logged_in(found.token.slot) =>
                {
                    return Err(SignError::PinMissing { token: found.token.label });
                }
                Err(error) => return Err(error),
            }
        }
        Err(SignError::Unsupported { algorithm })
    }

    async fn ask(
        &self,
        turn: &mut Turn<'_>,
        found: &Found,
        mechanism: Mechanism,
        data: Vec<u8>,
    ) -> Result<Answer, SignError> {
        let (slot, key) = (found.token.slot, found.key);
        if !found.always_authenticate {
            let request = Request::Sign { slot, key, mechanism, data, again: Again::No };
            return turn.ask(&request, &found.token.label).await;
        }
        // With what the token says of failed attempts now, not when the session was opened.
        let token = turn.token(&self.uri).await?;
        let permit = Permit::ask(turn, &self.uri, &token).await?;
        let request = Request::Sign { slot, key, mechanism, data, again: permit.again() };
        let outcome = turn.try_ask(&request).await;
        if outcome.is_err() {
            // The operation is still begun, and only a new session ends it.
            turn.close(slot);
        }
        permit.judge(turn, outcome, &token).await
    }

    /// Where the key is, found anew where that is not known any more.
    async fn attach(&self, turn: &mut Turn<'_>) -> Result<Found, SignError> {
        let known = self.found().clone();
        if let Some(found) = known.filter(|found| turn.is_open(found.token.slot, found.session)) {
            return Ok(found);
        }
        let token = turn.token(&self.uri).await?;
        let session = turn.open(&token, false).await?;
        login::log_in(turn, &self.uri, &token).await?;
        let (object, id) = (self.uri.object.clone(), self.uri.id.clone());
        let request = Request::Keys { slot: token.slot, label: object, id };
        let Answer::Keys(keys) = turn.ask(&request, &token.label).await? else {
            return Err(turn.nonsense("C_FindObjects", &token.label));
        };
        let logged_in = turn.is_logged_in(token.slot);
        if keys.is_empty() && token.login_required && !logged_in {
            return Err(SignError::PinMissing { token: token.label });
        }
        let (key, public) = choose::one(keys, self.wanted.as_deref(), &self.uri)?;
        let request = Request::Mechanisms { slot: token.slot };
        let Answer::Mechanisms(mechanisms) = turn.ask(&request, &token.label).await? else {
            return Err(turn.nonsense("C_GetMechanismList", &token.label));
        };
        let always_authenticate = key.always_authenticate == Some(true);
        let (key, mechanisms) = (key.handle, mechanisms.into());
        let found = Found { token, session, key, always_authenticate, public, mechanisms };
        *self.found() = Some(found.clone());
        self.attached.fetch_add(1, Ordering::Relaxed);
        Ok(found)
    }

    fn slot(&self) -> Option<u64> {
        self.found().as_ref().map(|found| found.token.slot)
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Option<Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mechanisms to try for an algorithm: what makes the digest itself first, since some keys may do nothing else.
fn ways(algorithm: Algorithm, listed: &[String]) -> impl Iterator<Item = Mechanism> {
    let known = match algorithm {
        Algorithm::Ps256 => [("CKM_SHA256_RSA_PKCS_PSS", Mechanism::Sha256Pss), ("CKM_RSA_PKCS_PSS", Mechanism::Pss)],
        Algorithm::Rs256 => [("CKM_SHA256_RSA_PKCS", Mechanism::Sha256Pkcs1), ("CKM_RSA_PKCS", Mechanism::Pkcs1)],
    };
    known.into_iter().filter(|(name, _)| listed.iter().any(|one| one == name)).map(|(_, mechanism)| mechanism)
}

/// What the mechanism is given to sign.
fn prepared(mechanism: Mechanism, message: &[u8]) -> Vec<u8> {
    let digest = || digest::digest(&digest::SHA256, message);
    match mechanism {
        Mechanism::Sha256Pss | Mechanism::Sha256Pkcs1 => message.to_vec(),
        Mechanism::Pss => digest().as_ref().to_vec(),
        Mechanism::Pkcs1 => [&rsa::DIGEST_INFO[..], digest().as_ref()].concat(),
    }
}

impl fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pkcs11Signer").field(&choose::named(&self.0.uri)).finish()
    }
}
