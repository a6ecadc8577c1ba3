//! Keys in a real TPM (swtpm): signatures that verify, wrong values that are counted once, and a TPM that goes and comes back.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use tempfile::TempDir;
use unsecret::clock::SystemClock;
use unsecret::problem::Problem as _;
use unsecret::signer::{Algorithm, Device, KeyUri, PinSource, Settings, SignError, Signer, Signers, TpmPlace, TpmUri};

use crate::support::swtpm::Swtpm;
use crate::support::world::until;

const HANDLE: u32 = 0x8101_0042;
const MESSAGE: &[u8] = b"header.payload";

/// A TPM, and a folder for the record of logins, for key files and for values.
struct Stand {
    tpm: Swtpm,
    folder: TempDir,
}

impl Stand {
    async fn new() -> Option<Self> {
        Some(Self { tpm: Swtpm::start().await?, folder: tempfile::tempdir().unwrap() })
    }

    /// As after a start of the process: nothing is known but what is on disk.
    fn signers(&self) -> Signers {
        self.signers_within(Duration::from_secs(20))
    }

    fn signers_within(&self, limit: Duration) -> Signers {
        let settings = Settings {
            program: PathBuf::from(env!("CARGO_BIN_EXE_unsecret")),
            environment: std::collections::BTreeMap::default(),
            state: self.path("state"),
            limit,
            tcti: self.tpm.tcti(),
            force: false,
        };
        Signers::new(settings, Arc::new(SystemClock::new()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn value(&self, text: &str) -> PinSource {
        let path = self.path("value");
        fs::write(&path, format!("{text}\n")).unwrap();
        PinSource::File(path)
    }

    fn signer(&self, key: &KeyUri) -> Arc<dyn Signer> {
        self.signers().open(key, None).unwrap()
    }

    fn device(&self, key: &KeyUri) -> Arc<dyn Device> {
        self.signers().device(key).unwrap()
    }
}

fn at(handle: u32, auth: Option<PinSource>) -> KeyUri {
    KeyUri::Tpm(TpmUri { place: TpmPlace::Handle(handle), auth })
}

fn within(path: PathBuf, auth: Option<PinSource>) -> KeyUri {
    KeyUri::Tpm(TpmUri { place: TpmPlace::File(path), auth })
}

/// Both algorithms, each verified with the key that the signer itself shows. The salt is 32 bytes or it does not verify.
async fn assert_signs(signer: &dyn Signer) {
    let key = signer.public_key().await.unwrap();
    let ps256 = signer.sign(Algorithm::Ps256, MESSAGE).await.unwrap();
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &key).verify(MESSAGE, &ps256).unwrap();
    let rs256 = signer.sign(Algorithm::Rs256, MESSAGE).await.unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key).verify(MESSAGE, &rs256).unwrap();
}

async fn refusal(signer: &dyn Signer) -> SignError {
    signer.sign(Algorithm::Ps256, MESSAGE).await.unwrap_err()
}

#[tokio::test]
async fn a_persistent_key_that_the_tools_made_signs() {
    let Some(stand) = Stand::new().await else { return };
    stand.tpm.persistent_key(HANDLE, None, 2048).await;
    let signer = stand.signer(&at(HANDLE, None));
    assert_signs(&*signer).await;
    assert_eq!((signer.kind(), signer.reopened()), ("tpm", 0));
}

#[tokio::test]
async fn a_key_made_into_a_file_signs_and_is_bound_to_its_tpm() {
    let Some(stand) = Stand::new().await else { return };
    let uri = within(stand.path("billing.tss"), None);
    assert_eq!(stand.device(&uri).create(2048).await.unwrap(), uri);
    assert_signs(&*stand.signer(&uri)).await;
}

#[tokio::test]
async fn a_key_with_a_value_signs_once_that_is_proved() {
    let Some(stand) = Stand::new().await else { return };
    for uri in [within(stand.path("billing.tss"), Some(stand.value("geheim"))), at(HANDLE, Some(stand.value("geheim")))]
    {
        stand.device(&uri).create(2048).await.unwrap();
        assert_signs(&*stand.signer(&uri)).await;
    }
    assert_eq!(stand.tpm.lockout().await.counter, 0);
}
