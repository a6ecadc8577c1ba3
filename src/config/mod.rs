//! The configuration, valid by construction.
//!
//! `file` is the raw shape, `shape` reads TOML into it, `environment` lays variables over it, `check` turns raw into
//! [`Config`], and all report every problem at once. Nothing below `app` knows this type: each part takes its own small
//! arguments. Easy to get wrong: reading the configuration does no network I/O and opens no signing key.

mod check;
mod environment;
mod file;
mod findings;
mod hardware;
mod problems;
mod reference;
mod schema;
mod shape;

pub use environment::Environment;
pub use hardware::HardwareSettings;
pub use problems::{ConfigProblem, ConfigProblems, Mistake};
pub use reference::reference;
pub use schema::schema;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use self::findings::Findings;
use crate::authority::Authority;
use crate::ids::{Doors, Resource};
use crate::policy::Entry;
use crate::secret::Secret;
use crate::signer::{Algorithm, KeyUri};

/// Everything `unsecret run` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Listen,
    pub identities: Vec<Identity>,
    pub log: Log,
    pub hardware: HardwareSettings,
    /// Things worth a warning that are no error, for the log.
    pub warnings: Vec<String>,
    /// Every variable that a `key_env` names, for who hands its environment on. Known even where callers are set aside.
    pub key_variables: Vec<String>,
}

impl Config {
    /// Reads `file`, or the file that `UNSECRET_CONFIG` names, or, with neither, the platform's own variables; then lays
    /// `UNSECRET_*` over it.
    pub fn load(file: Option<&Path>, env: &Environment) -> Result<Self, ConfigProblems> {
        Self::read(file, env, |_| {})
    }

    /// As [`Config::load`], for a process that serves itself: what the file says of listeners, callers, prefetch and
    /// sinks is the broker's and set aside (key files of callers are not even opened). The identities come out open to
    /// any caller: whoever uses them closes them.
    pub fn load_identities(file: Option<&Path>, env: &Environment) -> Result<Self, ConfigProblems> {
        let mut config = Self::read(file, env, without_service)?;
        config.listen.https = None;
        Ok(config)
    }

    /// As [`Config::load_identities`], for who tells a client where a broker listens.
    pub fn load_places(file: Option<&Path>, env: &Environment) -> Result<Self, ConfigProblems> {
        Self::read(file, env, without_rights)
    }

    /// Reads a file's text; `origin` is its name in messages.
    pub fn from_text(text: &str, origin: &str, env: &Environment) -> Result<Self, ConfigProblems> {
        Self::read_text(text, origin, env, |_| {})
    }

    fn read(file: Option<&Path>, env: &Environment, prepare: Prepare) -> Result<Self, ConfigProblems> {
        if let Some((text, origin)) = named(file, env)? {
            return Self::read_text(&text, &origin, env, prepare);
        }
        let mut findings = Findings::default();
        let tree = environment::platform(env, &mut findings);
        Self::from_tree(tree, env, findings, prepare)
    }

    fn read_text(text: &str, origin: &str, env: &Environment, prepare: Prepare) -> Result<Self, ConfigProblems> {
        let (tree, findings) = parsed(text, origin)?;
        Self::from_tree(tree, env, findings, prepare)
    }

    fn from_tree(
        mut tree: Map<String, Value>,
        env: &Environment,
        mut findings: Findings,
        prepare: Prepare,
    ) -> Result<Self, ConfigProblems> {
        environment::lay_over(&mut tree, env, &mut findings);
        let key_variables = key_variables(&tree);
        prepare(&mut tree);
        let (file, findings) = shaped(tree, findings)?;
        check::check(file, key_variables, env, findings)
    }

    /// Only what is said of hardware, whosever the keys are.
    fn load_hardware(file: Option<&Path>, env: &Environment) -> Result<HardwareSettings, ConfigProblems> {
        let (mut tree, mut findings) = match named(file, env)? {
            Some((text, origin)) => parsed(&text, &origin)?,
            None => Default::default(),
        };
        environment::lay_over(&mut tree, env, &mut findings);
        let key_variables = key_variables(&tree);
        tree.retain(|key, _| ["state_dir", "pkcs11", "tpm"].contains(&key.as_str()));
        let (file, findings) = shaped(tree, findings)?;
        check::hardware(file, key_variables, env, findings)
    }
}

/// The text of the file that is named, with its name.
fn named(file: Option<&Path>, env: &Environment) -> Result<Option<(String, String)>, ConfigProblems> {
    let Some(path) = file.or_else(|| env.value(environment::CONFIG).map(Path::new)) else { return Ok(None) };
    let origin = path.display().to_string();
    std::fs::read_to_string(path).map(|text| Some((text, origin.clone()))).map_err(|error| {
        let mut findings = Findings::of_file(&origin);
        let remedy = "name a readable TOML file with --config, or none to run from variables alone";
        findings.add_at(0, Mistake::Unreadable, format!("cannot be read: {error}"), remedy.to_owned());
        findings.into_problems()
    })
}

fn parsed(text: &str, origin: &str) -> Result<(Map<String, Value>, Findings), ConfigProblems> {
    let mut findings = Findings::of_file(origin);
    let tree = shape::read(text, &mut findings);
    if findings.has_syntax_errors() { Err(findings.into_problems()) } else { Ok((tree, findings)) }
}

/// In the raw shape.
fn shaped(tree: Map<String, Value>, mut findings: Findings) -> Result<(file::File, Findings), ConfigProblems> {
    match serde_json::from_value(Value::Object(tree)) {
        Ok(file) => Ok((file, findings)),
        // Not reached while `shape` holds the tree to the schema; a mistake there is no reason to panic.
        Err(error) => {
            let remedy = "compare the file with docs/configuration.md";
            findings.add_at(0, Mistake::WrongType, format!("does not fit: {error}"), remedy.to_owned());
            Err(findings.into_problems())
        }
    }
}

/// What every `key_env` names.
fn key_variables(tree: &Map<String, Value>) -> Vec<String> {
    let tables = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let identities = tables(tree.get("identity"));
    let callers = identities.iter().flat_map(|identity| tables(identity.get("caller")));
    callers.filter_map(|caller| Some(caller.get("key_env")?.as_str()?.to_owned())).collect()
}

/// What is done to the raw settings before they are judged.
type Prepare = fn(&mut Map<String, Value>);

/// Leaves of the settings what says how a token is had, not who is given it and where.
fn without_service(tree: &mut Map<String, Value>) {
    if let Some(Value::Object(listen)) = tree.get_mut("listen") {
        // A taken-over host is found here, whoever looks for it.
        listen
            .retain(|key, _| ["https", "takeover", "takeover_addresses", "unsafe_any_address"].contains(&key.as_str()));
    } else {
        tree.remove("listen");
    }
    without_rights(tree);
}

/// Leaves out who is given a token, and when.
fn without_rights(tree: &mut Map<String, Value>) {
    let identities = tree.get_mut("identity").and_then(Value::as_array_mut);
    for identity in identities.into_iter().flatten().filter_map(Value::as_object_mut) {
        for key in ["caller", "prefetch", "sink"] {
            identity.remove(key);
        }
        identity.insert("any_local_caller".to_owned(), Value::Bool(true));
    }
}

/// `[listen]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub http: Vec<SocketAddr>,
    pub unix: Option<Unix>,
    pub https: Option<Https>,
    /// Those that are open.
    pub doors: Doors,
    pub takeover: Takeover,
    /// More names that the Host header may carry, lower-case.
    pub hosts: Vec<String>,
    pub admin: Option<SocketAddr>,
    pub wait: Duration,
    pub drain: Duration,
    pub unsafe_any_address: bool,
}

/// The doors over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Https {
    pub address: SocketAddr,
    /// A company's own; without it a local CA makes one, under `state_dir`.
    pub files: Option<HttpsFiles>,
}

/// PEM files, read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpsFiles {
    /// Leaf first.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Login hosts that clients find here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Takeover {
    /// Lower-case; empty for none.
    pub hosts: Vec<String>,
    /// Where they really are; empty: name servers are asked.
    pub addresses: Vec<SocketAddr>,
}

/// The Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unix {
    pub path: PathBuf,
    /// Permission bits, `0o660` by default.
    pub mode: u32,
    /// Group name or number.
    pub group: Option<String>,
}

impl fmt::Display for Unix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (mode {:04o}", self.path.display(), self.mode)?;
        if let Some(group) = &self.group {
            write!(f, ", group {group}")?;
        }
        f.write_str(")")
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A `tracing` filter such as `info` or `unsecret=debug`.
    pub level: String,
    pub json: bool,
}

/// `[[identity]]`.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What policy needs: name, ids, scopes, callers (key files read, hashed).
    pub entry: Entry,
    pub authority: Authority,
    pub outbound: OutboundSettings,
    pub discovery: Discovery,
    pub prefetch: Vec<Resource>,
    pub required: bool,
    pub assertion: AssertionSettings,
    pub sinks: Vec<SinkSettings>,
}

impl Identity {
    /// True when the other would obtain the same tokens in the same way, so that a reload may keep what is held. Scopes
    /// and callers do not matter: policy judges those at every request.
    #[must_use]
    pub fn mints_like(&self, other: &Self) -> bool {
        self.entry.name == other.entry.name
            && self.entry.client_id == other.entry.client_id
            && self.authority == other.authority
            && self.outbound == other.outbound
            && self.assertion == other.assertion
    }
}

/// Which issuer and endpoints the documents of an identity name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discovery {
    /// This machine.
    #[default]
    Local,
    /// Entra, but for the token endpoint.
    Entra,
}

impl fmt::Display for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Entra => "entra",
        })
    }
}

/// How this identity reaches Entra.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboundSettings {
    pub ca_file: Option<PathBuf>,
    pub proxy: Option<Url>,
    pub proxy_auth_file: Option<PathBuf>,
    /// The listener's: these hosts are reached past what their names lead to.
    pub takeover: Takeover,
}

/// `assertion = { … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssertionSettings {
    File {
        path: PathBuf,
        audience: String,
    },
    /// URL and bearer come from the environment, read when the configuration is read.
    Github {
        audience: String,
        request_url: Url,
        request_token: GithubToken,
    },
    Certificates {
        certificates: Vec<CertificateSettings>,
        /// `None`: chosen by what the key can do.
        algorithm: Option<Algorithm>,
        /// How often to sign a test message; `None` for never.
        test_every: Option<Duration>,
    },
}

/// The runner's bearer; does not print.
#[derive(Clone)]
pub struct GithubToken(pub Secret);

impl fmt::Debug for GithubToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GithubToken(…)")
    }
}

impl PartialEq for GithubToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint() == other.0.fingerprint()
    }
}

impl Eq for GithubToken {}

/// One certificate and its key; newest first in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSettings {
    /// PEM file with the leaf first, or the PKCS#12 file itself.
    pub certificate: PathBuf,
    pub key: KeyUri,
}

/// `[[identity.sink]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSettings {
    /// Absolute; no two sinks have the same.
    pub file: PathBuf,
    pub content: SinkContent,
    /// Permission bits; none for others.
    pub mode: u32,
    /// User name or number.
    pub owner: Option<String>,
    /// Group name or number.
    pub group: Option<String>,
    /// Run after each write; empty for none.
    pub reload: Vec<String>,
}

/// What a sink writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkContent {
    /// The resource is among the identity's scopes.
    Token {
        resource: Resource,
        format: TokenFormat,
    },
    Assertion,
}

/// How a sink writes an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFormat {
    Raw,
    Json,
    Header,
    /// With the four fields before the password, as the file has them.
    Pgpass(String),
}

#[cfg(test)]
mod tests;
