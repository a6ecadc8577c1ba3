//! The configuration, valid by construction.
//!
//! `file` is the raw shape, `environment` lays variables over it, `check` turns raw into [`Config`] and reports every
//! problem at once. Nothing below `app` knows this type: each part takes its own small arguments. Easy to get wrong:
//! reading the configuration does no network I/O and opens no key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::authority::Authority;
use crate::ids::Resource;
use crate::policy::Entry;
use crate::signer::Algorithm;

/// Everything `unsecret run` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Listen,
    pub identities: Vec<Identity>,
    pub log: Log,
    /// Things worth a warning that are no error, for the log.
    pub warnings: Vec<String>,
}

/// `[listen]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub http: Vec<SocketAddr>,
    pub unix: Option<Unix>,
    /// More names that the Host header may carry, lower-case.
    pub hosts: Vec<String>,
    pub admin: Option<SocketAddr>,
    pub wait: Duration,
    pub drain: Duration,
    pub unsafe_any_address: bool,
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
    pub prefetch: Vec<Resource>,
    pub required: bool,
    pub assertion: AssertionSettings,
}

/// How this identity reaches Entra.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboundSettings {
    pub ca_file: Option<PathBuf>,
    pub proxy: Option<Url>,
    pub proxy_auth_file: Option<PathBuf>,
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
        algorithm: Algorithm,
    },
}

/// The runner's bearer; does not print.
#[derive(Clone)]
pub struct GithubToken(pub crate::secret::Secret);

impl std::fmt::Debug for GithubToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
    pub key: KeySettings,
}

/// `key = "file:…"`; later `pkcs11:` and `tpm:` forms are additions here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySettings {
    /// PEM PKCS#8 or PKCS#1, or PKCS#12 (`file:/x.pfx?password-source=file:/…`).
    File { path: PathBuf, password_file: Option<PathBuf> },
}
