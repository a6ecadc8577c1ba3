//! The official Python clients, run for real where they are installed.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

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
    let named = std::env::var_os("UNSECRET_TEST_PYTHON").map(PathBuf::from);
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/ci/venv/bin/python");
    for python in named.into_iter().chain([built, PathBuf::from("python3")]) {
        let has_clients = std::process::Command::new(&python)
            .args(["-c", "import azure.identity, msal"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if has_clients.is_ok_and(|status| status.success()) {
            return Some(python);
        }
    }
    missing(Level::Core, "the Python packages azure-identity and msal");
    None
}

/// Runs one of the scripts beside this file with `input` on stdin; its stdout is JSON.
pub async fn run(python: &PathBuf, script: &str, variables: &[(&str, &str)], input: &Value) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/python").join(script);
    let mut command = Command::new(python);
    for name in DISTURBING {
        command.env_remove(name);
    }
    command.arg(path).envs(variables.iter().copied()).env("NO_PROXY", "*");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
