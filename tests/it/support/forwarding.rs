//! A PKCS#11 module over SoftHSM that has bad days on request, and remembers its calls.
//!
//! `forwarding/forwarding.c` says how. Each test has a copy of its own: the loader takes one path for one module, and the
//! control folder beside it belongs to that copy. Two of them over one SoftHSM are two modules with the same tokens.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::softhsm::{Softhsm, finished};

/// The results that tests speak of.
const RESULTS: [(&str, u64); 27] = [
    ("CKR_OK", 0x0),
    ("CKR_HOST_MEMORY", 0x2),
    ("CKR_SLOT_ID_INVALID", 0x3),
    ("CKR_GENERAL_ERROR", 0x5),
    ("CKR_FUNCTION_FAILED", 0x6),
    ("CKR_ARGUMENTS_BAD", 0x7),
    ("CKR_DEVICE_ERROR", 0x30),
    ("CKR_DEVICE_MEMORY", 0x31),
    ("CKR_DEVICE_REMOVED", 0x32),
    ("CKR_KEY_HANDLE_INVALID", 0x60),
    ("CKR_KEY_FUNCTION_NOT_PERMITTED", 0x68),
    ("CKR_MECHANISM_INVALID", 0x70),
    ("CKR_MECHANISM_PARAM_INVALID", 0x71),
    ("CKR_OBJECT_HANDLE_INVALID", 0x82),
    ("CKR_OPERATION_ACTIVE", 0x90),
    ("CKR_OPERATION_NOT_INITIALIZED", 0x91),
    ("CKR_PIN_INCORRECT", 0xa0),
    ("CKR_PIN_EXPIRED", 0xa3),
    ("CKR_PIN_LOCKED", 0xa4),
    ("CKR_SESSION_CLOSED", 0xb0),
    ("CKR_SESSION_HANDLE_INVALID", 0xb3),
    ("CKR_TOKEN_NOT_PRESENT", 0xe0),
    ("CKR_TOKEN_NOT_RECOGNIZED", 0xe1),
    ("CKR_USER_ALREADY_LOGGED_IN", 0x100),
    ("CKR_USER_NOT_LOGGED_IN", 0x101),
    ("CKR_CRYPTOKI_NOT_INITIALIZED", 0x190),
    ("CKR_CRYPTOKI_ALREADY_INITIALIZED", 0x191),
];

/// A call that the module was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `C_Sign`.
    pub function: String,
    /// Its result by name, in hexadecimal where [`RESULTS`] has none; or `hang`, or `crash`. One that hangs is seen at
    /// once, and a second time when it goes on.
    pub result: String,
    /// The process that asked.
    pub pid: u32,
}

/// The module. Its folder is removed when it is dropped.
pub struct Forwarding {
    folder: TempDir,
    breakages: AtomicU64,
}

impl Forwarding {
    /// Leads to this SoftHSM's module, with whose environment it has to be loaded.
    pub fn over(softhsm: &Softhsm) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let forwarding = Self { folder, breakages: AtomicU64::new(0) };
        fs::create_dir(forwarding.control("")).unwrap();
        // Not a link: the loader knows a module again by its inode.
        fs::copy(built(), forwarding.path()).unwrap();
        forwarding.put("real", softhsm.module().to_str().unwrap());
        forwarding
    }

    /// The shared library.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("forwarding.so")
    }

    /// Finds its tokens there, whatever its process's environment says: so two modules of one process's children can have
    /// different ones.
    pub fn keep_to(&self, softhsm: &Softhsm) {
        self.put("softhsm2-conf", softhsm.config().to_str().unwrap());
    }

    /// The function gives this result the next `times` times, and is not forwarded.
    pub fn fail(&self, function: &str, result: &str, times: u32) {
        self.put(&format!("fail/{function}"), &format!("{:x} {times} 0", code(result)));
    }

    /// The function gives this result until [`Forwarding::mend`].
    pub fn fail_always(&self, function: &str, result: &str) {
        self.put(&format!("fail/{function}"), &format!("{:x} -1 0", code(result)));
    }

    /// The function gives this result in every process that has initialized the module, until that process has called
    /// `C_Finalize` and `C_Initialize`. A process that starts afterwards is well.
    pub fn fail_until_finalize(&self, function: &str, result: &str) {
        let breakage = self.breakages.fetch_add(1, Ordering::SeqCst) + 1;
        // The number first: a process that initializes the module in between is well.
        self.put("breakages", &breakage.to_string());
        self.put(&format!("fail/{function}"), &format!("{:x} -1 {breakage}", code(result)));
    }

    /// The function is forwarded again.
    pub fn mend(&self, function: &str) {
        self.take(&format!("fail/{function}"));
    }

    /// The function does not return.
    pub fn hang(&self, function: &str) {
        self.put(&format!("hang/{function}"), "");
    }

    /// What hangs goes on, and is forwarded.
    pub fn release(&self, function: &str) {
        self.take(&format!("hang/{function}"));
    }

    /// The next call of the function aborts its process. Once.
    pub fn crash(&self, function: &str) {
        self.put(&format!("crash/{function}"), "");
    }

    /// The token is removed. Its slot is empty, and from the next call on, its sessions and its login are gone: the call that
    /// notices gives `CKR_DEVICE_REMOVED`, those after it `CKR_SESSION_HANDLE_INVALID`. Nothing is lost by an absence that
    /// no call has met.
    pub fn absent(&self, token: &str) {
        self.put(&format!("token-absent/{token}"), "");
    }

    /// The token is back, without its former sessions.
    pub fn present(&self, token: &str) {
        self.take(&format!("token-absent/{token}"));
        // Fails while another token is absent. Without the folder, no call has to look for labels.
        let _ = fs::remove_dir(self.control("token-absent"));
    }

    /// No mechanism with RSA-PSS is listed or accepted.
    pub fn no_pss(&self) {
        self.put("no-pss", "");
    }

    /// Adds to the flags of the token: `CKF_USER_PIN_COUNT_LOW` is 0x10000, `FINAL_TRY` 0x20000, `LOCKED` 0x40000. 0 ends it.
    pub fn pin_flags(&self, token: &str, flags: u32) {
        self.put(&format!("pin-flags/{token}"), &format!("{flags:x}"));
    }

    /// All calls of a function so far, the first one first.
    pub fn calls(&self, function: &str) -> Vec<Call> {
        self.all_calls().into_iter().filter(|call| call.function == function).collect()
    }

    /// The calls that did not go well.
    pub fn troubles(&self) -> Vec<Call> {
        self.all_calls().into_iter().filter(|call| call.result != "CKR_OK").collect()
    }

    pub fn all_calls(&self) -> Vec<Call> {
        let Ok(text) = fs::read_to_string(self.control("calls")) else { return vec![] };
        text.lines().map(call).collect()
    }

    fn control(&self, name: &str) -> PathBuf {
        self.folder.path().join("control").join(name)
    }

    /// Whole or not at all: the module may read at any time.
    fn put(&self, name: &str, text: &str) {
        let path = self.control(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let draft = self.folder.path().join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(draft, path).unwrap();
    }

    fn take(&self, name: &str) {
        fs::remove_file(self.control(name)).unwrap_or_else(|error| panic!("{name} was not asked for: {error}"));
    }
}

fn call(line: &str) -> Call {
    let [function, result, pid] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let number = u64::from_str_radix(result, 16);
    let name = RESULTS.iter().find(|(_, code)| number == Ok(*code)).map(|(name, _)| (*name).to_owned());
    let result = match number {
        Ok(code) => name.unwrap_or_else(|| format!("{code:#x}")),
        Err(_) => result.to_owned(),
    };
    Call { function: function.to_owned(), result, pid: pid.parse().unwrap() }
}

fn code(result: &str) -> u64 {
    let found = RESULTS.iter().find(|(name, _)| *name == result);
    found.unwrap_or_else(|| panic!("{result} has no number here yet")).1
}

/// The module, built once by each run of the tests.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/forwarding/forwarding.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let draft = folder.join(format!("forwarding-{}.so", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"]);
        compiler.arg("-o").arg(&draft).arg(source).arg("-ldl");
        finished(compiler);
        // Another run may build at the same time.
        let module = folder.join("forwarding.so");
        fs::rename(draft, &module).unwrap();
        module
    })
}
