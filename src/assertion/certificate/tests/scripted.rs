//! A key in hardware that does as it is told, and an observer that remembers.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use num_bigint::BigUint;
use rcgen::PublicKeyData as _;
use x509_parser::der_parser::parse_der;

use super::*;
use crate::signer::{FileSigner, SignError, Signer};

/// How a scripted key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    Absent,
    Hangs,
    /// The module has no PSS.
    NoPss,
    /// As some TPMs sign: with the longest salt that fits.
    LongSalt,
}

#[derive(Debug)]
pub(super) struct Scripted {
    mood: Mutex<Mood>,
    /// Which of `KEYS` answers under its name.
    key: Mutex<usize>,
    reopened: AtomicU64,
    /// Everything it was asked to sign.
    pub(super) asked: Mutex<Vec<String>>,
}

impl Scripted {
    pub(super) fn new(key: usize, mood: Mood) -> Arc<Self> {
        Arc::new(Self {
            mood: Mutex::new(mood),
            key: Mutex::new(key),
            reopened: AtomicU64::new(0),
            asked: Mutex::default(),
        })
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Opened anew, and perhaps with another key under the same name.
    pub(super) fn reopen(&self, key: usize) {
        *self.key.lock().unwrap() = key;
        self.reopened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    async fn mood(&self) -> Result<Mood, SignError> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Absent => Err(SignError::TokenAbsent { token: "prod".to_owned() }),
            Mood::Hangs => std::future::pending().await,
            mood => Ok(mood),
        }
    }

    async fn answer(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.asked.lock().unwrap().push(String::from_utf8(message.to_vec()).unwrap());
        let mood = self.mood().await?;
        let key = *self.key.lock().unwrap();
        match (mood, algorithm) {
            (Mood::NoPss, Algorithm::Ps256) => Err(SignError::Unsupported { algorithm }),
            (Mood::LongSalt, Algorithm::Ps256) => Ok(pss(key, message, 222)),
            _ => in_file(key).sign(algorithm, message).await,
        }
    }
}

impl Signer for Scripted {
    fn sign<'a>(&'a self, algorithm: Algorithm, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        Box::pin(self.answer(algorithm, message))
    }

    fn public_key(&self) -> BoxFuture<'_, Result<Vec<u8>, SignError>> {
        Box::pin(async {
            self.mood().await?;
            let key = *self.key.lock().unwrap();
            Ok(KEYS[key].subject_public_key_info())
        })
    }

    fn kind(&self) -> &'static str {
        "pkcs11"
    }

    fn reopened(&self) -> u64 {
        self.reopened.load(Ordering::Relaxed)
    }
}

fn in_file(key: usize) -> FileSigner {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    fs::write(&path, KEYS[key].serialize_pem()).unwrap();
    FileSigner::open(&path, None).unwrap()
}

/// RSASSA-PSS with SHA-256 and so long a salt (RFC 8017 9.1.1), over a 2048-bit key.
pub(super) fn pss(key: usize, message: &[u8], salt: usize) -> Vec<u8> {
    let salt = vec![7; salt];
    let hash = digest(&SHA256, &[&[0; 8], digest(&SHA256, message).as_ref(), &salt].concat());
    let mut block = [vec![0; 256 - 32 - 2 - salt.len()], vec![1], salt].concat();
    let mask = (0u32..).flat_map(|n| digest(&SHA256, &[hash.as_ref(), &n.to_be_bytes()].concat()).as_ref().to_vec());
    block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    // The modulus has 2048 bits, and the encoded message must have one less.
    block[0] &= 0x7f;
    let encoded = [block, hash.as_ref().to_vec(), vec![0xbc]].concat();
    // The header of PKCS#8 before a 2048-bit PKCS#1 key is 26 bytes long.
    let pkcs8 = KEYS[key].serialize_der();
    let (_, pkcs1) = parse_der(&pkcs8[26..]).unwrap();
    let number = |place: usize| BigUint::from_bytes_be(pkcs1[place].content.as_slice().unwrap());
    let signature = BigUint::from_bytes_be(&encoded).modpow(&number(3), &number(1)).to_bytes_be();
    [vec![0; 256 - signature.len()], signature].concat()
}

/// What was told, in the words of `Debug`.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn on(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

impl Heard {
    /// The events of this name.
    pub(super) fn of(&self, name: &str) -> Vec<String> {
        let named = |event: &&String| event.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
        self.0.lock().unwrap().iter().filter(named).cloned().collect()
    }
}

/// A source with its clock and what it told.
pub(super) struct Stage {
    pub(super) source: CertificateSource,
    pub(super) clock: Arc<ManualClock>,
    pub(super) heard: Arc<Heard>,
}

impl Stage {
    pub(super) fn new(credentials: Vec<Credential>) -> Self {
        Self::with(credentials, None, None)
    }

    pub(super) fn with(
        credentials: Vec<Credential>,
        algorithm: Option<Algorithm>,
        test_every: Option<Duration>,
    ) -> Self {
        let (clock, heard) = (Arc::new(ManualClock::standing(NOW)), Arc::new(Heard::default()));
        let identity = IdentityName::parse("billing").unwrap();
        let signing = Signing { identity, client_id: client_id(), algorithm, test_every };
        let source = CertificateSource::new(signing, credentials, clock.clone(), heard.clone()).unwrap();
        Self { source, clock, heard }
    }

    /// The thumbprint of the certificate that signs, and the algorithm.
    pub(super) async fn signs(&self, refused: &[Fingerprint]) -> Result<(Fingerprint, String), AssertionError> {
        let assertion = self.source.assertion(Wanted { refused, ..WANTED }).await?;
        Ok((assertion.mark, assertion.facts.algorithm.unwrap()))
    }

    /// The same, where the algorithm does not matter.
    pub(super) async fn mark(&self, refused: &[Fingerprint]) -> Fingerprint {
        self.signs(refused).await.unwrap().0
    }
}

/// A certificate over one of `KEYS`, signed for by `signer`.
pub(super) fn over(key: usize, signer: &Arc<Scripted>) -> Credential {
    Credential::new(credential(key, key, (2020, 2090)).leaf, signer.clone())
}
