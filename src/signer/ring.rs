//! Opens keys by their URI, and keeps one worker for each module and TPM, however many keys are in it.
//!
//! Easy to get wrong: it outlives a reload. What the new configuration names again goes on without a login.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "tpm")]
use super::tpm::Tpm;
use super::{Attempts, Device, FileSigner, KeyFile, KeyUri, SignError, Signer};
use crate::clock::Clock;

/// What the process and the configuration say about hardware.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This very program, started again as the child that loads a PKCS#11 module.
    pub program: PathBuf,
    /// Added to the environment of modules, such as `SOFTHSM2_CONF`.
    pub environment: BTreeMap<String, String>,
    /// Where logins are recorded.
    pub state: PathBuf,
    /// How long one call into a module or a TPM may take before it counts as hung; logins and openings take three times this.
    pub limit: Duration,
    /// Names of variables that hold secrets of ours and that no module is shown.
    pub withheld: Vec<String>,
    /// How to reach the TPM (`device:/dev/tpmrm0`).
    pub tcti: String,
    /// A person says that the PIN is right, whatever the token counts (`unsecret key test --force`).
    pub force: bool,
}

/// Opens keys.
#[derive(Debug)]
pub struct Signers {
    settings: Settings,
    attempts: Attempts,
    clock: Arc<dyn Clock>,
    #[cfg(feature = "tpm")]
    tpm: Tpm,
}

impl Signers {
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let attempts = Attempts::new(settings.state.join("logins"));
        Self {
            #[cfg(feature = "tpm")]
            tpm: Tpm::new(&settings.tcti, settings.limit, attempts.clone(), settings.force, Arc::clone(&clock)),
            settings,
            attempts,
            clock,
        }
    }

    /// The signer of this key; `wanted` is the `subjectPublicKey` of its certificate, by which it is told from twins.
    /// Reads a key file at once (which may take a second: not on the runtime's thread); hardware is only described, and
    /// looked for when it is first used.
    pub fn open(&self, key: &KeyUri, wanted: Option<&[u8]>) -> Result<Arc<dyn Signer>, SignError> {
        match key {
            KeyUri::File { path, password_file } => open_file(path, password_file.as_deref()),
            #[cfg(feature = "tpm")]
            KeyUri::Tpm(key) => Ok(self.tpm.signer(key)),
            #[cfg(not(feature = "tpm"))]
            KeyUri::Tpm(_) => Err(without_tpm()),
            KeyUri::Pkcs11(_) => {
                let _ = (wanted, &self.settings, &self.attempts, &self.clock);
                Err(SignError::Backend { kind: "hardware", source: "not built yet".into() })
            }
        }
    }

    /// Where this key is or is to be, to look around and to make it. Only described, as above.
    pub fn device(&self, key: &KeyUri) -> Result<Arc<dyn Device>, SignError> {
        match key {
            KeyUri::File { path, password_file } => Ok(Arc::new(KeyFile::new(path.clone(), password_file.clone()))),
            #[cfg(feature = "tpm")]
            KeyUri::Tpm(key) => Ok(self.tpm.device(key)),
            #[cfg(not(feature = "tpm"))]
            KeyUri::Tpm(_) => Err(without_tpm()),
            KeyUri::Pkcs11(_) => Err(SignError::Backend { kind: "hardware", source: "not built yet".into() }),
        }
    }
}

/// The configuration and the verbs refuse such a key before.
#[cfg(not(feature = "tpm"))]
fn without_tpm() -> SignError {
    SignError::Backend { kind: "tpm", source: super::KeyUriError::feature_missing("tpm").into() }
}

fn open_file(path: &Path, password_file: Option<&Path>) -> Result<Arc<dyn Signer>, SignError> {
    Ok(Arc::new(FileSigner::open(path, password_file)?))
}
