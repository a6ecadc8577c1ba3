//! `unsecret doctor`, the real binary, on prepared breakages: each names the one link that is broken, and what to do.
//!
//! What is printed is held by a snapshot (`UNSECRET_BLESS=1` writes it), and what matters of it by hand beside, so that
//! no blessed nonsense can pass. A [`Clinic`] is a [`World`] behind an inspecting proxy, which makes the issuer
//! `https://issuer.example` reachable without anybody's DNS.

mod caller;
mod certificate;
mod credential;
mod federated;
mod healthy;
mod machine;
mod outbound;
mod page;
mod secrets;
mod sinks;
mod snapshot;

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::support::far_end::ca;
use crate::support::proxy::Proxy;
use crate::support::world::{ISSUER, Plan, Source, World};

/// For one walk, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the proxy wants to hear.
const PASSWORD: &str = "doctor:canary-of-the-doctors-proxy-password";

struct Clinic {
    world: World,
    proxy: Proxy,
}

/// What one examination came to.
struct Examined {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Clinic {
    async fn new() -> Self {
        Self::of(Plan::default()).await
    }

    async fn with_source(source: Source) -> Self {
        Self::of(Plan { source, ..Plan::default() }).await
    }

    /// `plan` as given, its way out through the proxy.
    async fn of(mut plan: Plan) -> Self {
        let inspection = ca("inspection CA");
        let proxy = Proxy::start(PASSWORD, &inspection).await;
        let way = format!("proxy = \"{}\"\nproxy_auth_file = \"{{folder}}/proxy\"\n", proxy.url());
        plan.identity.push_str(&way);
        plan.files.push(("proxy", PASSWORD.to_owned()));
        plan.ca_pem.get_or_insert(inspection.certificate_pem().to_owned());
        let world = World::of(plan).await;
        let port = url::Url::parse(&world.emulator.authority_host()).unwrap().port().unwrap();
        proxy.lead_to(([127, 0, 0, 1], port).into(), world.emulator.ca_pem());
        proxy.lead_plainly("issuer.example:443", world.emulator.issuer_address(ISSUER).unwrap());
        Self { world, proxy }
    }

    /// Writes the configuration and walks it.
    async fn examine(&self) -> Examined {
        self.examine_as(&self.world.config_text(), &[]).await
    }

    async fn examine_as(&self, config: &str, arguments: &[&str]) -> Examined {
        std::fs::write(self.world.path("config.toml"), config).unwrap();
        let path = self.world.path("config.toml");
        let arguments = [&["--config", path.to_str().unwrap()], arguments].concat();
        doctor(&arguments, &[("RUST_LOG", "trace")]).await
    }

    /// What is printed, without what differs from run to run.
    fn steady(&self, text: &str) -> String {
        snapshot::steady(&text.replace(self.world.path("").to_str().unwrap().trim_end_matches('/'), "FOLDER"))
    }

    /// Holds the text to its snapshot, and by hand to its status, its first broken link and the words of its remedy.
    fn breaks(&self, examined: &Examined, name: &str, status: i32, link: &str, words: &[&str]) {
        let text = self.steady(&examined.stdout);
        assert_eq!(examined.status, status, "{text}\n{}", examined.stderr);
        let broken = broken(&text);
        let first = broken.first().unwrap_or_else(|| panic!("nothing is broken:\n{text}"));
        assert_eq!(first.link, link, "{text}");
        for word in words {
            assert!(first.text.contains(word), "`{word}` is not said at {link}:\n{text}");
        }
        assert!(
            text.contains(&format!("broken: {link}")) && text.contains(&format!("(exit status {status})")),
            "{text}"
        );
        snapshot::hold(name, &text);
    }
}

/// Runs the binary with these variables and no other.
async fn doctor(arguments: &[&str], variables: &[(&str, &str)]) -> Examined {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.arg("doctor").args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("doctor does not end")).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Examined { status: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A link of the printed chain with all its lines.
struct Shown {
    link: String,
    text: String,
}

/// The links that are shown as broken.
fn broken(text: &str) -> Vec<Shown> {
    links(text).into_iter().filter(|(state, _)| state == "broken").map(|(_, shown)| shown).collect()
}

/// Every link, with its state.
fn links(text: &str) -> Vec<(String, Shown)> {
    let mut links: Vec<(String, Shown)> = Vec::new();
    for line in text.lines() {
        let states = ["good", "doubtful", "broken", "not reached"];
        let state = states.iter().find(|state| line.strip_prefix("  ").is_some_and(|rest| rest.starts_with(**state)));
        if let Some(state) = state {
            let link = line[2 + 11..].split_whitespace().next().unwrap().to_owned();
            links.push(((*state).to_owned(), Shown { link, text: line.to_owned() }));
        } else if let (true, Some((_, last))) = (line.starts_with("       "), links.last_mut()) {
            last.text.push('\n');
            last.text.push_str(line);
        }
    }
    assert!(!links.is_empty(), "no links in:\n{text}");
    links
}

/// The object of `--json`.
fn json(examined: &Examined) -> Value {
    serde_json::from_str(&examined.stdout).unwrap_or_else(|error| panic!("{error}: {}", examined.stderr))
}
