//! The emulator and the broker in one process, joined by real sockets and one clock that tests move.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tempfile::TempDir;
use unsecret::app::{App, Machine};
use unsecret::clock::{Clock, ManualClock, SystemClock};
use unsecret::config::{Config, ConfigProblems, Environment};
use unsecret::emulator::{Emulator, PlatformToken, Settings};
use unsecret::ids::Guid;
use unsecret::listen::Inherited;
use unsecret::local_ca::ClientCertificate;
use unsecret::secret::local_key::LocalKey;

use super::http::{Answer, Call, Place};
use super::tls::Tls;

pub const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
pub const CLIENT: &str = "33333333-dddd-4eee-8fff-444444444444";
pub const OTHER_CLIENT: &str = "55555555-dddd-4eee-8fff-666666666666";
pub const ISSUER: &str = "https://issuer.example";
pub const GITHUB: &str = "https://token.actions.githubusercontent.com";
pub const SUBJECT: &str = "system:serviceaccount:default:billing";
pub const GITHUB_SUBJECT: &str = "repo:contoso/shop:ref:refs/heads/main";
pub const AUDIENCE: &str = "api://AzureADTokenExchange";
pub const GRAPH: &str = "https://graph.microsoft.com";
pub const VAULT: &str = "https://vault.azure.net";
/// The runner's request token; a canary of the logs too.
pub const GITHUB_BEARER: &str = "canary-github-request-token-0123456789";

/// How the broker proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    File,
    Github,
    Certificate,
}

impl Source {
    pub const ALL: [Self; 3] = [Self::File, Self::Github, Self::Certificate];
}

/// Whether the platform token is there when the broker starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFile {
    There,
    Missing,
}

/// What a test wants to be different from the ordinary world.
#[derive(Clone, Debug)]
pub struct Plan {
    pub source: Source,
    /// Lines inside `[listen]`.
    pub listen: String,
    /// Lines inside the first identity.
    pub identity: String,
    /// Whole tables after it.
    pub more: String,
    /// Lines inside the application, in the emulator.
    pub application: String,
    /// Whole tables of the emulator's settings.
    pub emulator: String,
    pub unix: bool,
    /// The doors over TLS are open too: [`World::https`].
    pub https: bool,
    pub token_file: TokenFile,
    /// Set before the broker starts.
    pub fault: Option<unsecret::emulator::Fault>,
    /// The clock moves only when the test moves it.
    pub standing: bool,
    /// What the runner calls its request token.
    pub github_bearer: String,
    /// Where the runner's endpoint is said to be, if not at the emulator.
    pub github_url: Option<String>,
    /// What the broker trusts in place of the emulator's CA.
    pub ca_pem: Option<String>,
    /// Where the broker believes Entra to be, in place of the emulator's own address.
    pub authority_host: Option<String>,
    /// More variables of the broker's process.
    pub environment: Vec<(&'static str, String)>,
    /// More files in the world's folder before the broker starts, which configuration calls `{folder}`.
    pub files: Vec<(&'static str, String)>,
    /// What the first identity may ask for.
    pub scopes: Vec<&'static str>,
    /// The caller tables of the first identity, in place of its local key in a file.
    pub callers: Option<String>,
    /// What proves the first identity, in place of the source's own table.
    pub assertion: Option<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            source: Source::File,
            listen: String::new(),
            identity: "any_local_caller = true\n".to_owned(),
            more: String::new(),
            application: String::new(),
            emulator: String::new(),
            unix: false,
            https: false,
            token_file: TokenFile::There,
            fault: None,
            standing: false,
            github_bearer: GITHUB_BEARER.to_owned(),
            github_url: None,
            ca_pem: None,
            authority_host: None,
            environment: Vec::new(),
            files: Vec::new(),
            scopes: vec![GRAPH, VAULT],
            callers: None,
            assertion: None,
        }
    }
}

pub struct World {
    pub emulator: Emulator,
    pub app: App,
    pub clock: Arc<ManualClock>,
    pub plan: Plan,
    pub key: LocalKey,
    folder: TempDir,
}

impl World {
    /// The ordinary world: a token file, one identity, any local caller or the local key.
    pub async fn new() -> Self {
        Self::of(Plan::default()).await
    }

    pub async fn with_source(source: Source) -> Self {
        Self::of(Plan { source, ..Plan::default() }).await
    }

    pub async fn of(plan: Plan) -> Self {
        let now = SystemClock::new().now().epoch();
        let clock = Arc::new(if plan.standing { ManualClock::standing(now) } else { ManualClock::running() });
        let folder = tempfile::Builder::new().prefix("unsecret").tempdir().unwrap();
        let certificate = ClientCertificate::create("billing", clock.now(), Duration::from_secs(90 * 86_400)).unwrap();
        write(&folder.path().join("billing.pem"), &certificate.certificate_pem);
        write(&folder.path().join("billing.key"), certificate.key_pem.expose());
        let settings = Settings::from_toml(&emulator_settings(folder.path(), &plan)).unwrap();
        let emulator = Emulator::start(settings, clock.clone()).await.unwrap();
        write(&folder.path().join("ca.pem"), plan.ca_pem.as_deref().unwrap_or(emulator.ca_pem()));
        if let Some(fault) = &plan.fault {
            emulator.set_fault(None, fault.clone());
        }
        let key = LocalKey::generate().unwrap();
        write(&folder.path().join("caller.key"), key.secret().expose());
        if plan.token_file == TokenFile::There {
            write_token(&emulator, folder.path());
        }
        for (name, text) in &plan.files {
            write(&folder.path().join(name), text);
        }
        let config = read_config(&emulator, folder.path(), &plan).unwrap();
        let machine = Machine {
            clock: clock.clone(),
            tick: Duration::from_millis(20),
            inherited: Inherited::default(),
            program: env!("CARGO_BIN_EXE_unsecret").into(),
            // As long as it takes on a loaded machine.
            patience: Duration::from_secs(60),
        };
        let app = App::start(config, machine).await.unwrap();
        Self { emulator, app, clock, plan, key, folder }
    }

    pub fn http(&self) -> SocketAddr {
        self.app.places().http[0]
    }

    /// Where the doors over TLS are; the plan has `https`.
    pub fn https(&self) -> SocketAddr {
        self.app.places().https[0]
    }

    /// The doors over TLS, for a client that trusts the roots that lie there now.
    pub fn tls(&self) -> Tls {
        Tls::new(self.https(), &self.roots(), self.clock.clone())
    }

    /// The file of what clients of [`World::https`] are to trust, as PEM.
    pub fn roots(&self) -> PathBuf {
        self.path("state/https/roots.pem")
    }

    pub fn admin(&self) -> SocketAddr {
        self.app.places().admin.unwrap()
    }

    pub fn unix(&self) -> Place {
        Place::Unix(self.app.places().unix.clone().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new platform token in place of the old one, as the kubelet does it.
    pub fn write_token(&self) {
        write_token(&self.emulator, self.folder.path());
    }

    /// Puts anything where the platform token belongs.
    pub fn put_token(&self, text: &str) {
        write(&self.path("token"), text);
    }

    pub async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.app.poke().await;
    }

    /// Reads the plan again, after a test has changed it.
    pub async fn reload(&self) -> Result<(), unsecret::app::ReloadError> {
        self.app.reload(self.config_of(&self.plan)).await
    }

    pub fn config_text(&self) -> String {
        config_text(&self.emulator, self.folder.path(), &self.plan)
    }

    /// What the broker makes of a plan in this world.
    pub fn config_of(&self, plan: &Plan) -> Result<Config, ConfigProblems> {
        read_config(&self.emulator, self.folder.path(), plan)
    }

    /// The configuration file of a plan in this world.
    pub fn text_of(&self, plan: &Plan) -> String {
        config_text(&self.emulator, self.folder.path(), plan)
    }

    /// Where the runner's endpoint is.
    pub fn github_url(&self) -> String {
        self.emulator.github_request_url(GITHUB).unwrap()
    }

    pub fn imds(&self, resource: &str) -> Call {
        imds(self.http(), resource)
    }

    pub fn app_service(&self, resource: &str) -> Call {
        Call::get(self.http(), format!("/msi/token?api-version=2019-08-01&resource={}", encoded(resource)))
            .header("x-identity-header", self.key.secret().expose())
    }

    /// OAuth v2 with the local key in the body.
    pub fn oauth(&self, resource: &str) -> Call {
        self.oauth_as(CLIENT, self.key.secret().expose(), resource)
    }

    pub fn oauth_as(&self, client_id: &str, key: &str, resource: &str) -> Call {
        let scope = format!("{resource}/.default");
        let fields =
            [("grant_type", "client_credentials"), ("client_id", client_id), ("client_secret", key), ("scope", &scope)];
        Call::form(self.http(), format!("/{TENANT}/oauth2/v2.0/token"), &fields)
    }

    /// OAuth v1 with the local key in the body.
    pub fn oauth_v1(&self, resource: &str) -> Call {
        let key = self.key.secret().expose();
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT),
            ("client_secret", key),
            ("resource", resource),
        ];
        Call::form(self.http(), format!("/{TENANT}/oauth2/token"), &fields)
    }

    /// One call through every door, by name.
    pub fn every_door(&self, resource: &str) -> Vec<(&'static str, Call)> {
        vec![
            ("imds", self.imds(resource)),
            ("app-service", self.app_service(resource)),
            ("oauth v2", self.oauth(resource)),
            ("oauth v1", self.oauth_v1(resource)),
        ]
    }

    /// One call through every door that is closed in an ordinary broker, and through the one for scripts, by name.
    pub fn more_doors(&self, resource: &str) -> Vec<(&'static str, Call)> {
        let (place, key, what) = (self.http(), self.key.secret().expose(), encoded(resource));
        let older = format!("/msi/token/?resource={what}&api-version=2017-09-01&clientid={CLIENT}");
        let shell = |path: &str| Call::form(place, path, &[("resource", resource)]).header("metadata", "true");
        vec![
            ("app-service-2017", Call::get(place, older).header("secret", key)),
            ("cloud-shell", shell("/oauth2/token")),
            ("cloud-shell with a key", shell(&format!("/cloud-shell/{key}/oauth2/token"))),
            ("plain", Call::get(place, format!("/token?resource={what}")).header("x-identity-header", key)),
        ]
    }

    /// How many token requests Entra has seen.
    pub fn exchanges(&self) -> usize {
        self.emulator.journal().len()
    }

    /// The claims of a token that the emulator signed.
    pub fn claims(&self, token: &str) -> Map<String, Value> {
        self.emulator.verify(token).unwrap()
    }

    pub async fn admin_page(&self, path: &str) -> String {
        Call::get(self.admin(), path).send().await.body
    }

    /// The value of one series on the metrics page; 0 when it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let page = self.admin_page("/metrics").await;
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits for a condition; real time passes only while it is not met, and ten seconds of it are a failure.
    pub async fn until<T>(&self, what: &str, probe: impl AsyncFn(&Self) -> Option<T>) -> T {
        until(what, async || probe(self).await).await
    }

    pub async fn until_ready(&self) {
        self.until("ready", async |world| {
            let answer = Call::get(world.admin(), "/readyz").send().await;
            (answer.status == 200).then_some(())
        })
        .await;
    }
}

/// Waits for a condition, as [`World::until`].
pub async fn until<T>(what: &str, probe: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..2_000 {
        if let Some(found) = probe().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {what}")
}

pub fn imds(place: impl Into<Place>, resource: &str) -> Call {
    let target = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={}", encoded(resource));
    Call::get(place, target).header("metadata", "true")
}

pub fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The number of seconds in an answer's `expires_in`, text or number.
pub fn expires_in(answer: &Answer) -> u64 {
    let json = answer.json();
    json["expires_in"].as_u64().or_else(|| json["expires_in"].as_str()?.parse().ok()).unwrap()
}

/// A platform token that is right in everything.
pub fn platform_token() -> PlatformToken {
    // Two tokens of one second would otherwise be the same text.
    let mut token = PlatformToken::new(SUBJECT, AUDIENCE).claim("jti", Guid::random().as_str());
    token.life = Duration::from_secs(3_600);
    token
}

fn write_token(emulator: &Emulator, folder: &Path) {
    let fresh = folder.join("token.new");
    // With the newline that some platforms end the file with.
    write(&fresh, &format!("{}\n", emulator.platform_token(ISSUER, &platform_token()).unwrap().expose()));
    std::fs::rename(fresh, folder.join("token")).unwrap();
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn read_config(emulator: &Emulator, folder: &Path, plan: &Plan) -> Result<Config, ConfigProblems> {
    let url = plan.github_url.clone().unwrap_or_else(|| emulator.github_request_url(GITHUB).unwrap());
    let variables = [
        ("ACTIONS_ID_TOKEN_REQUEST_URL".to_owned(), url),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN".to_owned(), plan.github_bearer.clone()),
    ];
    let more = plan.environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let environment: Environment = variables.into_iter().chain(more).collect();
    Config::from_text(&config_text(emulator, folder, plan), "test.toml", &environment)
}

fn config_text(emulator: &Emulator, folder: &Path, plan: &Plan) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let assertion = match plan.source {
        Source::File => format!(r#"{{ file = "{}" }}"#, at("token")),
        Source::Github => "{ github = {} }".to_owned(),
        Source::Certificate => {
            format!(
                r#"{{ certificates = [{{ certificate = "{}", key = "file:{}" }}] }}"#,
                at("billing.pem"),
                at("billing.key")
            )
        }
    };
    let assertion = plan.assertion.as_ref().unwrap_or(&assertion);
    let unix = if plan.unix { format!(r#"unix = "{}""#, at("broker.sock")) } else { String::new() };
    let https = if plan.https { r#"https = "127.0.0.1:0""# } else { "" };
    let host = plan.authority_host.clone().unwrap_or(emulator.authority_host());
    let scopes: Vec<_> = plan.scopes.iter().map(|resource| format!("{resource}/.default")).collect();
    let own_key = "[[identity.caller]]\nkey_file = \"{folder}/caller.key\"".to_owned();
    // All but the one that needs TLS; who tests which are open says so.
    let doors = ["imds", "app-service", "app-service-2017", "oauth", "cloud-shell", "plain"];
    let doors = if plan.listen.contains("doors = ") { String::new() } else { format!("doors = {doors:?}") };
    let text = format!(
        r#"
{state}
[listen]
{doors}
http = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
{https}
{unix}
{listen}
[[identity]]
name = "billing"
tenant = "{TENANT}"
tenant_aliases = ["contoso.onmicrosoft.com"]
client_id = "{CLIENT}"
authority_host = "{host}"
ca_file = "{ca}"
scopes = {scopes:?}
assertion = {assertion}
{identity}
{callers}
{more}
"#,
        // Others say themselves where it is.
        state = if plan.https { format!("state_dir = {:?}", at("state")) } else { String::new() },
        listen = plan.listen,
        identity = plan.identity,
        more = plan.more,
        callers = plan.callers.as_ref().unwrap_or(&own_key),
        ca = at("ca.pem"),
    );
    text.replace("{folder}", &folder.display().to_string())
        .replace("{authority}", &host)
        .replace("{emulator}", &emulator.address().to_string())
}

fn emulator_settings(folder: &Path, plan: &Plan) -> String {
    format!(
        r#"
hosts = ["localhost", "127.0.0.1", "login.microsoftonline.com"]
[[tenant]]
id = "{TENANT}"
domains = ["contoso.onmicrosoft.com"]
[[resource]]
ids = ["{GRAPH}", "{GRAPH}/"]
[[resource]]
ids = ["{VAULT}", "{VAULT}/"]
[[issuer]]
url = "{ISSUER}"
at = "127.0.0.1:0"
hosted = true
[[issuer]]
url = "{GITHUB}"
at = "127.0.0.1:0"
hosted = true
github = {{ request_token = "{GITHUB_BEARER}", subject = "{GITHUB_SUBJECT}", owner_url = "https://github.com/contoso" }}
[[application]]
tenant = "{TENANT}"
client_id = "{CLIENT}"
roles = ["Data.Read"]
certificates = ["{certificate}"]
{application}
[[application.federated_credential]]
issuer = "{ISSUER}"
subject = "{SUBJECT}"
audience = "{AUDIENCE}"
[[application.federated_credential]]
issuer = "{GITHUB}"
subject = "{GITHUB_SUBJECT}"
audience = "{AUDIENCE}"
{more}
"#,
        certificate = folder.join("billing.pem").display(),
        application = plan.application,
        more = plan.emulator,
    )
}

/// Used by tests that only need an id.
pub fn client() -> Guid {
    Guid::parse(CLIENT).unwrap()
}
