//! A SoftHSM store with one token, and its key as a bare loop uses it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use tempfile::TempDir;

use super::Outcome;

/// Where SoftHSM finds its configuration.
pub(crate) const VARIABLE: &str = "SOFTHSM2_CONF";

/// Where distributions install the module: Debian, Ubuntu, Fedora.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];
const PIN: &str = "bench-2468";

/// One token, `bench`, in a folder that goes with it.
pub(crate) struct Store {
    folder: TempDir,
    pub(crate) module: PathBuf,
}

impl Store {
    /// `None` without SoftHSM.
    pub(crate) fn make() -> Outcome<Option<Self>> {
        let Some(module) = MODULES.iter().map(PathBuf::from).find(|path| path.exists()) else { return Ok(None) };
        let store = Self { folder: tempfile::Builder::new().prefix("unsecret-bench").tempdir()?, module };
        let tokens = store.folder().join("tokens");
        fs::create_dir(&tokens)?;
        let text =
            format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", tokens.display());
        fs::write(store.configuration(), text)?;
        let pin = store.folder().join("pin");
        fs::write(&pin, PIN)?;
        fs::set_permissions(&pin, fs::Permissions::from_mode(0o600))?;
        let mut init = Command::new("softhsm2-util");
        init.args(["--init-token", "--free", "--label", "bench", "--pin", PIN, "--so-pin", "officer-7531"]);
        match init.env(VARIABLE, store.configuration()).stdout(Stdio::null()).status() {
            Ok(status) if status.success() => Ok(Some(store)),
            Ok(status) => Err(format!("softhsm2-util: {status}").into()),
            Err(_) => Ok(None),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder().join("softhsm2.conf")
    }
}

/// The token's key, in a session of this process.
pub(crate) struct BareKey {
    key: ObjectHandle,
    session: Session,
    // Ends after its session.
    _module: Pkcs11,
}

impl BareKey {
    pub(crate) fn find(module: &Path) -> Outcome<Self> {
        let module = Pkcs11::new(module)?;
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        let slot = module.get_slots_with_initialized_token()?.into_iter().next().ok_or("no token")?;
        let session = module.open_ro_session(slot)?;
        session.login(UserType::User, Some(&AuthPin::new(PIN.into())))?;
        let key = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)])?;
        let key = key.into_iter().next().ok_or("no key")?;
        Ok(Self { key, session, _module: module })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Outcome<Vec<u8>> {
        let pss = PkcsPssParams { hash_alg: MechanismType::SHA256, mgf: PkcsMgfType::MGF1_SHA256, s_len: 32.into() };
        Ok(self.session.sign(&Mechanism::Sha256RsaPkcsPss(pss), self.key, message)?)
    }
}
