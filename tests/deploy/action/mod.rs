//! The action for GitHub Actions, as the runner drives it: its files, its variables, Node, and the real broker.
//!
//! Entra and GitHub's OIDC endpoint are the emulator in this process; where GitHub has to fail, a scripted endpoint. Easy to
//! get wrong: a test that fails must leave no broker behind, so a job ends its own on drop.

mod binary;
mod endpoint;
mod files;
mod life;
mod oidc;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::Command;
use unsecret::clock::SystemClock;
use unsecret::emulator::{Emulator, PlatformToken, Settings};

use crate::support::parts::{Level, missing};

const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
const CLIENT: &str = "33333333-dddd-4eee-8fff-444444444444";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const SUBJECT: &str = "repo:contoso/billing:environment:production";
const AUDIENCE: &str = "api://AzureADTokenExchange";

/// In GitHub's request token, and so in nothing that anybody writes.
const CANARY: &str = "canary-of-the-request-token";

/// How long GitHub's request token lives by itself, and how long before the job it begins.
const SIX_HOURS: u64 = 22_200;
const BEFORE: u64 = 600;

fn action() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/github-actions/action")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The inputs of `action.yml`, each with its default.
fn declared() -> Vec<(String, String)> {
    let text = read(action().join("action.yml"));
    let (_, inputs) = text.split_once("\ninputs:\n").unwrap();
    let (inputs, _) = inputs.split_once("\noutputs:\n").unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    for line in inputs.lines() {
        if let Some(value) = line.trim().strip_prefix("default: ") {
            value.trim_matches('"').clone_into(&mut found.last_mut().unwrap().1);
        } else if let Some(name) = line.strip_prefix("  ").and_then(|rest| rest.strip_suffix(':')) {
            found.push((name.to_owned(), String::new()));
        }
    }
    found
}

fn jwt(claims: &serde_json::Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"RS256","typ":"JWT"}"#), part(&claims.to_string()), part(CANARY))
}

/// The request token of a job that began just now and may ask for so many seconds.
fn request_token(life: u64) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    jwt(&json!({ "nbf": now - BEFORE, "exp": now + life }))
}

/// One job on one runner.
struct Job {
    scratch: tempfile::TempDir,
    emulator: Emulator,
    variables: BTreeMap<String, String>,
}

/// How a step ended.
struct Step {
    status: Option<i32>,
    said: String,
}

impl Step {
    fn failed(&self, with: &str) {
        assert_eq!(self.status, Some(1), "{}", self.said);
        let error = self.said.lines().find(|line| line.starts_with("::error::"));
        assert!(error.is_some_and(|line| line.contains(with)), "no error with `{with}`: {}", self.said);
    }

    fn succeeded(&self) {
        assert_eq!(self.status, Some(0), "{}", self.said);
    }
}

impl Job {
    /// None where Node is missing.
    async fn new() -> Option<Self> {
        if Command::new("node").arg("--version").output().await.is_err() {
            missing(Level::Core, "node");
            return None;
        }
        let scratch = tempfile::tempdir().unwrap();
        let bearer = request_token(SIX_HOURS);
        let settings = read(action().join("../emulator.toml")).replace("not-a-real-bearer", &bearer);
        let mut settings = Settings::from_toml(&settings).unwrap();
        settings.ca_file = Some(scratch.path().join("ca.pem"));
        let emulator = Emulator::start(settings, Arc::new(SystemClock::new())).await.unwrap();
        let mut job = Self { scratch, emulator, variables: BTreeMap::new() };
        job.prepare(&bearer);
        Some(job)
    }

    /// What the runner gives a step, and what leads to the emulator in place of Entra.
    fn prepare(&mut self, bearer: &str) {
        for (name, default) in declared() {
            self.input(&name, &default);
        }
        self.input("client-id", CLIENT);
        self.input("tenant-id", TENANT);
        self.input("scopes", "https://management.azure.com/.default");
        self.input("binary-path", env!("CARGO_BIN_EXE_unsecret"));
        for file in ["ENV", "OUTPUT", "STATE", "STEP_SUMMARY"] {
            let path = self.file(file);
            fs::write(&path, "").unwrap();
            self.set(&format!("GITHUB_{file}"), path.to_str().unwrap());
        }
        let url = self.emulator.github_request_url(ISSUER).unwrap();
        let (scratch, host) = (self.scratch.path().to_owned(), self.emulator.authority_host());
        for (name, value) in [
            ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", bearer),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("RUNNER_TEMP", scratch.to_str().unwrap()),
            ("RUNNER_TOOL_CACHE", scratch.join("tools").to_str().unwrap()),
            ("RUNNER_TRACKING_ID", "github_tracked"),
            ("TMPDIR", scratch.to_str().unwrap()),
            ("UNSECRET_AUTHORITY_HOST", &host),
            ("UNSECRET_CA_FILE", scratch.join("ca.pem").to_str().unwrap()),
        ] {
            self.set(name, value);
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    fn input(&mut self, name: &str, value: &str) {
        self.set(&format!("INPUT_{}", name.to_uppercase()), value);
    }

    /// A good OIDC token of GitHub's for this audience.
    fn oidc_token(&self, audience: &str) -> String {
        let token = PlatformToken::new(SUBJECT, audience).header("typ", "JWT");
        self.emulator.platform_token(ISSUER, &token).unwrap().expose().to_owned()
    }

    async fn step(&self, script: &str, more: impl IntoIterator<Item = (String, String)>) -> Step {
        let mut command = Command::new("node");
        command.arg(action().join("dist").join(script)).env_clear().envs(&self.variables).envs(more);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(90), command.output()).await;
        let output = output.unwrap_or_else(|_| panic!("{script} does not end")).unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        Step { status: output.status.code(), said }
    }

    async fn main(&self) -> Step {
        self.step("main.js", []).await
    }

    async fn post(&self) -> Step {
        let state = self.written("STATE").into_iter().map(|(name, value)| (format!("STATE_{name}"), value));
        self.step("post.js", state).await
    }

    /// What stands in one of the runner's files, read as the runner reads it.
    fn written(&self, file: &str) -> BTreeMap<String, String> {
        let text = read(self.file(file));
        let (mut lines, mut found) = (text.lines(), BTreeMap::new());
        while let Some(line) = lines.next() {
            let (name, end) = line.split_once("<<").unwrap_or_else(|| panic!("no delimiter: {line}"));
            let value: Vec<_> = lines.by_ref().take_while(|line| *line != end).collect();
            found.insert(name.to_owned(), value.join("\n"));
        }
        found
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.written("STATE").get("pid")?.parse().unwrap())
    }

    /// The dead that nobody has buried have no program.
    fn broker_runs(&self) -> bool {
        self.pid().is_some_and(|pid| fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero())).is_ok())
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid().unwrap(), signal).unwrap();
    }

    /// Nothing of the job's in the temporary folder.
    fn left_behind(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.scratch.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("unsecret-")).collect()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.file("STATE").exists() && self.broker_runs() {
            self.signal(Signal::KILL);
        }
    }
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}
