//! The program of each runtime, and what it says. The protocol stands in `mod.rs`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::parts::{Level, missing};
use crate::support::python;

/// Far more than a client may take: one that takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// A proxy that is not there: what a client asks of the internet fails at once.
const NOWHERE: &str = "http://127.0.0.1:9";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    Python,
    Node,
    Go,
    Java,
    Rust,
}

impl Runtime {
    /// As the folders and the pages name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Go => "go",
            Self::Java => "java",
            Self::Rust => "rust",
        }
    }

    /// Where the packages are.
    fn installed(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients").join(self.name())
    }

    /// Where the program is.
    fn source(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(self.name())
    }

    /// What makes its clients trust the roots in this file (contract B13).
    pub fn trust(self, roots: &Path) -> Vec<(String, String)> {
        let names: &[&str] = match self {
            // The synchronous half asks requests, the other one OpenSSL.
            Self::Python => &["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"],
            Self::Node => &["NODE_EXTRA_CA_CERTS"],
            Self::Go | Self::Rust => &["SSL_CERT_FILE"],
            Self::Java => return vec![("JAVA_TOOL_OPTIONS".to_owned(), java_trust(roots))],
        };
        names.iter().map(|name| ((*name).to_owned(), roots.display().to_string())).collect()
    }

    /// What starts it; `None` after a loud word where something is not installed.
    pub fn program(self) -> Option<Program> {
        match self {
            Self::Python => {
                let python =
                    python::with("azure.identity, msal, adal, msrestazure, authlib, requests_oauthlib, aiohttp")?;
                Some(Program {
                    words: vec![python.into(), "-B".into(), self.source().join("client.py").into()],
                    variables: Vec::new(),
                })
            }
            Self::Node => {
                let packages = self.installed().join("node_modules");
                let words = vec!["node".into(), self.source().join("client.js").into()];
                let there = packages.join("@azure/identity").is_dir() && answers("node");
                if !there {
                    missing(Level::Core, "node and the packages of tests/clients/node (.ci/run install)");
                }
                there.then(|| Program { words, variables: vec![("NODE_PATH", packages.into())] })
            }
            Self::Go => self.built("client"),
            Self::Rust => self.built("debug/unsecret-clients"),
            Self::Java => {
                let at = self.installed();
                let there = at.join("classes/Client.class").is_file() && answers("java");
                if !there {
                    missing(Level::Core, "java and the classes of tests/clients/java (.ci/run install)");
                }
                let path = format!("{}:{}", at.join("lib/*").display(), at.join("classes").display());
                // The proxy of the others, in the words of a JVM; and no compiler of the second kind for one question.
                let words = ["java", "-XX:TieredStopAtLevel=1", "-cp", &path, "Client"].map(OsString::from);
                let proxy = "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=9 -Dhttp.nonProxyHosts=localhost|127.*";
                let variables = vec![("JDK_JAVA_OPTIONS", proxy.into())];
                there.then(|| Program { words: words.into(), variables })
            }
        }
    }
}

impl Runtime {
    /// A program that stands for itself.
    fn built(self, name: &str) -> Option<Program> {
        let program = self.installed().join(name);
        if !program.is_file() {
            missing(Level::Core, &format!("the program of tests/clients/{} (.ci/run install)", self.name()));
            return None;
        }
        Some(Program { words: vec![program.into()], variables: Vec::new() })
    }
}

/// A JVM takes a store of its own kind, and nothing beside it.
fn java_trust(roots: &Path) -> String {
    let store = roots.with_extension("p12");
    let options = format!(
        "-Djavax.net.ssl.trustStore={} -Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=PKCS12",
        store.display()
    );
    if store.exists() {
        return options;
    }
    let words = [
        "-importcert",
        "-noprompt",
        "-trustcacerts",
        "-alias",
        "unsecret",
        "-storetype",
        "PKCS12",
        "-storepass",
        "changeit",
    ];
    let made =
        std::process::Command::new("keytool").args(words).arg("-file").arg(roots).arg("-keystore").arg(&store).output();
    assert!(made.as_ref().is_ok_and(|made| made.status.success()), "{made:?}");
    options
}

fn answers(program: &str) -> bool {
    std::process::Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// What starts a runtime's program.
#[derive(Clone, Debug)]
pub struct Program {
    words: Vec<OsString>,
    /// What the runtime itself needs, not the client.
    variables: Vec<(&'static str, OsString)>,
}

/// What a program said.
#[derive(Clone, Debug, Deserialize)]
pub struct Said {
    pub version: String,
    pub token: Option<String>,
    pub expires_on: Option<u64>,
    pub error: Option<Raised>,

    pub waited: f64,
    pub won: Option<String>,
}

/// What an application would catch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Raised {
    pub class: String,
    pub text: String,
}

impl Program {
    /// The same program, started by another one.
    pub fn started_by(mut self, words: &[&str]) -> Self {
        self.words.splice(0..0, words.iter().map(OsString::from));
        self
    }

    /// Another program of the same runtime, in the same folder.
    pub fn beside(mut self, file: &str) -> Self {
        let own = self.words.last_mut().unwrap();
        *own = PathBuf::from(&*own).with_file_name(file).into();
        self
    }

    /// Runs it for one case, with nothing in its environment but this.
    pub async fn ask(&self, environment: &[(String, String)], asked: &Map<String, Value>) -> Said {
        let said = self.say(environment, asked).await;
        serde_json::from_value(said.clone()).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// The same for a program with a protocol of its own: the JSON on its last line.
    pub async fn say(&self, environment: &[(String, String)], asked: &Map<String, Value>) -> Value {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home.path());
        // Nothing leaves this machine, on one without a network as on one with it.
        command.env("HTTPS_PROXY", NOWHERE).env("HTTP_PROXY", NOWHERE).env("NO_PROXY", "localhost,127.0.0.1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(Value::from(asked.clone()).to_string().as_bytes()).await.unwrap();
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("{asked:?} hangs")).unwrap();
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let which = asked.get("with").or(asked.get("client"));
        assert!(output.status.success(), "{which:?}: {}\n{stderr}", output.status);
        let line = stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"))
    }
}
