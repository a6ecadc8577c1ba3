//! The official Python clients, run for real where they are installed.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::parts::{Level, missing};

/// Variables of the machine that would change what a client does.
const DISTURBING: [&str; 12] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "IDENTITY_ENDPOINT",
    "MSI_ENDPOINT",
];

/// An interpreter that has `azure-identity` and `msal`; `None` after a loud word when there is none.
pub fn interpreter() -> Option<PathBuf> {
    with("azure.identity, msal")
}

/// An interpreter that can import all of these, as [`interpreter`].
pub fn with(modules: &str) -> Option<PathBuf> {
    let named = std::env::var_os("UNSECRET_TEST_PYTHON").map(PathBuf::from);
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/clients/python/bin/python");
    for python in named.into_iter().chain([built, PathBuf::from("python3")]) {
        let has_clients = std::process::Command::new(&python)
            .args(["-c", &format!("import {modules}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if has_clients.is_ok_and(|status| status.success()) {
            return Some(python);
        }
    }
    missing(Level::Core, &format!("a Python with {modules} (.ci/run install)"));
    None
}

/// Runs one of the scripts in tests/clients/python with `input` on stdin; its stdout is JSON.
pub async fn run(python: &PathBuf, script: &str, variables: &[(&str, &str)], input: &Value) -> Value {
    let mut child = command(python, script, variables).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn command(python: &PathBuf, script: &str, variables: &[(&str, &str)]) -> Command {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python").join(script);
    let mut command = Command::new(python);
    for name in DISTURBING {
        command.env_remove(name);
    }
    command.arg(path).envs(variables.iter().copied()).env("NO_PROXY", "*");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// A script that goes on: a line of JSON in, a line of JSON out.
pub struct Conversation {
    child: Child,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Conversation {
    pub fn start(python: &PathBuf, script: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = command(python, script, variables).stderr(Stdio::inherit()).spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, answers }
    }

    pub async fn ask(&mut self, question: &Value) -> Value {
        let line = format!("{question}\n");
        self.child.stdin.as_mut().unwrap().write_all(line.as_bytes()).await.unwrap();
        let answer = self.answers.next_line().await.unwrap();
        let answer = answer.unwrap_or_else(|| panic!("the script has ended; see its stderr"));
        serde_json::from_str(&answer).unwrap()
    }
}
