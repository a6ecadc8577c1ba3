//! SoftHSM2, a whole PKCS#11 module in software: each test has one of its own, in a folder that goes with it.
//!
//! It finds its tokens through `SOFTHSM2_CONF` in the environment of its process, which a test cannot change safely for
//! itself. So it is only ever loaded by children: `softhsm2-util`, `pkcs11-tool`, `unsecret`. Easy to get wrong: it lists
//! its slots in `C_Initialize`, so a process that runs sees neither a token made later nor one taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

use super::parts::{Level, missing};

/// Where distributions install the module: Debian, Ubuntu, Fedora.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

/// The variable that a process must have before it loads the module.
pub const VARIABLE: &str = "SOFTHSM2_CONF";

/// The security officer's PIN, of every token.
const OFFICER: &str = "officer-7531";

/// A store of tokens. Its folder is removed when it is dropped.
pub struct Softhsm {
    folder: TempDir,
    module: PathBuf,
    /// Label of a token → the PIN of its user.
    pins: Mutex<BTreeMap<String, String>>,
}

impl Softhsm {
    /// `None` after a loud word when the package is missing.
    pub fn new() -> Option<Self> {
        let module = MODULES.iter().map(PathBuf::from).find(|path| path.exists());
        let tools = ["softhsm2-util", "pkcs11-tool"].iter().all(|tool| installed(tool));
        let (Some(module), true) = (module, tools) else {
            missing(Level::Core, "the Debian packages softhsm2 and opensc");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let tokens = folder.path().join("tokens");
        fs::create_dir(&tokens).unwrap();
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
            tokens.display()
        );
        fs::write(folder.path().join("softhsm2.conf"), text).unwrap();
        Some(Self { folder, module, pins: Mutex::default() })
    }

    /// The shared library.
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// What [`VARIABLE`] has to be in a child.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    /// Makes a token.
    pub fn token(&self, label: &str, pin: &str) {
        let mut command = self.child("softhsm2-util");
        command.args(["--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", OFFICER]);
        finished(command);
        self.pins.lock().unwrap().insert(label.to_owned(), pin.to_owned());
    }

    /// Makes an RSA key that cannot be read out, and its public object. `id` is hexadecimal.
    pub fn key(&self, token: &str, label: &str, id: &str, bits: u32) {
        self.generate(token, label, id, bits, &[]);
    }

    /// As [`Softhsm::key`], with `CKA_ALWAYS_AUTHENTICATE`: SoftHSM wants the PIN again for each signature.
    pub fn always_authenticate_key(&self, token: &str, label: &str, id: &str, bits: u32) {
        self.generate(token, label, id, bits, &["--always-auth"]);
    }

    fn generate(&self, token: &str, label: &str, id: &str, bits: u32, more: &[&str]) {
        let key_type = format!("RSA:{bits}");
        let key =
            ["--keypairgen", "--key-type", &key_type, "--usage-sign", "--sensitive", "--label", label, "--id", id];
        self.logged_in(token, &[&key[..], more].concat());
    }

    /// Leaves only the private object, as a ceremony often does.
    pub fn delete_public(&self, token: &str, id: &str) {
        self.logged_in(token, &["--delete-object", "--type", "pubkey", "--id", id]);
    }

    pub fn delete_private(&self, token: &str, id: &str) {
        self.logged_in(token, &["--delete-object", "--type", "privkey", "--id", id]);
    }

    /// The public object, as DER of a `SubjectPublicKeyInfo`.
    pub fn public(&self, token: &str, id: &str) -> Vec<u8> {
        let file = self.folder.path().join("public.der");
        let file = file.to_str().unwrap();
        self.logged_in(token, &["--read-object", "--type", "pubkey", "--id", id, "--output-file", file]);
        fs::read(file).unwrap()
    }

    /// All that `pkcs11-tool` says of the token's objects.
    pub fn objects(&self, token: &str) -> String {
        self.logged_in(token, &["--list-objects"])
    }

    /// What the module says of a private key: `sensitive`, `always sensitive`, `never extractable`, `local`,
    /// `always authenticate`; `extractable` where it can be read out.
    pub fn attributes(&self, token: &str, id: &str) -> BTreeSet<String> {
        let objects = self.logged_in(token, &["--list-objects", "--type", "privkey", "--id", id]);
        let line = objects.lines().find_map(|line| line.trim().strip_prefix("Access:"));
        let line = line.unwrap_or_else(|| panic!("no attributes of a private key {id}: {objects}"));
        line.split(',').map(|attribute| attribute.trim().to_owned()).collect()
    }

    /// The user changes the PIN. A session that is logged in stays so.
    pub fn change_pin(&self, token: &str, new: &str) {
        self.logged_in(token, &["--change-pin", "--new-pin", new]);
        self.pins.lock().unwrap().insert(token.to_owned(), new.to_owned());
    }

    /// The security officer sets the PIN.
    pub fn reset_pin(&self, token: &str, new: &str) {
        let officer = ["--login", "--login-type", "so", "--so-pin", OFFICER, "--init-pin", "--pin", new];
        self.plain(token, &officer);
        self.pins.lock().unwrap().insert(token.to_owned(), new.to_owned());
    }

    /// Whether the last attempt at the PIN was wrong: `CKF_USER_PIN_COUNT_LOW`. SoftHSM keeps it on disk, clears it at the
    /// next right PIN, and never locks a token.
    pub fn pin_count_low(&self, token: &str) -> bool {
        self.slot_line(token, "token flags").contains("user PIN count low")
    }

    /// The serial number that the token has been given.
    pub fn serial(&self, token: &str) -> String {
        self.slot_line(token, "serial num")
    }

    /// Moves the token's folder away: a process that starts now does not see it. One that runs has `CKR_OBJECT_HANDLE_INVALID`
    /// from then on, and `CKR_GENERAL_ERROR` for new sessions, until it calls `C_Finalize` after [`Softhsm::put_back`].
    pub fn take_away(&self, token: &str) {
        let there = self.token_folder(token);
        fs::rename(&there, self.folder.path().join(token)).unwrap();
        // So that it can be put back under its own name.
        fs::write(self.folder.path().join(format!("{token}.was")), there.to_str().unwrap()).unwrap();
    }

    /// Undoes [`Softhsm::take_away`].
    pub fn put_back(&self, token: &str) {
        let was = fs::read_to_string(self.folder.path().join(format!("{token}.was"))).unwrap();
        fs::rename(self.folder.path().join(token), was).unwrap();
    }

    /// SoftHSM names a token's folder by a UUID that ends in its serial number.
    fn token_folder(&self, token: &str) -> PathBuf {
        let serial = self.serial(token);
        let folders = fs::read_dir(self.folder.path().join("tokens")).unwrap();
        let mut folders = folders.map(|entry| entry.unwrap().path());
        let found = folders.find(|path| path.to_str().unwrap().replace('-', "").ends_with(&serial));
        found.unwrap_or_else(|| panic!("no folder of the token {token}, serial {serial}"))
    }

    /// A program of the system with this store, and nothing else of the machine's variables.
    pub fn child(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env(VARIABLE, self.config()).stdin(Stdio::null());
        command
    }

    /// `pkcs11-tool` over `module`, to be given its verb.
    pub fn tool(&self, module: &Path, token: &str) -> Command {
        let mut command = self.child("pkcs11-tool");
        command.arg("--module").arg(module).args(["--token-label", token]);
        command
    }

    /// The PIN that the token's user has now.
    pub fn pin(&self, token: &str) -> String {
        self.pins.lock().unwrap().get(token).unwrap_or_else(|| panic!("no token {token} was made")).clone()
    }

    fn logged_in(&self, token: &str, args: &[&str]) -> String {
        let pin = self.pin(token);
        self.plain(token, &[&["--login", "--pin", &pin], args].concat())
    }

    fn plain(&self, token: &str, args: &[&str]) -> String {
        let mut command = self.tool(&self.module, token);
        command.args(args);
        finished(command)
    }

    /// One line about a token from the list of slots.
    fn slot_line(&self, token: &str, heading: &str) -> String {
        let mut command = self.child("pkcs11-tool");
        command.arg("--module").arg(&self.module).arg("--list-token-slots");
        let slots = finished(command);
        let mut fields =
            slots.lines().filter_map(|line| line.split_once(':')).map(|(name, text)| (name.trim(), text.trim()));
        fields.find(|field| *field == ("token label", token)).unwrap_or_else(|| panic!("no token {token}: {slots}"));
        fields.find(|(name, _)| *name == heading).unwrap_or_else(|| panic!("no {heading}: {slots}")).1.to_owned()
    }
}

/// Whether a program can be started.
pub fn installed(program: &str) -> bool {
    ["/usr/bin", "/bin", "/usr/local/bin"].iter().any(|folder| Path::new(folder).join(program).exists())
}

/// Runs to the end and gives what it printed; a failure shows what it complained about.
pub fn finished(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}
