//! swtpm, a TPM 2.0 in software: each test has one of its own, on two ports and with a state folder of its own.
//!
//! Easy to get wrong: nothing manages its resources. It serves one connection at a time (a second client waits until the
//! first hangs up: [`Swtpm::tool`] then fails after half a minute), and it has three slots for loaded keys, which stay
//! taken until they are flushed. And a TPM that is killed rather than shut down, after a key was used that it guards against
//! guessing, counts one failed attempt more at its next start: three of them lock it, unless [`Swtpm::set_lockout`] says more.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::parts::{Level, missing};
use super::softhsm::{finished, installed};
use super::world::until;

const TOOLS: [&str; 4] = ["swtpm", "swtpm_setup", "tpm2_getcap", "tpm2_evictcontrol"];

/// Nothing that a tool does takes longer, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A TPM that runs. It is killed when dropped.
pub struct Swtpm {
    folder: TempDir,
    port: u16,
    child: Child,
}

/// `TPM2_PT_LOCKOUT_COUNTER` and its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// Failed attempts that are not forgiven yet.
    pub counter: u32,
    /// The TPM locks at so many.
    pub most: u32,
    /// One attempt is forgiven after so many seconds.
    pub interval: u32,
}

impl Swtpm {
    /// `None` after a loud word when a package is missing.
    pub async fn start() -> Option<Self> {
        if !TOOLS.iter().all(|tool| installed(tool)) {
            missing(Level::Core, "the Debian packages swtpm, swtpm-tools, tpm2-tools and libtss2-tcti-swtpm0");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        // swtpm_setup looks for its settings below this, and an account without a home is no reason to fail.
        let mut setup = bare("swtpm_setup");
        setup.args(["--tpm2", "--overwrite", "--tpmstate"]).arg(folder.path()).env("XDG_CONFIG_HOME", folder.path());
        finished(setup);
        for _ in 0..20 {
            let port = free_pair();
            if let Some(child) = listening(folder.path(), port).await {
                return Some(Self { folder, port, child });
            }
        }
        panic!("found no two free ports in a row for swtpm")
    }

    /// What reaches it: of the configuration, and of `TPM2TOOLS_TCTI`.
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// A power cut: what was not stored is lost, and an attempt may count as failed.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// `TPM2_Shutdown`, then off.
    pub async fn shut_down(&mut self) {
        self.tool("tpm2_shutdown", &["--clear"]).await;
        self.kill();
    }

    /// The same TPM at the same place, started anew. It must be off.
    pub async fn restart(&mut self) {
        let child = listening(self.folder.path(), self.port).await;
        self.child = child.unwrap_or_else(|| panic!("swtpm does not start again on port {}", self.port));
    }

    /// Makes an RSA signing key under the owner's primary, at a persistent handle. With `auth` the TPM counts wrong ones.
    pub async fn persistent_key(&self, handle: u32, auth: Option<&str>, bits: u32) {
        let context = self.path("context");
        let primary = self.primary().await;
        let [public, private] = self.made(&primary, auth, bits).await;
        self.tool("tpm2_load", &["-Q", "-C", &primary, "-u", &public, "-r", &private, "-c", &context]).await;
        self.flush().await;
        self.tool("tpm2_evictcontrol", &["-Q", "-C", "o", "-c", &context, &address(handle)]).await;
        self.flush().await;
    }

    /// Makes an RSA signing key and writes it to a file in the TSS2 PEM form. Its parent is the owner's primary, which
    /// whoever loads it has to make again, or is made persistent at a handle.
    pub async fn key_file(&self, path: &Path, parent: Option<u32>, auth: Option<&str>, bits: u32) {
        let mut primary = self.primary().await;
        if let Some(handle) = parent {
            self.tool("tpm2_evictcontrol", &["-Q", "-C", "o", "-c", &primary, &address(handle)]).await;
            self.flush().await;
            primary = address(handle);
        }
        let [public, private] = self.made(&primary, auth, bits).await;
        let mut encode = vec!["-C", &primary, "-u", &public, "-r", &private, "-o", path.to_str().unwrap()];
        // Says in the file that a password is wanted.
        encode.extend(auth.map(|_| "--key-auth"));
        self.tool("tpm2_encodeobject", &encode).await;
        self.flush().await;
    }

    /// Removes a persistent key.
    pub async fn evict(&self, handle: u32) {
        self.tool("tpm2_evictcontrol", &["-Q", "-C", "o", "-c", &address(handle)]).await;
    }

    /// The public half of a persistent key, as PEM of a `SubjectPublicKeyInfo`.
    pub async fn public(&self, handle: u32) -> String {
        let file = self.path("public.pem");
        self.tool("tpm2_readpublic", &["-Q", "-c", &address(handle), "-f", "pem", "-o", &file]).await;
        fs::read_to_string(file).unwrap()
    }

    pub async fn lockout(&self) -> Lockout {
        let said = self.tool("tpm2_getcap", &["properties-variable"]).await;
        let number = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": 0x"));
            u32::from_str_radix(line.unwrap_or_else(|| panic!("no {name}: {said}")), 16).unwrap()
        };
        Lockout {
            counter: number("TPM2_PT_LOCKOUT_COUNTER"),
            most: number("TPM2_PT_MAX_AUTH_FAIL"),
            interval: number("TPM2_PT_LOCKOUT_INTERVAL"),
        }
    }

    /// How many failed attempts lock it, and after how many seconds one is forgiven; 0 stands for never.
    pub async fn set_lockout(&self, most: u32, interval: u32) {
        let (most, interval) = (format!("--max-tries={most}"), format!("--recovery-time={interval}"));
        let set = ["--setup-parameters", &most, &interval, "--lockout-recovery-time=0"];
        self.tool("tpm2_dictionarylockout", &set).await;
    }

    /// Forgives all failed attempts.
    pub async fn clear_lockout(&self) {
        self.tool("tpm2_dictionarylockout", &["--clear-lockout"]).await;
    }

    /// A program of tpm2-tools. Waits, but not for ever, until no other client is connected.
    pub async fn tool(&self, name: &str, args: &[&str]) -> String {
        let output = self.attempt(name, args).await;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name} {args:?}: {}\n{stdout}{stderr}", output.status);
        stdout.into_owned()
    }

    /// As [`Swtpm::tool`], for what may fail.
    pub async fn attempt(&self, name: &str, args: &[&str]) -> std::process::Output {
        let mut command = tokio::process::Command::from(bare(name));
        command.args(args).env("TPM2TOOLS_TCTI", self.tcti()).kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        ended.unwrap_or_else(|_| panic!("{name} does not end: is another client connected to the TPM?")).unwrap()
    }

    /// The saved context of the primary that a key file without a persistent parent stands for: P-256 under the owner, by the
    /// template which the writers of such files have agreed on.
    async fn primary(&self) -> String {
        let primary = self.path("primary");
        let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt";
        self.tool("tpm2_createprimary", &["-Q", "-C", "o", "-G", "ecc256", "-a", attributes, "-c", &primary]).await;
        self.flush().await;
        primary
    }

    /// The files of a new key's public and private half.
    async fn made(&self, parent: &str, auth: Option<&str>, bits: u32) -> [String; 2] {
        let [public, private] = ["public", "private"].map(|name| self.path(name));
        let (algorithm, auth) = (format!("rsa{bits}"), auth.map(|auth| format!("str:{auth}")));
        let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";
        let mut key = vec!["-Q", "-C", parent, "-G", &algorithm, "-a", attributes, "-u", &public, "-r", &private];
        if let Some(auth) = &auth {
            key.extend(["-p", auth]);
        }
        self.tool("tpm2_create", &key).await;
        self.flush().await;
        [public, private]
    }

    /// Each tool leaves what it has loaded behind, and there are three slots for keys and three for sessions.
    async fn flush(&self) {
        self.tool("tpm2_flushcontext", &["--transient-object"]).await;
        self.tool("tpm2_flushcontext", &["--loaded-session"]).await;
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.kill();
    }
}

fn address(handle: u32) -> String {
    format!("{handle:#x}")
}

fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("TSS2_LOG", "all+error").stdin(Stdio::null());
    command
}

/// The TCTI takes the port after the given one for the control channel. Another process may take either before swtpm does.
fn free_pair() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if first < u16::MAX && TcpListener::bind(("127.0.0.1", first + 1)).is_ok() {
            return first;
        }
    }
}

/// Starts swtpm and waits until it listens; `None` when it ends instead, as it does when a port is taken.
async fn listening(state: &Path, port: u16) -> Option<Child> {
    // Written once both ports are open, so that a port which belongs to somebody else is not taken for it.
    let written: PathBuf = state.join("pid");
    let _ = fs::remove_file(&written);
    let tcp = |port: u16| format!("type=tcp,port={port},bindaddr=127.0.0.1");
    let mut command = bare("swtpm");
    command.args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"]);
    command.arg("--tpmstate").arg(format!("dir={}", state.display()));
    command.arg("--pid").arg(format!("file={}", written.display()));
    command.args(["--server", &tcp(port), "--ctrl", &tcp(port + 1)]);
    let child = std::cell::RefCell::new(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let runs = until("swtpm listens", async || {
        if child.borrow_mut().try_wait().unwrap().is_some() {
            return Some(false);
        }
        let pid = child.borrow().id().to_string();
        fs::read_to_string(&written).is_ok_and(|text| text.trim() == pid).then_some(true)
    });
    runs.await.then(|| child.into_inner())
}
