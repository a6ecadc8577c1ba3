//! The real Azure CLI, for the `full` set: `az` logs in and hands over tokens, with the broker where it looks for an
//! identity. Of Azure itself only the list of subscriptions is a stub, which answers whatever is asked.
//!
//! `az` knows by its cloud where that list is, and Entra: every case changes the two addresses in the public cloud, and
//! nothing else of it.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::doors::Door;
use super::page;
use super::table::received;
use crate::support::far_end::{FarEnd, Reply, ca};
use crate::support::parts::{Level, missing};
use crate::support::world::{CLIENT, GRAPH, Plan, TENANT, World};

/// What `az` calls Azure Resource Manager in the public cloud: not `management.azure.com`, and with its slash.
const MANAGEMENT: &str = "https://management.core.windows.net/";
/// What is allowed for it.
const ALLOWED: &str = "https://management.core.windows.net";
const SUBSCRIPTION: &str = "77777777-aaaa-4bbb-8ccc-888888888888";

/// A command that takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// A proxy that is not there: what it asks of the internet fails at once.
const NOWHERE: &str = "http://127.0.0.1:9";

/// How `az` logs in at a door.
struct Case {
    door: Door,
    /// As a user types it; words in capitals are filled in.
    login: &'static str,
    /// With its list of known authorities not asked for.
    undiscovered: bool,
    /// What the page says has to be set, besides the door's variables.
    set: &'static str,
}

const CASES: [Case; 5] = [
    Case { door: Door::AppService, login: "login --identity", undiscovered: false, set: "" },
    Case { door: Door::AppService, login: "login --identity --client-id CLIENT", undiscovered: false, set: "" },
    Case { door: Door::Imds, login: "login --identity --client-id CLIENT", undiscovered: false, set: "" },
    Case {
        door: Door::OauthHttps,
        login: "login --service-principal --username CLIENT --password KEY --tenant TENANT",
        undiscovered: true,
        set: "`az cloud update --name AzureCloud --endpoint-active-directory https://localhost:4743`, `AZURE_CORE_INSTANCE_DISCOVERY=false`, `REQUESTS_CA_BUNDLE`",
    },
    Case {
        door: Door::Sink,
        login: "login --service-principal --username CLIENT --federated-token ASSERTION --tenant TENANT",
        // Only for the emulator's host name: Entra's own is known.
        undiscovered: true,
        set: "nothing; the file is read once",
    },
];

/// The interpreter that has it; `None` after a loud word where it is not installed.
fn interpreter() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/azure-cli/bin/python");
    if !python.is_file() {
        missing(Level::Full, "the Azure CLI (.ci/run azure_cli)");
        return None;
    }
    Some(python)
}

/// A user of `az` beside a broker.
struct Machine {
    python: PathBuf,
    world: World,
    door: Door,
    /// The list of subscriptions.
    arm: FarEnd,
    home: TempDir,
    undiscovered: bool,
}

impl Machine {
    async fn new(python: &Path, door: Door, scopes: Vec<&'static str>) -> Self {
        let resource = format!("[[resource]]\nids = [\"{MANAGEMENT}\"]\n");
        let world = World::of(Plan { scopes, emulator: resource, ..door.plan() }).await;
        door.opened(&world).await;
        let (authority, home) = (ca("arm"), tempfile::tempdir().unwrap());
        let arm =
            FarEnd::start(&authority, [Reply::http(200, &[("content-type", "application/json")], &listed())]).await;
        let roots = door.roots(&world).map(|file| std::fs::read_to_string(file).unwrap()).unwrap_or_default();
        std::fs::write(home.path().join("roots.pem"), format!("{}{roots}", authority.certificate_pem())).unwrap();
        let machine = Self { python: python.to_owned(), world, door, arm, home, undiscovered: false };
        machine.pointed().await;
        machine
    }

    /// Where `az` finds the list, and Entra.
    async fn pointed(&self) {
        let (world, arm) = (&self.world, self.arm.host());
        let entra = match self.door {
            Door::OauthHttps => format!("https://localhost:{}", world.https().port()),
            _ => world.emulator.authority_host().trim_end_matches('/').to_owned(),
        };
        let mut words = vec!["cloud", "update", "--name", "AzureCloud", "--skip-endpoint-discovery"];
        words.extend(["--endpoint-resource-manager", &arm, "--endpoint-active-directory", &entra]);
        self.does(&words).await;
    }

    /// Runs `az` with nothing in its environment but what a user of this door has.
    async fn az(&self, words: &[&str]) -> Output {
        let mut command = Command::new(&self.python);
        // As its own script starts it. The folder holds the cloud, the login and its cache of tokens.
        command.args(["-I", "-B", "-m", "azure.cli"]).args(words).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("HOME", self.home.path());
        command.env("AZURE_CONFIG_DIR", self.home.path().join("azure"));
        command.env("AZURE_CORE_COLLECT_TELEMETRY", "no").env("AZURE_CORE_SURVEY_MESSAGE", "no");
        command.env("HTTPS_PROXY", NOWHERE).env("HTTP_PROXY", NOWHERE).env("NO_PROXY", "localhost,127.0.0.1");
        command.env("REQUESTS_CA_BUNDLE", self.home.path().join("roots.pem"));
        if self.undiscovered {
            command.env("AZURE_CORE_INSTANCE_DISCOVERY", "false");
        }
        command.envs(self.door.environment(&self.world)).kill_on_drop(true);
        tokio::time::timeout(PATIENCE, command.output()).await.unwrap_or_else(|_| panic!("az {words:?} hangs")).unwrap()
    }

    /// What it printed; it must not fail.
    async fn does(&self, words: &[&str]) -> String {
        let output = self.az(words).await;
        assert!(output.status.success(), "{:?}, az {}: {}", self.door, words[0], said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it said when it failed; it must.
    async fn fails(&self, words: &[&str]) -> String {
        let output = self.az(words).await;
        assert!(!output.status.success(), "{:?}, az {} has not failed", self.door, words[0]);
        said(&output)
    }

    /// Logs in, and compares the list of subscriptions.
    async fn logs_in(&self, login: &str) {
        let words = self.filled(login);
        let accounts: Value = serde_json::from_str(&self.does(&refs(&words)).await).unwrap();
        assert_eq!(accounts[0]["id"], SUBSCRIPTION, "{accounts}");
        assert_eq!(accounts[0]["tenantId"], TENANT, "{accounts}");
    }

    fn filled(&self, login: &str) -> Vec<String> {
        let word = |word: &str| match word {
            "CLIENT" => CLIENT.to_owned(),
            "TENANT" => TENANT.to_owned(),
            "KEY" => self.world.key.secret().expose().to_owned(),
            "ASSERTION" => std::fs::read_to_string(self.world.path("assertion")).unwrap().trim().to_owned(),
            word => word.to_owned(),
        };
        login.split(' ').map(word).collect()
    }

    /// A token that the emulator signed for this application and resource, and that ends when `az` says.
    async fn gives_a_token(&self, words: &[&str], resource: &str) -> String {
        let all = [&["account", "get-access-token"], words].concat();
        let answer: Value = serde_json::from_str(&self.does(&all).await).unwrap();
        let token = answer["accessToken"].as_str().unwrap().to_owned();
        let claims = self.world.claims(&token);
        assert_eq!((&claims["aud"], &claims["appid"]), (&json!(resource), &json!(CLIENT)), "{:?}", self.door);
        let (end, said) = (claims["exp"].as_u64().unwrap(), answer["expires_on"].as_u64().unwrap());
        // It counts from its own clock, at the end of what it did; in whole seconds.
        assert!(said.abs_diff(end) <= 30, "{:?}: said to end at {said} instead of {end}", self.door);
        assert_eq!((&answer["tokenType"], &answer["tenant"]), (&json!("Bearer"), &json!(TENANT)));
        token
    }
}

/// The answer to every question about subscriptions.
fn listed() -> String {
    let id = format!("/subscriptions/{SUBSCRIPTION}");
    let one = json!({ "id": id, "subscriptionId": SUBSCRIPTION, "tenantId": TENANT, "displayName": "shop", "state": "Enabled" });
    json!({ "value": [one] }).to_string()
}

/// What it said to its user. What was typed, a key perhaps, is not repeated.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn refs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// One case; its row on the page.
async fn tried(python: &Path, case: &Case) -> String {
    let mut machine = Machine::new(python, case.door, vec![ALLOWED, GRAPH]).await;
    machine.undiscovered = case.undiscovered;
    machine.logs_in(case.login).await;
    let token = machine.gives_a_token(&[], MANAGEMENT).await;
    // Azure was asked with the very token.
    let (asked, bearer) = (machine.arm.seen(), format!("\r\nAuthorization: Bearer {token}\r\n"));
    assert!(!asked.is_empty() && asked.iter().all(|one| one.head.contains(&bearer)), "{:?}", case.door);
    machine.gives_a_token(&["--resource", GRAPH], GRAPH).await;
    // One for each resource, not by another door, nor past us.
    let (received, exchanges) = (received(&machine.world).await, machine.world.exchanges());
    match case.door.label() {
        Some(door) => assert!(received.starts_with(&format!("{door} 200")) && !received.contains(','), "{received}"),
        None => assert_eq!(received, "nothing"),
    }
    assert_eq!(exchanges, 2, "{:?}", case.door);
    let variables = case.door.environment(&machine.world);
    let variables: Vec<_> = variables.iter().map(|(name, _)| format!("`{name}`")).collect();
    let set = if case.set.is_empty() { variables.join(", ") } else { case.set.to_owned() };
    format!(
        "| azure-cli | {} | `az {}` | {} | *unmodified* | {set} |\n",
        version(&machine).await,
        case.login,
        case.door.title()
    )
}

async fn version(machine: &Machine) -> String {
    // Not `az version`, which asks the internet whether it is the newest.
    let program = "import importlib.metadata as m; print(m.version('azure-cli'))";
    let output = Command::new(&machine.python).args(["-I", "-c", program]).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_azure_cli_logs_in_and_gets_what_the_page_says() {
    let Some(python) = interpreter() else { return };
    let mut rows =
        "| client | version | through | door | verdict | what has to be set |\n| --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for case in &CASES {
        rows += &tried(&python, case).await;
    }
    page::hold("docs/clients.md", "azure-cli", &rows);
}

/// A trap: the resource is not the host that its commands then call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_azure_cli_is_denied_where_only_the_new_name_of_resource_manager_is_allowed() {
    let Some(python) = interpreter() else { return };
    let machine = Machine::new(&python, Door::AppService, vec!["https://management.azure.com"]).await;
    let said = machine.fails(&["login", "--identity"]).await;
    assert!(said.contains("resource-not-allowed") && said.contains(MANAGEMENT), "{said}");
    assert_eq!(received(&machine.world).await, "app-service 403");
    assert!(machine.arm.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_azure_cli_says_which_resource_was_denied() {
    let Some(python) = interpreter() else { return };
    let machine = Machine::new(&python, Door::AppService, vec![ALLOWED]).await;
    machine.logs_in("login --identity").await;
    let said = machine.fails(&["account", "get-access-token", "--resource", GRAPH]).await;
    assert!(said.contains("resource-not-allowed") && said.contains(GRAPH), "{said}");
    // Nor does it ask again.
    assert_eq!(received(&machine.world).await, "app-service 200, app-service 403");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_azure_cli_does_not_trust_a_local_authority_unless_told_not_to_ask() {
    let Some(python) = interpreter() else { return };
    let machine = Machine::new(&python, Door::OauthHttps, vec![ALLOWED]).await;
    let login = machine.filled(CASES[3].login);
    let said = machine.fails(&refs(&login)).await;
    assert!(said.contains("login.microsoftonline.com") && said.contains("proxy"), "{said}");
    assert_eq!(received(&machine.world).await, "nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_principal_of_the_azure_cli_needs_the_right_local_key() {
    let Some(python) = interpreter() else { return };
    let mut machine = Machine::new(&python, Door::OauthHttps, vec![ALLOWED]).await;
    machine.undiscovered = true;
    let login = CASES[3].login.replace("KEY", "another-key-than-the-one-in-the-file");
    let words = machine.filled(&login);
    let said = machine.fails(&refs(&words)).await;
    assert!(said.contains("AADSTS7000215"), "{said}");
    assert!(machine.arm.seen().is_empty());
}

/// Why a managed identity is better: it keeps nothing there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_azure_cli_keeps_the_local_key_of_a_service_principal_in_its_folder() {
    let Some(python) = interpreter() else { return };
    let mut machine = Machine::new(&python, Door::OauthHttps, vec![ALLOWED]).await;
    machine.undiscovered = true;
    machine.logs_in(CASES[3].login).await;
    let kept = std::fs::read_to_string(machine.home.path().join("azure/service_principal_entries.json")).unwrap();
    assert!(kept.contains(machine.world.key.secret().expose()));
    let managed = Machine::new(&python, Door::AppService, vec![ALLOWED]).await;
    managed.logs_in(CASES[0].login).await;
    assert!(!managed.home.path().join("azure/service_principal_entries.json").exists());
    assert!(!managed.home.path().join("azure/msal_token_cache.json").exists());
}
