//! `unsecret key` as people use it: the real binary, over keys in files and in tokens.

mod file;
mod refusals;
mod roll;
mod terminal;
mod token;
mod walk;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use unsecret::emulator::{Emulator, Settings};

use crate::support::http::Call;
use crate::support::world::{CLIENT, GRAPH, TENANT};

/// A process that has ended.
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ended {
    /// Its output, if it did what was asked.
    fn done(self) -> Self {
        assert_eq!(self.status, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    fn refused(self, code: &str) -> Self {
        assert_eq!(self.status, Some(1), "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.ends_with(&format!("\ncode: {code}\n")), "{}", self.stderr);
        self
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A folder with keys and certificates, and a state directory of its own.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.text(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The URI of a key file here.
    fn uri(&self, name: &str) -> String {
        format!("file:{}", self.text(name))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
        command.args(args).env_clear().env("STATE_DIRECTORY", self.path("state")).current_dir(self.0.path());
        command.stdin(Stdio::null());
        command
    }

    /// `unsecret key …` to its end.
    fn key(&self, args: &[&str]) -> Ended {
        ended(self.command(&[&["key"], args].concat()))
    }
}

fn ended(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// `openssl …`, which has to succeed; what it printed.
fn openssl(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("openssl").args(args).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "openssl {args:?}: {said}");
    said
}

/// An Entra that knows one application and no certificate of it.
async fn entra(desk: &Desk) -> Emulator {
    entra_with(desk, "").await
}

/// The same, its application with more settings.
async fn entra_with(desk: &Desk, more: &str) -> Emulator {
    let settings = format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nca_file = {:?}\n\
         [[tenant]]\nid = \"{TENANT}\"\n\
         [[application]]\ntenant = \"{TENANT}\"\nclient_id = \"{CLIENT}\"\n{more}\n\
         [[resource]]\nids = [\"{GRAPH}\", \"{GRAPH}/\"]\n",
        desk.text("entra-ca.pem")
    );
    let clock = std::sync::Arc::new(unsecret::clock::SystemClock::new());
    Emulator::start(Settings::from_toml(&settings).unwrap(), clock).await.unwrap()
}

/// A configuration of one identity with these pairs of certificate and key.
fn configuration(desk: &Desk, entra: &Emulator, key: &str, certificate: &str) -> String {
    let text = format!(
        "[[identity]]\nname = \"billing\"\ntenant = \"{TENANT}\"\nclient_id = \"{CLIENT}\"\n\
         authority_host = {:?}\nca_file = {:?}\nscopes = [\"{GRAPH}/.default\"]\nany_local_caller = true\n\
         assertion = {{ certificates = [{{ certificate = {certificate:?}, key = {key:?} }}] }}\n",
        entra.authority_host(),
        desk.text("entra-ca.pem")
    );
    desk.put("config.toml", &text)
}

/// Posts a certificate as `curl` does on the page.
async fn register(entra: &Emulator, certificate: &Path) {
    let pem = std::fs::read_to_string(certificate).unwrap();
    let path = format!("/_certificates/{CLIENT}");
    let call = Call::get(entra.admin_address().unwrap(), path).method(http::Method::POST).body(pem);
    let answer = call.send().await;
    assert!(answer.status.is_success(), "{}", answer.status);
}
