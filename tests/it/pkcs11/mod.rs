//! Keys in a PKCS#11 token, through the child process that loads the module: a real SoftHSM2, and the forwarding module
//! where something has to go wrong.

mod attach;
mod child;
mod logins;
mod trouble;
mod verbs;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use tempfile::TempDir;
use unsecret::clock::ManualClock;
use unsecret::problem::Problem as _;
use unsecret::signer::{Algorithm, KeyUri, Settings, SignError, Signer, Signers, Surroundings};
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo};

use crate::support::softhsm::{Softhsm, VARIABLE};

const PIN: &str = "user-2468";
const MESSAGE: &[u8] = b"header.payload";

/// A SoftHSM, a ring of signers whose children find it, and a clock for their rests.
struct Bench {
    softhsm: Softhsm,
    signers: Signers,
    clock: Arc<ManualClock>,
    folder: TempDir,
    limit: Duration,
}

impl Bench {
    /// With one token, `prod`. `None` without SoftHSM.
    fn new() -> Option<Self> {
        Self::with_limit(Duration::from_secs(60))
    }

    fn with_limit(limit: Duration) -> Option<Self> {
        let softhsm = Softhsm::new()?;
        softhsm.token("prod", PIN);
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::standing(1_800_000_000)));
        let signers = ring(&softhsm, folder.path(), limit, &clock, false);
        let bench = Self { softhsm, signers, clock, folder, limit };
        bench.write_pin("prod", PIN);
        Some(bench)
    }

    /// The same state directory and store, as another process or verb would have it.
    fn ring(&self, force: bool) -> Signers {
        ring(&self.softhsm, self.folder.path(), self.limit, &self.clock, force)
    }

    fn pin_file(&self, token: &str) -> PathBuf {
        self.folder.path().join(format!("{token}.pin"))
    }

    fn write_pin(&self, token: &str, pin: &str) {
        let path = self.pin_file(token);
        fs::write(&path, pin).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// `attributes` of the path, with the PIN of the token `prod`.
    fn uri(&self, attributes: &str, module: &Path) -> KeyUri {
        self.uri_in("prod", attributes, module)
    }

    fn uri_in(&self, token: &str, attributes: &str, module: &Path) -> KeyUri {
        let (module, pin) = (module.display(), self.pin_file(token));
        parse(&format!("pkcs11:token={token};{attributes}?module-path={module}&pin-source=file:{}", pin.display()))
    }

    fn open(&self, key: &KeyUri, wanted: Option<&[u8]>) -> Arc<dyn Signer> {
        self.signers.open(key, wanted).unwrap()
    }
}

fn ring(softhsm: &Softhsm, state: &Path, limit: Duration, clock: &Arc<ManualClock>, force: bool) -> Signers {
    let settings = Settings {
        program: env!("CARGO_BIN_EXE_unsecret").into(),
        environment: BTreeMap::from([(VARIABLE.to_owned(), softhsm.config().to_str().unwrap().to_owned())]),
        state: state.join("state"),
        limit,
        withheld: vec![],
        tcti: String::new(),
        force,
    };
    Signers::new(settings, clock.clone())
}

fn parse(text: &str) -> KeyUri {
    KeyUri::parse(text, Surroundings::default()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// The `RSAPublicKey` out of a `SubjectPublicKeyInfo`, as a certificate has it.
fn inner(public: &[u8]) -> Vec<u8> {
    let (_, info) = SubjectPublicKeyInfo::from_der(public).unwrap();
    info.subject_public_key.data.to_vec()
}

/// Signs and holds the signature against this `SubjectPublicKeyInfo`.
async fn proves(signer: &dyn Signer, algorithm: Algorithm, public: &[u8]) {
    let signature = signer.sign(algorithm, MESSAGE).await.unwrap();
    let check: &dyn VerificationAlgorithm = match algorithm {
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
    };
    UnparsedPublicKey::new(check, public).verify(MESSAGE, &signature).unwrap();
}

/// The code of the refusal to sign.
async fn refusal(signer: &dyn Signer) -> &'static str {
    failure(signer).await.code()
}

async fn failure(signer: &dyn Signer) -> SignError {
    signer.sign(Algorithm::Ps256, MESSAGE).await.unwrap_err()
}
