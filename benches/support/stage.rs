//! A broker as it is shipped, in its own process, with an emulator in another: what the benches measure.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Outcome;
use super::client::{Connection, Place};
use super::process::{self, Server};

const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
const CLIENT: &str = "33333333-dddd-4eee-8fff-444444444444";
pub(crate) const RESOURCE: &str = "https://vault.azure.net";
const PLATFORM_TOKEN: &str = r#"{"issuer": "https://issuer.example", "subject": "bench", "audience": "api://AzureADTokenExchange", "life_seconds": 86000}"#;
/// With these the emulator's token has 1.8 KB.
const ROLES: usize = 23;

/// The emulator and the files that brokers need.
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    binary: PathBuf,
    authority: String,
    _emulator: Server,
}

impl Stage {
    /// `binary` is both the emulator and, later, the broker.
    pub(crate) async fn set(binary: &Path, resources: &[String]) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("unsecret-bench").tempdir()?;
        let settings = folder.path().join("emulator.toml");
        fs::write(&settings, emulator_settings(&folder.path().join("ca.pem"), resources))?;
        let emulator = Server::start(command(binary).args(["emulate", "--config"]).arg(settings))?;
        let authority = emulator.word_after("listens on https://")?;
        let admin: SocketAddr = emulator.word_after("platform tokens: http://")?.parse()?;
        let request = format!(
            "POST /_platform-token HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{PLATFORM_TOKEN}",
            PLATFORM_TOKEN.len()
        );
        let mut connection = Connection::open(&Place::Tcp(admin)).await?;
        let (_, token) = connection.ask(request.as_bytes()).await?;
        fs::write(folder.path().join("token"), token)?;
        Ok(Self { folder, binary: binary.to_owned(), authority, _emulator: emulator })
    }

    /// Starts a broker for [`RESOURCE`] with so many TCP listeners beside the Unix socket.
    pub(crate) fn broker(&self, listeners: usize) -> Outcome<Broker> {
        self.start_broker(listeners, &format!("scopes = [\"{RESOURCE}/.default\"]"))
    }

    /// The same, with lines of the identity's own, such as its scopes.
    pub(crate) fn start_broker(&self, listeners: usize, identity: &str) -> Outcome<Broker> {
        let config = self.folder.path().join("broker.toml");
        let unix = self.folder.path().join("broker.sock");
        fs::write(&config, self.broker_settings(listeners, &unix, identity))?;
        let begun = now();
        let server = Server::start(command(&self.binary).args(["run", "--config"]).arg(config))?;
        let doors = (0..listeners).map(|_| Ok(server.word_after("door=http://")?.parse()?));
        let doors = doors.collect::<Outcome<Vec<SocketAddr>>>()?;
        let (listening, listening_cpu) = (begun.elapsed(), process::cpu(server.pid())?);
        Ok(Broker { server, doors, unix, listening, listening_cpu })
    }

    fn broker_settings(&self, listeners: usize, unix: &Path, identity: &str) -> String {
        let folder = self.folder.path().display();
        let http = vec!["127.0.0.1:0"; listeners];
        format!(
            "[listen]\nhttp = {http:?}\nunix = \"{}\"\nadmin = \"127.0.0.1:0\"\n[[identity]]\nname = \"bench\"\n\
             tenant = \"{TENANT}\"\nclient_id = \"{CLIENT}\"\nauthority_host = \"https://{}\"\nca_file = \"{folder}/ca.pem\"\n\
             assertion = {{ file = \"{folder}/token\" }}\nany_local_caller = true\n{identity}\n",
            unix.display(),
            self.authority,
        )
    }
}

/// A broker that listens.
pub(crate) struct Broker {
    pub(crate) server: Server,
    pub(crate) doors: Vec<SocketAddr>,
    pub(crate) unix: PathBuf,
    /// How long it took until it listened, and of what processor time.
    pub(crate) listening: Duration,
    pub(crate) listening_cpu: Duration,
}

/// The request of contract B2: what every SDK sends to IMDS.
pub(crate) fn imds(resource: &str) -> Vec<u8> {
    let resource = resource.replace(':', "%3A").replace('/', "%2F");
    format!(
        "GET /metadata/identity/oauth2/token?api-version=2018-02-01&resource={resource} HTTP/1.1\r\n\
         Host: 169.254.169.254\r\nMetadata: true\r\n\r\n"
    )
    .into_bytes()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Without the bench's own environment, which may hold proxies, roots and settings.
fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear();
    command
}

fn emulator_settings(ca: &Path, resources: &[String]) -> String {
    let roles: Vec<_> = (0..ROLES).map(|number| format!("Bench.Role.Number.{number:02}")).collect();
    let mut text = format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nca_file = \"{}\"\n[[tenant]]\nid = \"{TENANT}\"\n\
         [[application]]\ntenant = \"{TENANT}\"\nclient_id = \"{CLIENT}\"\nroles = {roles:?}\ntoken_lifetime = \"24h\"\n\
         [[application.federated_credential]]\nissuer = \"https://issuer.example\"\nsubject = \"bench\"\n\
         audience = \"api://AzureADTokenExchange\"\n[[issuer]]\nurl = \"https://issuer.example\"\nat = \"127.0.0.1:0\"\n\
         hosted = true\n[[resource]]\nids = [\"{RESOURCE}\"]\n",
        ca.display()
    );
    for resource in resources {
        let _ = writeln!(text, "[[resource]]\nids = [\"{resource}\"]");
    }
    text
}
