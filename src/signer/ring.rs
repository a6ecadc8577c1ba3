//! Opens keys by their URI, and keeps one worker for each module and TPM, however many keys are in it.
//!
//! Easy to get wrong: it outlives a reload. What the new configuration names again goes on without a login.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::pkcs11::{Module, Pkcs11Device, Pkcs11Signer, Program};
#[cfg(feature = "tpm")]
use super::tpm::Tpm;
use super::{Attempts, Device, FileSigner, KeyFile, KeyUri, Pkcs11Uri, SignError, Signer};
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
    /// Those in use: what no key needs any more ends with its child.
    modules: Mutex<BTreeMap<PathBuf, Weak<Module>>>,
    in_tokens: Mutex<Vec<Weak<Pkcs11Signer>>>,
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
            modules: Mutex::default(),
            in_tokens: Mutex::default(),
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
            KeyUri::Pkcs11(key) => Ok(self.in_token(key, wanted)),
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
            KeyUri::Pkcs11(key) => Ok(Arc::new(Pkcs11Device::new(key.clone(), self.module(&key.module)))),
        }
    }

    /// The signer that serves this key already, or a new one.
    fn in_token(&self, key: &Pkcs11Uri, wanted: Option<&[u8]>) -> Arc<Pkcs11Signer> {
        let mut signers = self.in_tokens.lock().unwrap_or_else(PoisonError::into_inner);
        signers.retain(|signer| signer.strong_count() > 0);
        let known = signers.iter().filter_map(Weak::upgrade).find(|signer| signer.is_for(key, wanted));
        known.unwrap_or_else(|| {
            let made = Pkcs11Signer::new(key.clone(), wanted.map(<[u8]>::to_vec), self.module(&key.module));
            let made = Arc::new(made);
            signers.push(Arc::downgrade(&made));
            made
        })
    }

    fn module(&self, path: &Path) -> Arc<Module> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        modules.retain(|_, module| module.strong_count() > 0);
        if let Some(module) = modules.get(path).and_then(Weak::upgrade) {
            return module;
        }
        let program = Program {
            executable: self.settings.program.clone(),
            module: path.to_owned(),
            environment: self.settings.environment.clone(),
            withheld: self.settings.withheld.clone(),
        };
        let login = (self.attempts.clone(), self.settings.force);
        let launcher = Box::new(program);
        let made = Module::new(path.to_owned(), launcher, self.settings.limit, login, Arc::clone(&self.clock));
        let made = Arc::new(made);
        modules.insert(path.to_owned(), Arc::downgrade(&made));
        made
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
