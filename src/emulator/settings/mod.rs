//! What the emulator is told to be: tenants, applications, resources, issuers.
//!
//! `file` reads the TOML; Rust code may build the same by hand. Not the running state (`directory` is). Easy to get
//! wrong: the secrets in here are test data, and still do not print.

mod file;
mod issuer;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::ids::Guid;
use crate::problem::{Blame, Problem};
use crate::secret::Secret;

/// The settings that `unsecret emulate` uses when it is given none.
pub const READY_MADE: &str = include_str!("ready_made.toml");

/// Everything the emulator needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the authority listens, with TLS.
    pub listen: SocketAddr,
    /// Where the admin paths are also served, over plain HTTP, so that an outage can be ended.
    pub admin: Option<SocketAddr>,
    /// Names and addresses in the certificate; the first is the authority's own.
    pub hosts: Vec<String>,
    /// Where the CA certificate is written.
    pub ca_file: Option<PathBuf>,
    /// Switches the rule `certificate-replayed` off.
    pub accept_replayed_assertions: bool,
    /// Switches the rule `refresh-used` on.
    pub single_use_refresh_tokens: bool,
    /// After this users have to sign in again (rule `refresh-frequency`).
    pub sign_in_frequency: Option<Duration>,
    /// Of tokens that a resource may challenge (contract A10).
    pub cae_token_lifetime: Duration,
    pub tenants: Vec<TenantSettings>,
    pub applications: Vec<ApplicationSettings>,
    pub users: Vec<UserSettings>,
    pub resources: Vec<ResourceSettings>,
    pub issuers: Vec<IssuerSettings>,
}

impl Settings {
    /// Reads TOML and reports every problem it can.
    pub fn from_toml(text: &str) -> Result<Self, SettingsProblems> {
        file::read(text)
    }
}

impl Default for Settings {
    /// An authority without tenants on a free loopback port.
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            admin: None,
            hosts: vec!["localhost".into(), "127.0.0.1".into()],
            ca_file: None,
            accept_replayed_assertions: false,
            single_use_refresh_tokens: false,
            sign_in_frequency: None,
            cae_token_lifetime: Duration::from_secs(86_400),
            tenants: Vec::new(),
            applications: Vec::new(),
            users: Vec::new(),
            resources: Vec::new(),
            issuers: Vec::new(),
        }
    }
}

/// `[[tenant]]`.
#[derive(Clone, Debug)]
pub struct TenantSettings {
    pub id: Guid,
    /// Verified domains, lower-case.
    pub domains: Vec<String>,
}

/// `[[user]]`: somebody who can sign in.
#[derive(Clone, Debug)]
pub struct UserSettings {
    /// A tenant's id.
    pub tenant: Guid,
    /// The user principal name, which `login_hint` gives.
    pub name: String,
    /// The claim `oid`; by default made from the name.
    pub object_id: Option<Guid>,
}

/// `[[application]]`.
#[derive(Clone, Debug)]
pub struct ApplicationSettings {
    /// A tenant's id.
    pub tenant: Guid,
    pub client_id: Guid,
    /// The claims `oid` and `sub`; by default made from the client id.
    pub object_id: Option<Guid>,
    /// By which Graph names the application; by default made from the client id too, and another.
    pub application_object_id: Option<Guid>,
    pub secrets: Vec<SecretSettings>,
    pub certificates: Vec<CertificateSource>,
    pub federated_credentials: Vec<FederatedCredential>,
    /// The claim `roles`.
    pub roles: Vec<String>,
    /// Where `authorize` may send codes.
    pub redirect_uris: Vec<String>,
    /// The same for a single-page application.
    pub single_page_redirect_uris: Vec<String>,
    /// Delegated scopes with consent: `https://graph.microsoft.com/User.Read`.
    pub consents: Vec<String>,
    /// An application of many tenants gets no CAE tokens.
    pub multi_tenant: bool,
    pub token_lifetime: Duration,
    pub refresh_in: Option<Duration>,
    /// The tenant's policy refuses certificates that no company CA issued.
    pub refuse_self_signed: bool,
    /// The tenant's policy refuses certificates that live longer.
    pub longest_certificate_days: Option<u32>,
}

impl ApplicationSettings {
    /// An application without any credential; tokens live an hour.
    #[must_use]
    pub fn new(tenant: Guid, client_id: Guid) -> Self {
        Self {
            tenant,
            client_id,
            object_id: None,
            application_object_id: None,
            secrets: Vec::new(),
            certificates: Vec::new(),
            federated_credentials: Vec::new(),
            roles: Vec::new(),
            redirect_uris: Vec::new(),
            single_page_redirect_uris: Vec::new(),
            consents: Vec::new(),
            multi_tenant: false,
            token_lifetime: Duration::from_secs(3_600),
            refresh_in: None,
            refuse_self_signed: false,
            longest_certificate_days: None,
        }
    }
}

/// A client secret of an application.
#[derive(Clone, Debug)]
pub struct SecretSettings {
    pub value: Secret,
    /// Seconds since 1970; `None` does not expire.
    pub expires: Option<u64>,
}

/// A certificate uploaded to an application.
#[derive(Clone, Debug)]
pub enum CertificateSource {
    File(PathBuf),
    Pem(String),
}

/// A federated identity credential: trust this issuer, subject and audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederatedCredential {
    pub issuer: String,
    pub subject: String,
    pub audience: String,
}

/// `[[resource]]`: one API, by all the ids under which it may be asked for.
#[derive(Clone, Debug)]
pub struct ResourceSettings {
    pub ids: Vec<String>,
}

/// `[[issuer]]`: an OIDC issuer and where it really is.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// The URL to which all rules apply.
    pub url: String,
    /// What is dialled in place of the URL's host.
    pub at: SocketAddr,
    /// Whom to trust there over TLS, as the URL's host; without it plain HTTP is spoken.
    pub ca_file: Option<PathBuf>,
    /// The emulator itself serves the issuer at `at`.
    pub hosted: bool,
    /// A hosted issuer also plays GitHub's token endpoint.
    pub github: Option<GithubSettings>,
}

/// `github = { … }` of an issuer.
#[derive(Clone, Debug)]
pub struct GithubSettings {
    /// The bearer that the endpoint demands.
    pub request_token: Secret,
    pub subject: String,
    /// The audience when none is asked for.
    pub owner_url: String,
    /// GitHub's own live minutes (contract C2).
    pub token_lifetime: Duration,
}

/// All that is wrong with a settings text.
#[derive(Clone, PartialEq, Eq)]
pub struct SettingsProblems(pub Vec<String>);

impl fmt::Debug for SettingsProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Display for SettingsProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("read the emulator's settings")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for SettingsProblems {}

impl Problem for SettingsProblems {
    fn code(&self) -> &'static str {
        "emulator-settings"
    }

    fn blame(&self) -> Blame {
        Blame::Configuration
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some("change the named lines; docs/emulator.md shows every key".into())
    }
}
