//! A wrong PIN is tried once, whoever asks: the real binary, started again and again, with its verbs beside it.
//!
//! What counts is what the device says: the forwarding module's calls of `C_Login`, a TPM's lockout counter. Easy to get
//! wrong: the first attempt is let come to its verdict, since one that is cut short may be repeated once on purpose.

mod crashes;
mod forms;
mod periodic;
mod secrets;
mod supervised;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use unsecret::ids::Guid;
use unsecret::secret::local_key::LocalKey;

use crate::support::forwarding::Forwarding;
use crate::support::http::Call;
use crate::support::softhsm::{Softhsm, VARIABLE};
use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, World, until};

const PIN: &str = "user-2468";
const WRONG: &str = "wrong-1357";
const NAMES: [&str; 3] = ["billing", "payroll", "audit"];
const CLIENTS: [&str; 3] = [CLIENT, "33333333-dddd-4eee-8fff-000000000002", "33333333-dddd-4eee-8fff-000000000003"];

/// An Entra, a configuration whose identities sign with hardware, and the file of their PIN.
struct Stand {
    world: World,
    /// The keys' URIs, one for each identity.
    keys: Vec<String>,
}

impl Stand {
    async fn new() -> Self {
        let application = |id| format!("[[application]]\ntenant = \"{TENANT}\"\nclient_id = \"{id}\"\n");
        let emulator = CLIENTS[1..].iter().map(application).collect();
        Self { world: World::of(Plan { emulator, ..Plan::default() }).await, keys: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.path(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// As an editor does it: the file is whole at any time.
    fn write_pin(&self, pin: impl AsRef<[u8]>) {
        let draft = self.path("pin.new");
        fs::write(&draft, pin).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(draft, self.path("pin")).unwrap();
    }

    /// Runs to its end: status, and all that it said.
    fn ended(args: &[&str]) -> (Option<i32>, String) {
        let output = command(args).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    /// `unsecret key …` with the stand's configuration: its status and what it said.
    fn key(&self, args: &[&str]) -> (Option<i32>, String) {
        Self::ended(&[&["key"], args, &["--config", &self.text("config.toml")]].concat())
    }

    /// A certificate for this key, known to Entra. Made with a state directory of its own: nothing is known to the broker.
    fn certify(&self, name: &str, key: &str, more: &[&str]) {
        let certificate = self.text(&format!("{name}.crt"));
        let state = self.text("state-of-the-ceremony");
        let make = ["key", "certificate", key, "--subject", "CN=hsm", "--out", &certificate, "--state-dir", &state];
        let (status, said) = Self::ended(&[&make[..], more].concat());
        assert_eq!(status, Some(0), "{said}");
        let client = CLIENTS[NAMES.iter().position(|one| *one == name).unwrap()];
        let pem = fs::read_to_string(certificate).unwrap();
        self.world.emulator.add_certificate(&Guid::parse(client).unwrap(), &pem).unwrap();
    }

    /// One identity for each key.
    fn configure(&self, more: &str) {
        let mut text = format!(
            "state_dir = {:?}\n{more}\n[listen]\nhttp = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n",
            self.text("state")
        );
        for ((name, client), key) in NAMES.iter().zip(CLIENTS).zip(&self.keys) {
            let caller = self.path(&format!("{name}.caller"));
            if !caller.exists() {
                fs::write(&caller, LocalKey::generate().unwrap().secret().expose()).unwrap();
                fs::set_permissions(&caller, fs::Permissions::from_mode(0o600)).unwrap();
            }
            let _ = write!(
                text,
                "[[identity]]\nname = {name:?}\ntenant = \"{TENANT}\"\nclient_id = \"{client}\"\nauthority_host = {:?}\n\
                 ca_file = {:?}\nscopes = [\"{GRAPH}/.default\"]\nprefetch = [\"{GRAPH}/.default\"]\n\
                 assertion = {{ certificates = [{{ certificate = {:?}, key = {key:?} }}], test_every = \"10s\" }}\n\
                 [[identity.caller]]\nkey_file = {:?}\n",
                self.world.emulator.authority_host(),
                self.text("ca.pem"),
                self.text(&format!("{name}.crt")),
                caller.display().to_string(),
            );
        }
        let file = self.path("config.toml");
        fs::write(&file, text).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn start(&self) -> Broker {
        let log = self.path("broker.log");
        let mut command = command(&["run", "--config", &self.text("config.toml")]);
        let child = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        Broker { child, log }
    }
}

/// A token with a key for each identity, behind a module that counts.
struct Hsm {
    stand: Stand,
    softhsm: Softhsm,
    module: Forwarding,
}

impl Hsm {
    /// With the wrong PIN in its file. `None` without SoftHSM.
    async fn new(identities: usize) -> Option<Self> {
        Self::with_pin(identities, PIN).await
    }

    /// With this PIN of the token, and the wrong one in its file.
    async fn with_pin(identities: usize, pin: &str) -> Option<Self> {
        let softhsm = Softhsm::new()?;
        softhsm.token("prod", pin);
        let module = Forwarding::over(&softhsm);
        let mut stand = Stand::new().await;
        stand.write_pin(pin);
        let variable = format!("{VARIABLE}={}", softhsm.config().display());
        for (name, id) in NAMES[..identities].iter().zip(["01", "02", "03"]) {
            softhsm.key("prod", name, id, 2048);
            // The ceremony's module is another one than the broker's, on the same token.
            let key = key(softhsm.module(), name, &stand.path("pin"));
            stand.certify(name, &key, &["--module-environment", &variable]);
            stand.keys.push(self::key(&module.path(), name, &stand.path("pin")));
        }
        stand.configure(&format!(
            "[pkcs11]\nenvironment = {{ {VARIABLE} = {:?} }}",
            softhsm.config().display().to_string()
        ));
        stand.write_pin(WRONG);
        Some(Self { stand, softhsm, module })
    }

    /// The results of all logins so far.
    fn logins(&self) -> Vec<String> {
        self.module.calls("C_Login").into_iter().map(|call| call.result).collect()
    }

    /// `unsecret key test` of the first key, with more arguments.
    fn key_test(&self, more: &[&str]) -> (Option<i32>, String) {
        self.stand.key(&[&["test", &self.stand.keys[0], "--count", "1"], more].concat())
    }
}

fn key(module: &Path, name: &str, pin: &Path) -> String {
    format!("pkcs11:token=prod;object={name}?module-path={}&pin-source=file:{}", module.display(), pin.display())
}

/// `unsecret run`. It is killed when dropped.
struct Broker {
    child: Child,
    log: PathBuf,
}

impl Broker {
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    async fn until_says(&self, what: &str) {
        self.within_a_minute(what, async || self.said().contains(what)).await;
    }

    /// The page, once the admin door is open.
    async fn page(&self, path: &str) -> (u16, String) {
        let admin: SocketAddr = until("the admin door is open", async || {
            let said = self.said();
            let (_, rest) = said.split_once("admin=http://")?;
            rest.split_once(char::is_whitespace)?.0.parse().ok()
        })
        .await;
        let answer = Call::get(admin, path).send().await;
        (answer.status.as_u16(), answer.body)
    }

    /// Patient: the pause before the next attempt may be a quarter of a minute.
    async fn until_ready(&self) {
        self.within_a_minute("ready", async || self.page("/readyz").await.0 == 200).await;
    }

    async fn within_a_minute(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let wait = async {
            while !is_so().await {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), wait).await;
        assert!(ended.is_ok(), "waited in vain for: {what}\n{}", self.said());
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends as this signal has it.
    fn end(mut self, signal: Signal) {
        self.signal(signal);
        self.child.wait().unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The real binary with nothing of the machine's variables.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.args(args).env_clear().env("TSS2_LOG", "all+none");
    command.stdin(Stdio::null());
    command
}
