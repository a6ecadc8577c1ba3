//! Unmodified clients on a machine whose hosts file points Microsoft's login host at the broker: no option in code, no
//! authority of their own, a local key where the secret was, and one variable that trusts the broker's certificate.
//!
//! Two network namespaces stand for two machines: here the application and the broker at 127.0.0.1:443, there the
//! emulator as the real host.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use unsecret::clock::{Clock as _, SystemClock};
use unsecret::local_ca::ClientCertificate;
use unsecret::secret::local_key::LocalKey;

use super::HOST;
use crate::clients::program::{Program, Runtime, Said};
use crate::support::parts::{Level, missing};
use crate::support::python;
use crate::support::world::{CLIENT, GRAPH, TENANT};

/// A client in one line: what runs it, the package, and what of it is used.
const CLIENTS: [(Runtime, &str, &str); 10] = [
    (Runtime::Python, "msal", "ConfidentialClientApplication"),
    (Runtime::Python, "azure-identity", "ClientSecretCredential"),
    (Runtime::Python, "azure-identity", "aio.ClientSecretCredential"),
    (Runtime::Node, "@azure/identity", "ClientSecretCredential"),
    (Runtime::Node, "@azure/msal-node", "ConfidentialClientApplication"),
    (Runtime::Go, "azidentity", "ClientSecretCredential"),
    (Runtime::Go, "microsoft-authentication-library", "confidential.Client"),
    (Runtime::Java, "azure-identity", "ClientSecretCredential"),
    (Runtime::Java, "msal4j", "ConfidentialClientApplication"),
    (Runtime::Rust, "azure_identity", "ClientSecretCredential"),
];

const READY: Duration = Duration::from_secs(60);

/// The machines, for as long as this is held: the script goes on until its stdin ends.
struct Machines {
    child: Child,
    folder: tempfile::TempDir,
    key: LocalKey,
}

impl Machines {
    /// `None` after a loud word where there are no namespaces.
    async fn start(names: &str) -> Option<Self> {
        let python = python::interpreter()?;
        let can = Command::new("unshare").args(["-Urnm", "ip", "link"]).stdout(Stdio::null()).status().await;
        if !can.is_ok_and(|status| status.success()) {
            missing(Level::Core, "unshare -Urnm and ip");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("unsecret").tempdir().unwrap();
        let key = LocalKey::generate().unwrap();
        furnish(folder.path(), &key, names);
        let mut command = Command::new("unshare");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/takeover/apart.sh");
        command.args(["-Urnm", "/bin/sh", script, env!("CARGO_BIN_EXE_unsecret")]);
        command.arg(folder.path()).arg(names).arg(python).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::piped()).stdout(Stdio::piped());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut child = command.stderr(log).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let machines = Self { child, folder, key };
        let ready = tokio::time::timeout(READY, said.next_line()).await;
        assert_eq!(ready.unwrap().unwrap().as_deref(), Some("ready"), "{}", machines.log());
        Some(machines)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn roots(&self) -> PathBuf {
        self.folder.path().join("state/https/roots.pem")
    }

    /// Runs a client where the broker is.
    async fn ask(&self, runtime: Runtime, program: Program, tenant: &str, client: &str, with: &str) -> Said {
        let pid = self.child.id().unwrap().to_string();
        let program = program.started_by(&["nsenter", "--preserve-credentials", "-U", "-n", "-m", "-t", &pid, "--"]);
        let host = format!("https://{HOST}");
        let asked = json!({
            "client": client,
            "with": with,
            "option": false,
            "scope": format!("{GRAPH}/.default"),
            "resource": GRAPH,
            "tenant": tenant,
            "client_id": CLIENT,
            "client_secret": self.key.secret().expose(),
            "authority_host": host,
            "authority": format!("{host}/{tenant}"),
            "token_url": format!("{host}/{tenant}/oauth2/v2.0/token"),
        });
        let Value::Object(asked): Value = asked else { unreachable!() };
        let asked: Map<String, Value> = asked;
        // In this namespace the host is near, as the application's own NO_PROXY would say.
        let near = ("NO_PROXY".to_owned(), format!("localhost,127.0.0.1,{HOST}"));
        let near_for_java = ("JDK_JAVA_OPTIONS".to_owned(), String::new());
        program.ask(&[runtime.trust(&self.roots()), vec![near, near_for_java]].concat(), &asked).await
    }
}

/// Everything that the machines read.
fn furnish(folder: &Path, key: &LocalKey, names: &str) {
    let certificate =
        ClientCertificate::create("billing", SystemClock::new().now(), Duration::from_secs(86_400)).unwrap();
    let at = |name: &str| folder.join(name).display().to_string();
    let put = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(folder.join(name), text).unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    put("billing.pem", &certificate.certificate_pem);
    put("billing.key", certificate.key_pem.expose());
    put("caller.key", key.secret().expose());
    put("hosts", &format!("127.0.0.1 localhost {HOST}\n"));
    put("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1\n");
    put("names.py", include_str!("names.py"));
    put(
        "emulator.toml",
        &format!(
            r#"
listen = "10.199.0.2:443"
hosts = ["{HOST}"]
ca_file = "{ca}"
[[tenant]]
id = "{TENANT}"
[[resource]]
ids = ["{GRAPH}", "{GRAPH}/"]
[[application]]
tenant = "{TENANT}"
client_id = "{CLIENT}"
certificates = ["{certificate}"]
"#,
            ca = at("ca.pem"),
            certificate = at("billing.pem"),
        ),
    );
    let addresses = if names == "servers" { "" } else { "takeover_addresses = [\"10.199.0.2\"]" };
    put(
        "broker.toml",
        &format!(
            r#"
state_dir = "{state}"
[listen]
https = "127.0.0.1:443"
takeover = ["{HOST}"]
{addresses}
[[identity]]
name = "billing"
tenant = "{TENANT}"
client_id = "{CLIENT}"
ca_file = "{ca}"
scopes = ["{GRAPH}/.default"]
prefetch = ["{GRAPH}/.default"]
assertion = {{ certificates = [{{ certificate = "{certificate}", key = "file:{key}" }}] }}
[[identity.caller]]
key_file = "{caller}"
"#,
            state = at("state"),
            ca = at("ca.pem"),
            certificate = at("billing.pem"),
            key = at("billing.key"),
            caller = at("caller.key"),
        ),
    );
}

/// Each client of a runtime, and one of a tenant that is not ours.
async fn hold(runtime: Runtime) {
    let Some(program) = runtime.program() else { return };
    let Some(machines) = Machines::start("addresses").await else { return };
    for (_, client, with) in CLIENTS.iter().filter(|(which, ..)| *which == runtime) {
        let said = machines.ask(runtime, program.clone(), TENANT, client, with).await;
        assert!(said.token.is_some(), "{client} {with}: {:?}\n{}", said.error, machines.log());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_clients_with_microsofts_own_authority_get_their_token_here() {
    hold(Runtime::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_clients_with_microsofts_own_authority_get_their_token_here() {
    hold(Runtime::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn go_clients_with_microsofts_own_authority_get_their_token_here() {
    hold(Runtime::Go).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn java_clients_with_microsofts_own_authority_get_their_token_here() {
    hold(Runtime::Java).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_clients_with_microsofts_own_authority_get_their_token_here() {
    hold(Runtime::Rust).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn name_servers_are_asked_past_the_hosts_file() {
    // The prefetch alone proves it: the broker is ready once it has its token from the real host.
    let Some(machines) = Machines::start("servers").await else { return };
    assert!(!machines.log().contains("takeover-loop"), "{}", machines.log());
}
