//! `unsecret exec`: one command, and a private door for it and its children.
//!
//! This file joins the parts: `door` (what answers), `child` (its variables, start and status), `signals`, `bypass` (what
//! we warn of). Easy to get wrong: the command comes first. A source that does not work yet must not keep it from
//! starting, and the status of the process is the command's own.

mod bridge;
mod bypass;
mod child;
mod door;
mod signals;

use std::borrow::Cow;
use std::ffi::OsString;

use self::child::{Behind, Stripped};
use self::door::PrivateDoor;
use self::signals::Signals;
use super::private::Which;
use super::terminal::{Paint, patiently};
use super::variables::{Aim, Change};
use super::via::Running;
use super::{Exit, complain, hardening, logging, note};
use crate::config::Identity;
use crate::ids::Door;
use crate::problem::{Blame, Problem};

/// Run one command with tokens: a private door for it and its children.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    running: Running,
    /// Which door the application knows how to ask at
    #[arg(long, value_name = "DOOR", default_value = "app-service")]
    door: Kind,
    /// Leave a variable to the command that would be taken out
    #[arg(long, value_name = "NAME")]
    keep: Vec<String>,
    /// Print no warnings about what would lead the command past the door
    #[arg(long)]
    quiet: bool,
    /// What the door logs to stderr: error, warn, info, debug, trace, or a filter
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: String,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// The doors that demand a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    AppService,
    #[value(name = "app-service-2017")]
    AppService2017,
    CloudShell,
    Oauth,
}

impl Kind {
    fn door(self) -> Door {
        match self {
            Self::AppService => Door::AppService,
            Self::AppService2017 => Door::AppService2017,
            Self::CloudShell => Door::CloudShell,
            Self::Oauth => Door::Oauth,
        }
    }
}

const AFTER_HELP: &str = "\
Examples:
  unsecret exec --config /etc/unsecret/config.toml -- python3 app.py
  unsecret exec --via /run/unsecret/unsecret.sock -- node app.js    its user can read no key or PIN
  unsecret exec -- sh -c 'curl -sS -H \"X-IDENTITY-HEADER: $IDENTITY_HEADER\" \\
    \"$IDENTITY_ENDPOINT?api-version=2019-08-01&resource=https://graph.microsoft.com\"'

The door is on 127.0.0.1 at a port of its own, with a local key made for this run. The command finds
both in its environment, and what would lead past them is taken out. When it ends, the door is gone.

app-service sets IDENTITY_ENDPOINT and IDENTITY_HEADER, which every Azure SDK looks for. oauth sets
AZURE_AUTHORITY_HOST, AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (the local key), for
programs that post to $AZURE_AUTHORITY_HOST$AZURE_TENANT_ID/oauth2/v2.0/token. For clients of
before 2019: app-service-2017 sets MSI_ENDPOINT and MSI_SECRET, as Azure ML does; cloud-shell sets
MSI_ENDPOINT alone, with the key in its path. All but oauth set AZURE_TOKEN_CREDENTIALS=prod, unless
it is set: DefaultAzureCredential then ends at the door and not at a developer's login when it is
denied. All append this machine to NO_PROXY, and no other door is open. imds is not offered: it
carries no key, so any process could ask. Taken out: other sources in AZURE_*, IDENTITY_* and MSI_*,
ACTIONS_ID_TOKEN_REQUEST_*, UNSECRET_*, and what the configuration's key_env names.

Signals: TERM, INT, HUP, QUIT, USR1, USR2, WINCH and CONT go on to the command; what is typed
reaches it as ever.

Exit status: the command's own; 128 and the number of the signal that ended it; 126 it could not be
run, 127 it was not found. Before that: 1 no door could be opened, 2 the configuration is wrong, 3
our own fault.";

/// Why the flags do not fit.
#[derive(Debug, thiserror::Error)]
#[error("open a private `oauth` door to a running broker: its socket does not tell tenant and client id")]
struct OauthVia;

impl Problem for OauthVia {
    fn code(&self) -> &'static str {
        "exec-oauth-via"
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some("leave --door out, or name the configuration in place of --via".into())
    }
}

pub(super) fn run(args: &Args) -> Exit {
    let hidden = hardening::hide_memory();
    logging::start(&args.log, false);
    if let Err(error) = hidden {
        tracing::warn!(%error, "core dumps could not be switched off; a crash may write tokens to disk");
    }
    if args.running.via.is_some() && args.door == Kind::Oauth {
        complain(&OauthVia);
        return Exit::Usage;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build() else {
        tracing::error!("the runtime could not be started");
        return Exit::Ourselves;
    };
    let exit = runtime.block_on(serve(args)).unwrap_or_else(|exit| exit);
    // The command has ended: nothing that still runs here may hold its status back.
    runtime.shutdown_background();
    exit
}

async fn serve(args: &Args) -> Result<Exit, Exit> {
    let (door, identity, keys) = if let Some(socket) = &args.running.via {
        (PrivateDoor::bridging(socket, args.running.client_id.clone(), args.door.door()), None, Vec::new())
    } else {
        let mut config = args.which.load()?;
        let keys = std::mem::take(&mut config.key_variables);
        let identity = config.identities.first().cloned();
        (patiently("what proves the identity", PrivateDoor::of_our_own(config, args.door.door())).await, identity, keys)
    };
    let door = door.map_err(|error| {
        complain(error.problem());
        if error.is_configuration() { Exit::Usage } else { Exit::Failed }
    })?;
    let mut signals = Signals::listen().map_err(|error| {
        tracing::error!(%error, "signal handlers could not be installed");
        Exit::Ourselves
    })?;
    let change = Change::toward(args.aim(&door, identity.as_ref()), &door.url(), |name| std::env::var(name).ok());
    let client_id = identity.as_ref().map(|identity| &identity.entry.client_id).or(args.running.client_id.as_ref());
    let present: Vec<_> = std::env::vars_os().collect();
    let stripped = child::stripped(&change, Behind { client_id, keys: &keys }, &present, &args.keep);
    if !args.quiet {
        args.warn(identity.as_ref(), &stripped);
    }
    let child = child::start(&args.command, &change, &stripped.names, signals.wants_own_group()).map_err(|error| {
        complain(&error);
        error.exit()
    })?;
    Ok(child::exit(signals.until_ended(child).await))
}

impl Args {
    fn aim<'a>(&'a self, door: &'a PrivateDoor, identity: Option<&'a Identity>) -> Aim<'a> {
        let key = door.key.secret();
        match (self.door, identity) {
            (Kind::Oauth, Some(identity)) => {
                Aim::Oauth { key, tenant: &identity.entry.tenant, client_id: &identity.entry.client_id }
            }
            (Kind::AppService2017, identity) => {
                let client_id = identity.map(|identity| &identity.entry.client_id);
                Aim::AppService2017 { key, client_id: client_id.or(self.running.client_id.as_ref()) }
            }
            (Kind::CloudShell, _) => Aim::CloudShell { key: Some(key) },
            _ => Aim::AppService { key },
        }
    }

    fn warn(&self, identity: Option<&Identity>, stripped: &Stripped) {
        let seen = |name: &str| std::env::var(name).ok().filter(|_| !stripped.names.iter().any(|gone| gone == name));
        let source = identity.and_then(|identity| bypass::of_source(&identity.assertion));
        let broker = self.running.via.as_deref().and_then(bypass::of_broker);
        // Azure's chains of credentials know no OAuth door.
        let chain = if self.door == Kind::Oauth { None } else { bypass::of_chain(seen) };
        let reasons = source.into_iter().chain(broker).chain(chain).chain(bypass::warnings(seen));
        for text in stripped.warnings.iter().cloned().chain(reasons) {
            note(&format!("{} {text}\n", Paint::stderr().doubtful("warning:")));
        }
    }
}
