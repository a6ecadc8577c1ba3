//! What a configuration says about keys in hardware, handed to the one ring of signers that the process has.
//!
//! Easy to get wrong: the ring outlives every reload, since a login is not to be repeated; so what it was made with cannot
//! change, and a reload that would change it is refused by name.

use std::path::PathBuf;
use std::sync::Arc;

use super::ReloadError;
use crate::clock::Clock;
use crate::config::{Config, HardwareSettings};
use crate::signer::{Settings, Signers};

/// What opens keys for the whole life of a process. `program` is this very program, which is started again as the child
/// that loads a PKCS#11 module.
#[must_use]
pub fn signers(config: &Config, program: PathBuf, clock: Arc<dyn Clock>) -> Arc<Signers> {
    let HardwareSettings { state_dir, environment, withheld, limit, tcti, .. } = config.hardware.clone();
    let settings = Settings { program, environment, withheld, state: state_dir, limit, tcti, force: false };
    Arc::new(Signers::new(settings, clock))
}

/// Refuses a changed setting of `[pkcs11]`, `[tpm]` or `state_dir`.
pub(super) fn refuse_other(was: &HardwareSettings, new: &HardwareSettings) -> Result<(), ReloadError> {
    let modules = |settings: &HardwareSettings| settings.modules.as_ref().map(|all| format!("{all:?}"));
    let any = || "any absolute path".to_owned();
    let settings = [
        ("state_dir", was.state_dir.display().to_string(), new.state_dir.display().to_string()),
        ("pkcs11.modules", modules(was).unwrap_or_else(any), modules(new).unwrap_or_else(any)),
        ("pkcs11.environment", format!("{:?}", was.environment), format!("{:?}", new.environment)),
        ("pkcs11.limit", format!("{:?}", was.limit), format!("{:?}", new.limit)),
        ("tpm.tcti", was.tcti.clone(), new.tcti.clone()),
    ];
    match settings.into_iter().find(|(_, was, new)| was != new) {
        Some((setting, was, new)) => Err(ReloadError::Hardware { setting, was, new }),
        None => Ok(()),
    }
}
