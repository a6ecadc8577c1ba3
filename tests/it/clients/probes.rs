//! `DefaultAzureCredential` at every door: what it tries on its way, which credential has the token, and whether a denial of
//! ours sends it on to a developer's login.
//!
//! The developer's tools on the path are ours: they note that they were asked, and know nothing. Easy to get wrong: on a
//! machine with a real `az`, an application that we deny would become the developer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::doors::Door;
use super::page;
use super::program::{Program, Runtime};
use super::table::received;
use crate::support::world::{Plan, VAULT, World};

const TOGETHER: usize = 4;

/// What developers log in with, as the SDKs call it.
const TOOLS: [&str; 4] = ["az", "azd", "pwsh", "powershell"];

const DOORS: [Door; 6] =
    [Door::AppService, Door::AppService2017, Door::Imds, Door::CloudShell, Door::Environment, Door::Sink];

/// Those of them that the runtime's credential knows; the others stand with their failure in `table`.
fn doors(runtime: Runtime) -> impl Iterator<Item = Door> {
    DOORS.into_iter().filter(move |door| match runtime {
        Runtime::Go => *door != Door::Imds,
        Runtime::Java => *door != Door::AppService2017,
        _ => true,
    })
}

/// The package that has the credential.
fn client(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Python | Runtime::Java => "azure-identity",
        Runtime::Node => "@azure/identity",
        Runtime::Go => "azidentity",
        Runtime::Rust => "azure_identity",
    }
}

/// One attempt.
#[derive(Clone, Copy, Debug)]
struct Probe {
    door: Door,
    /// The identity may not ask for the resource.
    denied: bool,
    /// `AZURE_TOKEN_CREDENTIALS=prod`: no developer's login.
    prod: bool,
}

fn probes(runtime: Runtime) -> impl Iterator<Item = Probe> {
    doors(runtime).flat_map(|door| {
        let ways = [(false, false), (true, false), (true, true)];
        // An assertion sink denies nobody: Entra does.
        let ways = ways.into_iter().filter(move |(denied, _)| door != Door::Sink || !denied);
        ways.map(move |(denied, prod)| Probe { door, denied, prod })
    })
}

/// Probes with a runtime's own `DefaultAzureCredential` and holds the page to what came of it.
pub async fn hold(runtime: Runtime) {
    let Some(program) = runtime.program() else { return };
    let (program, together) = (Arc::new(program), Arc::new(Semaphore::new(TOGETHER)));
    let mut running = JoinSet::new();
    for (place, probe) in probes(runtime).enumerate() {
        let (program, together) = (program.clone(), together.clone());
        running.spawn(async move {
            let _turn = together.acquire_owned().await.unwrap();
            (place, probed(runtime, &program, probe).await)
        });
    }
    let mut rows = running.join_all().await;
    rows.sort_by_key(|(place, _)| *place);
    let heading = "| door | we | `AZURE_TOKEN_CREDENTIALS` | what we received | the token came from | a developer's login was asked |\n\
        | --- | --- | --- | --- | --- | --- |\n";
    let rows: String = rows.into_iter().map(|(_, row)| row).collect();
    page::hold("docs/clients.md", &format!("{}, probes", runtime.name()), &format!("{heading}{rows}"));
}

async fn probed(runtime: Runtime, program: &Program, probe: Probe) -> String {
    let plan = probe.door.plan();
    let plan = if probe.denied { Plan { scopes: vec![VAULT], ..plan } } else { plan };
    let world = World::of(plan).await;
    probe.door.opened(&world).await;
    let tools = Tools::new();
    let mut environment = probe.door.environment(&world);
    environment.extend(probe.door.roots(&world).map(|roots| runtime.trust(&roots)).unwrap_or_default());
    environment.push(("PATH".to_owned(), tools.path()));
    if probe.prod {
        environment.push(("AZURE_TOKEN_CREDENTIALS".to_owned(), "prod".to_owned()));
    }
    let mut asked = probe.door.configuration(&world);
    asked.insert("client".to_owned(), client(runtime).into());
    asked.insert("with".to_owned(), "DefaultAzureCredential".into());
    asked.insert("option".to_owned(), true.into());
    let said = program.ask(&environment, &asked).await;
    assert_eq!(said.token.is_some(), !probe.denied, "{probe:?}: {said:?}");
    let developer = tools.asked();
    assert!(developer.is_empty() || probe.denied && !probe.prod, "{probe:?}: {developer}");
    let developer = if developer.is_empty() { "no" } else { "**yes**" };
    let won = said.won.map_or_else(|| "nothing".to_owned(), |won| format!("`{won}`"));
    let (door, answer) = (probe.door.title(), if probe.denied { "deny" } else { "grant" });
    let set = if probe.prod { "`prod`" } else { "" };
    format!("| {door} | {answer} | {set} | {} | {won} | {developer} |\n", received(&world).await)
}

/// A folder with the developer's tools.
struct Tools(TempDir);

impl Tools {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for tool in TOOLS {
            let path = folder.path().join(tool);
            let script = format!("#!/bin/sh\necho {tool} >> '{}'\nexit 1\n", folder.path().join("asked").display());
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    /// The path with these tools before all others.
    fn path(&self) -> String {
        format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap_or_default())
    }

    /// The tools that were asked.
    fn asked(&self) -> String {
        fs::read_to_string(self.0.path().join("asked")).unwrap_or_default()
    }
}
