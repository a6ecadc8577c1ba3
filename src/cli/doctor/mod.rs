//! `unsecret doctor`: walks the chain from the configuration to the token, link by link, and says which one is broken.
//!
//! | file | subject |
//! | --- | --- |
//! | `chain` | the links, and what was found at one |
//! | `sockets`, `callers`, `knock`, `anyone` | this machine: doors, keys, Host; asking a running broker |
//! | `walk` | one identity, link after link |
//! | `source`, `keys`, `clock`, `issuer`, `exchange` | its links |
//! | `taken` | where a taken-over login host is |
//! | `credential`, `certificate` | what to create or compare in Entra |
//! | `sinks` | the files that are kept fresh for it |
//! | `offline` | a pasted token |
//! | `report` | text and JSON |
//!
//! Easy to get wrong: it looks at a system in use, so it holds no address, asks Entra once for each identity, and shows
//! facts and never a token.

mod anyone;
mod callers;
pub(super) mod certificate;
mod chain;
mod clock;
mod credential;
mod exchange;
mod issuer;
mod keys;
mod knock;
mod offline;
mod report;
mod sinks;
mod sockets;
mod source;
mod taken;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::chain::{Finding, Link};
use self::report::Report;
use self::walk::{Walk, Walker};
use super::private::PrivateError;
use super::terminal::{Paint, patiently};
use super::{Exit, complain, hardening, note, program, say};
use crate::app::signers;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigProblem, Environment, Identity};
use crate::ids::{NotA, Resource};
use crate::secret::local_key::is_entra_secret;

/// Walk the chain from the configuration to a token, and say which link is broken.
///
/// Tries each link as `run` would: sockets, callers, what proves the identity, the way to Entra, the clock, the issuer's
/// documents, one real token request, the files of sinks. For each it prints what was tried and seen, and what to do. It
/// changes nothing and leaves a running broker alone. Without --identity it walks them all.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The configuration file; without it UNSECRET_CONFIG, or the platform's variables alone
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The identity, where the configuration has several
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// Ask Entra for this scope, in place of the identity's first
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    scope: Option<Resource>,
    /// Would the local key in this file be accepted?
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Would a request with this Host header be accepted?
    #[arg(long, value_name = "HOST", value_parser = host)]
    host: Option<String>,
    /// Show the federated credential to create even where nothing is wrong
    #[arg(long)]
    federated_credential: bool,
    /// Judge the token in this file (`-`: stdin) without configuration and network
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "identity", "scope", "key_file", "host"])]
    offline: Option<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret doctor --config /etc/unsecret/config.toml
  unsecret doctor --identity billing --federated-credential   what to create in Entra
  unsecret doctor --key-file /etc/billing/key --host sidecar:4780   would this caller be let in?
  unsecret doctor --offline token.jwt   what a federated credential for this token looks like

Exit status: 0 every link is good, else the number of the first broken one:
  2 configuration  10 sockets  11 callers  12 source  13 assertion  14 outbound  15 clock
  16 issuer  17 exchange  18 token  19 sinks";

fn scope(text: &str) -> Result<Resource, NotA> {
    Resource::from_scope(text)
}

/// It goes into a header as it is.
fn host(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty() && text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err("write a host name, with or without a port, such as localhost:4780") }
}

pub(super) fn run(args: &Args) -> Exit {
    // Before anything secret is read.
    if let Err(error) = hardening::forbid_core_dumps() {
        note(&format!("warning: core dumps could not be switched off: {error}\n"));
    }
    match tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build() {
        Ok(runtime) => {
            let exit = runtime.block_on(examine(args));
            // A file on a volume that hangs keeps its thread; we have given it up.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            note(&format!("error: start the runtime: {error}\n"));
            Exit::Ourselves
        }
    }
}

async fn examine(args: &Args) -> Exit {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let report = match &args.offline {
        Some(path) => Report(vec![offline::look(path, clock.now().epoch())]),
        None => match chain(args, clock).await {
            Ok(report) => report,
            Err(problem) => {
                complain(&problem);
                return Exit::Usage;
            }
        },
    };
    let text = if args.json { report.json() } else { report.text(Paint::stdout()) };
    match say(&text) {
        Exit::Done => report.exit(),
        failed => failed,
    }
}

async fn chain(args: &Args, clock: Arc<dyn Clock>) -> Result<Report, PrivateError> {
    let mut machine = Walk::new(None);
    let Some(config) = configuration(args, &mut machine) else { return Ok(Report(vec![machine])) };
    let mut chosen = config.identities.iter().filter(|one| chosen(args, one)).peekable();
    if chosen.peek().is_none() {
        let has = config.identities.iter().map(|one| one.entry.name.clone()).collect();
        return Err(PrivateError::Unknown { asked: args.identity.clone().unwrap_or_default(), has });
    }
    let mut served = false;
    if machine.findings.iter().all(|one| one.link != Link::Callers) {
        let presented = callers::Presented { key_file: args.key_file.clone(), host: args.host.clone() };
        let sockets = patiently("the sockets", sockets::look(&config.listen)).await;
        let callers = callers::look(&config, &presented, sockets.door.as_ref());
        let callers = patiently("the running broker", callers).await;
        served = sockets.door.is_some();
        machine.add(sockets.finding);
        machine.add(callers);
    }
    let mut walks = vec![machine];
    let signers = signers(&config, program(), Arc::clone(&clock));
    let (credential, scope) = (args.federated_credential, args.scope.clone());
    let mut walker = Walker::new(Arc::clone(&clock), signers, credential, scope);
    for identity in chosen {
        let mut walk = walker.walk(identity).await;
        walk.findings.extend(sinks::look(identity, served, clock.now().epoch()).await);
        walks.push(walk);
    }
    Ok(Report(walks))
}

fn chosen(args: &Args, identity: &Identity) -> bool {
    args.identity.as_deref().is_none_or(|name| name == identity.entry.name.as_str())
}

/// The link `configuration`. Where nothing but callers is wrong, the rest can still be walked.
fn configuration(args: &Args, machine: &mut Walk) -> Option<Config> {
    let (file, environment) = (args.config.as_deref(), Environment::of_process());
    let tried = match (file, environment.value("UNSECRET_CONFIG")) {
        (Some(path), _) => format!("read `{}` and the variables", path.display()),
        (None, Some(path)) => format!("read `{path}`, which UNSECRET_CONFIG names, and the variables"),
        (None, None) => "read the variables".to_owned(),
    };
    let problems = match Config::load(file, &environment) {
        Ok(config) => {
            machine.add(read(tried, &config));
            return Some(config);
        }
        Err(problems) => problems,
    };
    if problems.items().iter().all(ConfigProblem::is_about_callers)
        && let Ok(config) = Config::load_identities(file, &environment)
    {
        machine.add(Finding::good(Link::Configuration, tried, "nothing is wrong with it but who may call"));
        machine.add(Finding::not_reached(Link::Sockets, Link::Callers));
        machine.add(Finding::not_reached(Link::Sinks, Link::Callers));
        for finding in callers::refused(problems.items()) {
            machine.add(finding);
        }
        return Some(config);
    }
    for problem in problems.items() {
        machine.add(Finding::broken(Link::Configuration, tried.clone(), problem));
    }
    for link in Link::AFTER_CONFIGURATION {
        machine.add(Finding::not_reached(link, Link::Configuration));
    }
    None
}

fn read(tried: String, config: &Config) -> Finding {
    let names: Vec<_> = config.identities.iter().map(|one| one.entry.name.as_str()).collect();
    let seen = format!("it is good; identities: {}", names.join(", "));
    if config.warnings.is_empty() {
        return Finding::good(Link::Configuration, tried, seen);
    }
    let finding = Finding::doubtful(Link::Configuration, tried, seen);
    config.warnings.iter().fold(finding, |finding, warning| finding.and(format!("warning: {warning}")))
}

/// A path as messages may show it: not where a key or a token was pasted in its place.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let strayed = text.starts_with("eyJ") || text.starts_with("uns_") || is_entra_secret(&text) || text.len() > 400;
    if strayed { "…".to_owned() } else { text }
}
