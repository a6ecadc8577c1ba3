//! `unsecret token`: one access token on stdout, for scripts.
//!
//! Minted here, with the parts of `run` but without its doors, or had from a running broker. Easy to get wrong: being the
//! operator is no permission; policy decides here as it does at a door, and the token goes to stdout and nowhere else.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::private::{self, PrivateError, Which};
use super::terminal::{Paint, patiently};
use super::via::{Running, Via, ViaError};
use super::{Exit, complain, hardening, logging, note, program, say};
use crate::app::{StartError, connect};
use crate::broker::MintError;
use crate::clock::{Clock, SystemClock};
use crate::dialect::{AppService, Dialect as _};
use crate::ids::{Door, NotA, Resource};
use crate::inspect::escaped;
use crate::policy::{Ask, Denied, Peer, Selector};
use crate::problem::Problem;

/// One attempt ends by itself in half a minute; a person who waits longer wants to know why.
const WAIT: Duration = Duration::from_secs(60);

/// Print an access token, for scripts.
///
/// The token opens what its scope opens until it expires, and cannot be called back: keep it in a pipe or a variable,
/// not in a file.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, group = clap::ArgGroup::new("what").required(true).args(["scope", "resource"]))]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    running: Running,
    /// What it is for: a scope that ends in /.default
    #[arg(long, value_name = "SCOPE", value_parser = Resource::from_scope)]
    scope: Option<Resource>,
    /// The same without /.default
    #[arg(long, value_name = "RESOURCE", value_parser = resource)]
    resource: Option<Resource>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    /// The whole header line, as `curl -H @-` reads it
    #[arg(long, conflicts_with = "json")]
    header: bool,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret token --config /etc/unsecret/config.toml --scope https://graph.microsoft.com/.default
  unsecret token --via /run/unsecret/unsecret.sock --resource https://graph.microsoft.com --header |
    curl -sS -H @- https://graph.microsoft.com/v1.0/users
  unsecret token --resource https://vault.azure.net --json

Without --via the token is minted here, for an identity of the configuration; what the configuration
says of callers does not matter then, since whoever can read it can do as much. With --via the
broker's caller rules (uid, gid) decide.

Exit status: 0 the token is on stdout, 1 there is none, 2 the configuration is wrong,
3 our own fault.";

fn resource(text: &str) -> Result<Resource, NotA> {
    if text.ends_with(crate::ids::DEFAULT_SUFFIX) {
        return Err(NotA("that is a scope: write it behind --scope, or leave /.default out"));
    }
    Resource::parse(text)
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error(transparent)]
    Private(#[from] PrivateError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error(transparent)]
    Mint(#[from] MintError),
    #[error(transparent)]
    Via(#[from] ViaError),
}

impl TokenError {
    fn problem(&self) -> &dyn Problem {
        match self {
            Self::Private(problem) => problem,
            Self::Start(problem) => problem,
            Self::Denied(problem) => problem,
            Self::Mint(failed) => &*failed.problem,
            Self::Via(problem) => problem,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Start(error) if error.is_configuration() => Exit::Usage,
            _ => Exit::Failed,
        }
    }

    /// The terminal form, and what a search in Entra's sign-in logs needs.
    fn complain(&self) {
        complain(self.problem());
        if let Self::Mint(MintError { correlation_id: Some(id), .. }) = self {
            note(&format!("correlation id: {id}\n"));
        }
    }
}

/// The universal body of contract B0, as every managed-identity door writes it.
#[derive(Deserialize, Zeroize, ZeroizeOnDrop)]
struct Body {
    access_token: String,
    token_type: String,
    expires_in: String,
    expires_on: String,
    resource: String,
    client_id: String,
}

/// What `--json` prints: the times as numbers, which is what scripts compare.
#[derive(Serialize)]
struct Printed<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_in: u64,
    expires_on: u64,
    resource: &'a str,
    client_id: &'a str,
}

pub(super) fn run(args: &Args) -> Exit {
    if let Err(error) = hardening::forbid_core_dumps() {
        note(&format!("warning: core dumps could not be switched off: {error}\n"));
    }
    logging::start("warn", false);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build() else {
        note("error: the runtime could not be started\n");
        return Exit::Ourselves;
    };
    let outcome = runtime.block_on(patiently("a token", body(args)));
    // A source that hangs must not hold us.
    runtime.shutdown_background();
    let printed = outcome.and_then(|bytes| Ok(print(args, &bytes)?));
    printed.unwrap_or_else(|stop| match stop {
        Stop::Told(exit) => exit,
        Stop::Because(error) => {
            error.complain();
            error.exit()
        }
    })
}

/// Why we stop.
enum Stop {
    /// It has been said.
    Told(Exit),
    Because(Box<TokenError>),
}

impl<E: Into<TokenError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Because(Box::new(error.into()))
    }
}

async fn body(args: &Args) -> Result<Bytes, Stop> {
    match &args.running.via {
        Some(socket) => Ok(had(&Via::new(socket), args).await?),
        None => minted(args).await,
    }
}

impl Args {
    /// The group demands one of them.
    fn asked(&self) -> &str {
        self.scope.as_ref().or(self.resource.as_ref()).map_or("", Resource::as_str)
    }
}

async fn had(broker: &Via, args: &Args) -> Result<Bytes, TokenError> {
    let selector = args.running.client_id.as_ref().map_or(Selector::None, |id| Selector::ClientId(id.as_str().into()));
    let answer = broker.ask(args.asked(), &selector).await?;
    if answer.status.is_success() {
        return Ok(answer.body);
    }
    Err(ViaError::Refused { status: answer.status.as_u16(), said: said(&answer.body) }.into())
}

/// The sentence of a refusal, which holds the broker's code and Entra's ids.
fn said(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        error_description: String,
    }
    let read = serde_json::from_slice::<Refusal>(body);
    read.map_or_else(
        |_| "(an answer that is no refusal of ours)".to_owned(),
        |refusal| escaped(&refusal.error_description),
    )
}

async fn minted(args: &Args) -> Result<Bytes, Stop> {
    let mut config = args.which.load().map_err(Stop::Told)?;
    let key = private::close(&mut config)?;
    config.listen.wait = WAIT;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let wiring = connect(&config, clock.clone(), program()).await?;
    let ask = Ask {
        door: Door::AppService,
        selector: Selector::None,
        tenant: None,
        resource: args.asked().into(),
        key: Some(key.secret().expose().into()),
        raw_key: None,
        capable: false,
        renew: None,
    };
    let grant = wiring.policy.decide(&ourselves(), &ask)?;
    let minted = wiring.broker.token(grant).await?;
    Ok(AppService.render(&minted, clock.now()))
}

fn ourselves() -> Peer {
    use rustix::process::{getegid, geteuid, getpid};
    Peer::Unix { uid: geteuid().as_raw(), gid: getegid().as_raw(), pid: Some(getpid().as_raw_nonzero().get()) }
}

fn print(args: &Args, body: &[u8]) -> Result<Exit, ViaError> {
    let token: Body = serde_json::from_slice(body).map_err(|_| ViaError::NoToken)?;
    // A line of its own, or an escape, would be read by whoever reads the output.
    if ![&token.access_token, &token.token_type].iter().all(|text| text.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(ViaError::NoToken);
    }
    let number = |text: &str| text.parse::<u64>().map_err(|_| ViaError::NoToken);
    let text = if args.json {
        let printed = Printed {
            access_token: &token.access_token,
            token_type: &token.token_type,
            expires_in: number(&token.expires_in)?,
            expires_on: number(&token.expires_on)?,
            resource: &token.resource,
            client_id: &token.client_id,
        };
        serde_json::to_string(&printed).map_err(|_| ViaError::NoToken)?
    } else if args.header {
        format!("Authorization: {} {}", token.token_type, token.access_token)
    } else {
        token.access_token.clone()
    };
    let line = Zeroizing::new(text + "\n");
    if std::io::stdout().is_terminal() {
        let warning = Paint::stderr().doubtful("warning:");
        note(&format!("{warning} the token below now stands in this terminal's scrollback; a pipe keeps it out\n"));
    }
    Ok(say(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_behind_resource_is_told_where_it_belongs() {
        assert!(resource("https://vault.azure.net/.default").unwrap_err().0.contains("--scope"));
        assert_eq!(resource("https://vault.azure.net/").unwrap().as_str(), "https://vault.azure.net/");
    }

    #[test]
    fn a_refusal_that_is_no_json_is_not_repeated() {
        assert_eq!(said(br#"{"error_description":"No."}"#), "No.");
        assert_eq!(said(br#"{"error_description":"\u001b[2JNo.\nremedy: x"}"#), r"\u{1b}[2JNo.\u{a}remedy: x");
        assert_eq!(said(b"<html>eyJ"), "(an answer that is no refusal of ours)");
    }
}
