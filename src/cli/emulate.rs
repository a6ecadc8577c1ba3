//! `unsecret emulate`: a strict local Entra on this machine, until it is told to stop.
//!
//! What it prints is for people, so it goes to stderr. Easy to get wrong: the settings hold secrets, so they are never
//! printed, only the ready-made ones, which have none.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Exit, complain, note};
use crate::clock::SystemClock;
use crate::emulator::{Emulator, EmulatorError, READY_MADE, Settings, SettingsProblems};
use crate::problem::{Blame, Problem};

/// Run a strict local Entra for offline development and tests.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// TOML file with tenants, applications and issuers; without it, ready-made ones that are shown
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret emulate                           start with ready-made settings
  unsecret emulate --config emulator.toml    start with your own; docs/emulator.md shows every key
  curl -s http://127.0.0.1:4791/_journal     what was asked and what was answered";

pub(super) fn run(args: &Args) -> Exit {
    let settings = match read(args.config.as_deref()) {
        Ok(settings) => settings,
        Err(problem) => {
            complain(&problem);
            return Exit::Usage;
        }
    };
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(EmulateError::Runtime)
        .and_then(|runtime| runtime.block_on(serve(settings, args.config.is_none())));
    match served {
        Ok(()) => Exit::Done,
        Err(problem) => {
            complain(&problem);
            if problem.blame() == Blame::Ourselves { Exit::Ourselves } else { Exit::Usage }
        }
    }
}

fn read(path: Option<&Path>) -> Result<Settings, EmulateError> {
    let text = match path {
        Some(path) => {
            std::fs::read_to_string(path).map_err(|source| EmulateError::Read { path: path.to_owned(), source })?.into()
        }
        None => Cow::Borrowed(READY_MADE),
    };
    Ok(Settings::from_toml(&text)?)
}

async fn serve(settings: Settings, ready_made: bool) -> Result<(), EmulateError> {
    let (mut interrupt, mut terminate) = (listen_for(SignalKind::interrupt())?, listen_for(SignalKind::terminate())?);
    let welcome = Welcome::of(&settings);
    let emulator = Emulator::start(settings, Arc::new(SystemClock::new())).await?;
    if ready_made {
        note(&format!("Ready-made settings (give your own with --config):\n\n{READY_MADE}\n"));
    }
    note(&welcome.text(&emulator));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    emulator.stop().await;
    Ok(())
}

fn listen_for(kind: SignalKind) -> Result<Signal, EmulateError> {
    signal(kind).map_err(EmulateError::Runtime)
}

/// What the settings say about how to use the emulator, without their secrets.
struct Welcome {
    ca_file: Option<PathBuf>,
    tenant: Option<String>,
    client_id: Option<String>,
    issuers: Vec<String>,
    github: Vec<String>,
}

impl Welcome {
    fn of(settings: &Settings) -> Self {
        let hosted = || settings.issuers.iter().filter(|issuer| issuer.hosted);
        let application = settings.applications.first();
        Self {
            ca_file: settings.ca_file.clone(),
            tenant: application.map(|application| application.tenant.to_string()),
            client_id: application.map(|application| application.client_id.to_string()),
            issuers: hosted().map(|issuer| issuer.url.clone()).collect(),
            github: hosted().filter(|issuer| issuer.github.is_some()).map(|issuer| issuer.url.clone()).collect(),
        }
    }

    fn text(&self, emulator: &Emulator) -> String {
        let host = emulator.authority_host();
        let mut text = format!("A local Entra listens on {host} (Ctrl-C stops it).\n");
        let _ = match &self.ca_file {
            Some(path) => writeln!(text, "Its CA certificate is in {}.", path.display()),
            None => writeln!(text, "Its CA certificate is at {host}/_ca; set `ca_file` to have it in a file."),
        };
        if let Some(admin) = emulator.admin_address() {
            let at = format!("http://{admin}/_journal, /_faults, /_platform-token");
            let _ = writeln!(text, "Journal, faults and platform tokens: {at}.");
        }
        for url in &self.issuers {
            if let Ok(at) = emulator.issuer_address(url) {
                let _ = writeln!(text, "Issuer {url} is served on http://{at}.");
            }
        }
        let _ = writeln!(text, "\nTo use it:\n  AZURE_AUTHORITY_HOST={host}");
        if let (Some(tenant), Some(client_id)) = (&self.tenant, &self.client_id) {
            let _ = writeln!(text, "  AZURE_TENANT_ID={tenant}\n  AZURE_CLIENT_ID={client_id}");
        }
        for url in self.github.iter().filter_map(|url| emulator.github_request_url(url).ok()) {
            let _ = writeln!(text, "  ACTIONS_ID_TOKEN_REQUEST_URL={url}");
        }
        text
    }
}

/// Why the emulator does not run.
#[derive(Debug, thiserror::Error)]
enum EmulateError {
    #[error("read the emulator's settings `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Settings(#[from] SettingsProblems),
    #[error(transparent)]
    Emulator(#[from] EmulatorError),
    #[error("start the runtime")]
    Runtime(#[source] io::Error),
}

impl Problem for EmulateError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "emulator-settings-unreadable",
            Self::Settings(problems) => problems.code(),
            Self::Emulator(problem) => problem.code(),
            Self::Runtime(_) => "emulator-runtime",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Read { .. } => Blame::Configuration,
            Self::Settings(problems) => problems.blame(),
            Self::Emulator(problem) => problem.blame(),
            Self::Runtime(_) => Blame::Ourselves,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Read { .. } => {
                Some("name a readable file with --config, or none to use the ready-made settings".into())
            }
            Self::Settings(problems) => problems.remedy(),
            Self::Emulator(problem) => problem.remedy(),
            Self::Runtime(_) => Some("look at the cause: usually a limit on threads or open files".into()),
        }
    }
}
