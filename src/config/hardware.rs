//! `state_dir`, `[pkcs11]` and `[tpm]`: what keys in hardware need beside their URI, and which URIs that allows.
//!
//! Easy to get wrong: a key that is named on a command line is held to the same rules as one in the file, or the
//! allow-list of modules would be none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ConfigProblems, Environment};
use crate::signer::{KeyUri, KeyUriError, Surroundings};

/// What keys in hardware need beside their URI. Fixed for the life of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardwareSettings {
    /// Absolute; logins are recorded there.
    pub state_dir: PathBuf,
    /// The only modules that may be loaded; `None` for any.
    pub modules: Option<Vec<PathBuf>>,
    /// Added to the environment of modules.
    pub environment: BTreeMap<String, String>,
    /// Variables of this process that no module is shown.
    pub withheld: Vec<String>,
    /// For one call into a module or a TPM.
    pub limit: Duration,
    pub tcti: String,
    /// `$CREDENTIALS_DIRECTORY`, where systemd puts what `credential:NAME` means.
    pub credentials: Option<PathBuf>,
}

/// Where packages put modules, beside the folder of the machine's own kind (`/usr/lib/x86_64-linux-gnu/pkcs11`).
const FOLDERS: [&str; 4] = ["/usr/lib/pkcs11", "/usr/lib64/pkcs11", "/usr/local/lib/pkcs11", "/usr/local/lib64/pkcs11"];

impl HardwareSettings {
    /// What `file`, or the file that `UNSECRET_CONFIG` names, says of hardware; without either, what holds by itself. For
    /// who makes a key before there is an identity to configure.
    pub fn load(file: Option<&Path>, env: &Environment) -> Result<Self, ConfigProblems> {
        super::Config::load_hardware(file, env)
    }

    /// The key that a text names, if this configuration and this build have room for it. Looks into folders of modules
    /// where the text has only a module's name; opens nothing.
    pub fn key(&self, text: &str) -> Result<KeyUri, KeyUriError> {
        let found = match &self.modules {
            None if text.contains("module-name") => installed(),
            _ => Vec::new(),
        };
        let modules = self.modules.as_deref().unwrap_or(&found);
        let uri = KeyUri::parse(text, Surroundings { modules, credentials: self.credentials.as_deref() })?;
        match &uri {
            KeyUri::Pkcs11(key) => self.allows(&key.module)?,
            KeyUri::Tpm(_) if !cfg!(feature = "tpm") => return Err(KeyUriError::feature_missing("tpm")),
            KeyUri::Tpm(_) | KeyUri::File { .. } => {}
        }
        Ok(uri)
    }

    fn allows(&self, module: &Path) -> Result<(), KeyUriError> {
        match &self.modules {
            Some(allowed) if !allowed.iter().any(|one| one == module) => {
                Err(KeyUriError::module_not_allowed(module, allowed))
            }
            _ => Ok(()),
        }
    }
}

/// The modules in p11-kit's folders, in a steady order.
fn installed() -> Vec<PathBuf> {
    let machines = files_in(Path::new("/usr/lib")).into_iter().map(|folder| folder.join("pkcs11"));
    let mut found: Vec<_> =
        FOLDERS.into_iter().map(PathBuf::from).chain(machines).flat_map(|folder| files_in(&folder)).collect();
    found.retain(|path| path.extension().is_some_and(|end| end == "so"));
    found.sort();
    found.dedup();
    found
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
