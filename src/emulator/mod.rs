//! A strict local Entra, and OIDC issuers for it: for the demo, for offline development and for the tests.
//!
//! It speaks TLS with a CA of its own, judges token requests by the rules in [`RULES`], issues real signed tokens, plays
//! faults on demand and keeps a journal of what it saw. Not a product to run where anybody else can reach it: its admin
//! paths ask for no credential. Easy to get wrong: others build against it, so it is never looser than the contract, and
//! what no source shows is marked as a guess.
//!
//! | file | subject |
//! | --- | --- |
//! | `settings` | what it is told to be |
//! | `directory` | tenants and applications while it runs |
//! | `server` | connections and routes |
//! | `token_endpoint` | one token request: fault or verdict, journal |
//! | `entra` | the order of the checks |
//! | `request`, `target`, `certificate`, `federated`, `metadata` | the checks |
//! | `dial` | the way to an issuer's documents |
//! | `rules` | what each check answers |
//! | `tokens`, `jwt` | access tokens; JWTs and keys |
//! | `issuer` | played issuers |
//! | `authorize`, `users` | who signs in, and the code that comes of it |
//! | `grants`, `code`, `refresh`, `behalf` | the grants that carry a user |
//! | `session`, `consent`, `delegated` | a sign-in, what may be had with it, the tokens |
//! | `continuous` | tokens that a resource may challenge |
//! | `graph` | `addKey`, the one call of Graph |
//! | `answer`, `documents` | bodies |
//! | `faults`, `journal`, `admin` | faults on demand, what was seen, how to reach both |

mod admin;
mod answer;
mod authorize;
mod behalf;
mod certificate;
mod code;
mod consent;
mod continuous;
mod delegated;
mod dial;
mod directory;
mod documents;
mod entra;
mod error;
mod faults;
mod federated;
mod grants;
mod graph;
mod issuer;
mod journal;
mod jwt;
mod metadata;
mod refresh;
mod request;
mod rules;
mod server;
mod session;
mod settings;
mod target;
mod token_endpoint;
mod tokens;
mod users;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::ids::Guid;
use crate::local_ca::LocalCa;
use crate::secret::Secret;

pub use admin::ADMIN_PATHS;
pub use authorize::AUTHORIZE_RULES;
pub use error::EmulatorError;
pub use faults::{Fault, Standing};
pub use graph::{GRAPH_RULES, GraphRule};
pub use issuer::PlatformToken;
pub use journal::{JournalEntry, Verdict};
pub use rules::{RULES, Rule};
pub use settings::{
    ApplicationSettings, CertificateSource, FederatedCredential, GithubSettings, IssuerSettings, READY_MADE,
    ResourceSettings, SecretSettings, Settings, SettingsProblems, TenantSettings, UserSettings,
};

use entra::Entra;
use issuer::{Issuer, Issuers};
use server::Route;

/// TLS clients judge the certificate by the machine's clock, while ours may be a test's that stands years away.
const BACKDATED: Duration = Duration::from_secs(10 * 365 * 86_400);
const CERTIFICATE_LIFE: Duration = Duration::from_secs(30 * 365 * 86_400);

/// A running emulator; dropping it stops it and frees its ports.
pub struct Emulator {
    entra: Arc<Entra>,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    listeners: JoinSet<()>,
}

impl Emulator {
    /// Binds everything, makes the CA and starts to serve on the current runtime.
    pub async fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, EmulatorError> {
        let mut now = clock.now();
        now.wall = now.wall.saturating_sub(BACKDATED);
        let ca = LocalCa::create("unsecret emulator CA", now, CERTIFICATE_LIFE)?;
        let tls = ca.leaf(&settings.hosts, now, CERTIFICATE_LIFE)?.server_config()?;
        let (listener, address) = bind(settings.listen).await?;
        let mut bound = vec![(listener, Route::Authority(TlsAcceptor::from(tls)))];
        let admin = match settings.admin {
            Some(wanted) => {
                let (listener, address) = bind(wanted).await?;
                bound.push((listener, Route::Admin));
                Some(address)
            }
            None => None,
        };
        let issuers = issuers(&settings, &mut bound, &clock).await?;
        let directory = directory::Directory::new(&settings)?;
        if let Some(path) = &settings.ca_file {
            std::fs::write(path, ca.certificate_pem())
                .map_err(|source| EmulatorError::WriteCa { path: path.clone(), source })?;
        }
        let entra = Arc::new(Entra {
            directory,
            issuers,
            faults: faults::Faults::none(),
            journal: journal::Journal::default(),
            clock,
            ca_pem: ca.certificate_pem().to_owned(),
            hosts: settings.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            port: address.port(),
            users: users::Users::new(&settings.users),
            codes: code::Codes::default(),
            refresh_tokens: refresh::RefreshTokens::new(settings.single_use_refresh_tokens, settings.sign_in_frequency),
            continuous: continuous::Continuous::new(settings.cae_token_lifetime),
            replays: (!settings.accept_replayed_assertions).then(certificate::Replays::default),
        });
        let mut listeners = JoinSet::new();
        for (listener, route) in bound {
            listeners.spawn(server::serve(listener, route, Arc::clone(&entra)));
        }
        Ok(Self { entra, address, admin, listeners })
    }

    /// `https://localhost:PORT`, for `AZURE_AUTHORITY_HOST` and `authority_host`.
    #[must_use]
    pub fn authority_host(&self) -> String {
        self.entra.authority_host()
    }

    /// The certificate that clients have to trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.entra.ca_pem
    }

    /// Where the authority listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin paths are served over plain HTTP.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Every token request so far, oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.entra.journal.entries()
    }
    /// Plays the fault until it is cleared or replaced, for one application or for all.
    pub fn set_fault(&self, application: Option<&Guid>, fault: Fault) {
        self.entra.faults.set(Standing { application: application.cloned(), requests: None, fault });
    }

    /// Plays the fault for so many more requests, after those that are set already.
    pub fn set_fault_for(&self, requests: u32, application: Option<&Guid>, fault: Fault) {
        self.entra.faults.set(Standing { application: application.cloned(), requests: Some(requests), fault });
    }

    /// No faults from now on; requests on hold are answered.
    pub fn clear_faults(&self) {
        self.entra.faults.clear();
    }

    /// A token of an issuer that the emulator plays.
    pub fn platform_token(&self, issuer_url: &str, token: &PlatformToken) -> Result<Secret, EmulatorError> {
        let (issuer, played) = self.entra.issuers.played(issuer_url)?;
        played.mint(&issuer.url, token, self.entra.clock.now().epoch())
    }

    /// `ACTIONS_ID_TOKEN_REQUEST_URL`; as on a runner it has a query already.
    pub fn github_request_url(&self, issuer_url: &str) -> Result<String, EmulatorError> {
        let (issuer, _) = self.entra.issuers.played(issuer_url)?;
        Ok(format!("http://{}{}?api-version=2.0", issuer.at, issuer::GITHUB_PATH))
    }

    /// Where a played issuer is served.
    pub fn issuer_address(&self, issuer_url: &str) -> Result<SocketAddr, EmulatorError> {
        Ok(self.entra.issuers.played(issuer_url)?.0.at)
    }

    /// The issuer signs with a new key from now on and publishes only that.
    pub fn rotate_issuer_key(&self, issuer_url: &str) -> Result<(), EmulatorError> {
        self.entra.issuers.played(issuer_url)?.1.rotate()
    }

    /// Alters a field of a played issuer's discovery document: `Some(Value::Null)` takes it away, `None` puts it right.
    pub fn alter_issuer(&self, issuer_url: &str, field: &str, value: Option<Value>) -> Result<(), EmulatorError> {
        self.entra.issuers.played(issuer_url)?.1.alter(field, value);
        Ok(())
    }

    /// Deletes every secret of the application.
    pub fn remove_secret(&self, client_id: &Guid) -> Result<(), EmulatorError> {
        self.entra.remove_secrets(client_id)
    }

    /// Uploads a certificate to the application.
    pub fn add_certificate(&self, client_id: &Guid, pem: &str) -> Result<(), EmulatorError> {
        self.entra.add_certificate(client_id, pem)
    }

    /// By which Graph names the application.
    pub fn application_object_id(&self, client_id: &Guid) -> Result<Guid, EmulatorError> {
        let application = self.entra.directory.everywhere(client_id).next();
        let application = application.ok_or_else(|| EmulatorError::UnknownApplication(client_id.to_string()))?;
        Ok(application.object_id.clone())
    }

    /// A user's access token, as if the application had asked for this delegated scope with a secret. Consent is not
    /// asked for: tests mint tokens for their own API.
    pub fn user_token(&self, user: &str, client_id: &Guid, scope: &str) -> Result<Secret, EmulatorError> {
        delegated::minted(&self.entra, user, client_id, scope)
    }

    /// Ends every sign-in of the user: refresh tokens are refused with 50173.
    pub fn revoke_sign_ins(&self, user: &str) -> Result<(), EmulatorError> {
        self.entra.users.named(user).map(users::User::revoke)
    }

    /// Something happened to the application: resources challenge the CAE tokens that it has.
    pub fn revoke_tokens(&self, client_id: &Guid) -> Result<(), EmulatorError> {
        self.entra.revoke_tokens(client_id)
    }

    /// The header `WWW-Authenticate` with which a resource refuses the token; `None` when it takes it.
    #[must_use]
    pub fn challenge(&self, access_token: &str) -> Option<String> {
        continuous::challenge(&self.entra, access_token, self.entra.clock.now().epoch())
    }

    /// The claims of an access token, its signature and end checked.
    pub fn verify(&self, access_token: &str) -> Result<Map<String, Value>, EmulatorError> {
        tokens::verify(access_token, self.entra.clock.now().epoch())
    }

    /// Ends every connection and frees the ports before it returns.
    pub async fn stop(mut self) {
        self.listeners.shutdown().await;
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), EmulatorError> {
    let failed = |source| EmulatorError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Binds the issuers that are played.
async fn issuers(
    settings: &Settings,
    bound: &mut Vec<(TcpListener, Route)>,
    clock: &Arc<dyn Clock>,
) -> Result<Issuers, EmulatorError> {
    let mut issuers = Vec::new();
    for (index, settings) in settings.issuers.iter().enumerate() {
        let mut at = settings.at;
        if settings.hosted {
            let (listener, address) = bind(at).await?;
            bound.push((listener, Route::Issuer(index)));
            at = address;
        }
        issuers.push(Issuer::new(settings, at, clock)?);
    }
    Ok(Issuers(issuers))
}
