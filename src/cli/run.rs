//! `unsecret run`: the broker as a service.
//!
//! Signals, systemd and the process's own hygiene live here; what is served lives in `app`. Easy to get wrong: nothing
//! may be printed to stdout, and a configuration that is wrong must end with status 2, so that systemd does not restart
//! in a loop (`RestartPreventExitStatus=2`).

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Exit, complain, hardening, logging, note, program, ready};
use crate::app::{App, Machine, PATIENCE, StartError};
use crate::clock::SystemClock;
use crate::config::{Config, Environment};
use crate::listen::Inherited;

/// How long the keeper may sleep at most: a machine that wakes from sleep refreshes within this time.
const TICK: Duration = Duration::from_secs(15);

/// How often systemd hears from us when it set a watchdog, as a share of its patience.
const WATCHDOG_SHARE: u32 = 3;

/// Each listener takes 512 connections, and the way to Entra must find a descriptor too; shells and systemd allow 1,024.
const DESCRIPTORS: u64 = 4_096;

/// Serve tokens on localhost until told to stop.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unsecret run --config /etc/unsecret/config.toml
  AZURE_TENANT_ID=… AZURE_CLIENT_ID=… AZURE_FEDERATED_TOKEN_FILE=… \\
    UNSECRET_SCOPES=https://graph.microsoft.com/.default UNSECRET_ANY_LOCAL_CALLER=true unsecret run

Signals:
  SIGHUP reloads the configuration; SIGTERM and SIGINT finish what is under way and leave, a second
  one leaves at once.

Sockets:
  taken from who starts it, as systemd hands them over (LISTEN_FDS, LISTEN_FDNAMES): http, https,
  unix and admin are served on; ready hears where the doors are, a line of JSON, once they are open.

Exit status: 0 stopped when told, 1 could not listen, 2 the configuration is wrong, 3 our own fault.")]
pub(crate) struct Args {
    /// The configuration file; without it UNSECRET_CONFIG, or the platform's variables alone
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Exit {
    // Before anything secret is read. A failure is reported once logging works.
    let hardened = hardening::forbid_core_dumps();
    let config = match load(args) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    logging::start(&config.log.level, config.log.json);
    if let Err(error) = hardened {
        tracing::warn!(%error, "core dumps could not be switched off; a crash may write tokens to disk");
    }
    if let Err(error) = raise_descriptors() {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
    match tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build() {
        Ok(runtime) => runtime.block_on(serve(args, config)),
        Err(error) => {
            tracing::error!(%error, "the runtime could not be started");
            Exit::Ourselves
        }
    }
}

fn load(args: &Args) -> Result<Config, Exit> {
    Config::load(args.config.as_deref(), &Environment::of_process()).map_err(|problems| {
        note(&problems.report());
        Exit::Usage
    })
}

/// As far as the hard limit goes; a program that uses no `select` loses nothing by it.
fn raise_descriptors() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })?;
    }
    Ok(())
}

async fn serve(args: &Args, config: Config) -> Exit {
    let Ok(mut signals) = Signals::listen() else {
        tracing::error!("signal handlers could not be installed");
        return Exit::Ourselves;
    };
    let (app, ready) = match start(config).await {
        Ok(started) => started,
        Err(error) => {
            complain(&error);
            return if error.is_configuration() { Exit::Usage } else { Exit::Failed };
        }
    };
    tell_systemd(&[NotifyState::Ready, NotifyState::Status("serving")]);
    if let Some(starter) = ready {
        ready::tell(starter, app.places());
    }
    let mut watchdog = watchdog();
    loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Reload => reload(args, &app).await,
                Told::Stop => break,
            },
            _ = watchdog.tick() => tell_systemd(&[NotifyState::Watchdog]),
        }
    }
    tell_systemd(&[NotifyState::Stopping]);
    tokio::select! {
        () = app.stop() => {}
        // The drain time may be an hour; who asks twice means now.
        () = signals.stop() => tracing::warn!("told to stop a second time; leaving at once"),
    }
    Exit::Done
}

/// With whoever waits to hear of it. Where the start fails they see that we hung up without a word.
async fn start(config: Config) -> Result<(App, Option<UnixStream>), StartError> {
    let names = std::env::var("LISTEN_FDNAMES").ok();
    let mut inherited = Inherited::from_systemd(names.as_deref())?;
    let ready = inherited.take_ready();
    let clock = Arc::new(SystemClock::new());
    let machine = Machine { clock, tick: TICK, inherited, program: program(), patience: PATIENCE };
    Ok((App::start(config, machine).await?, ready))
}

async fn reload(args: &Args, app: &App) {
    // One message: systemd takes RELOADING=1 for news only when the time stands beside it.
    match NotifyState::monotonic_usec_now() {
        Ok(started) => tell_systemd(&[NotifyState::Reloading, started]),
        Err(_) => tell_systemd(&[NotifyState::Reloading]),
    }
    // On a thread of its own: a network volume that hangs must not stop the runtime that serves held tokens.
    let file = args.config.clone();
    let reading = tokio::task::spawn_blocking(move || Config::load(file.as_deref(), &Environment::of_process()));
    match reading.await {
        Ok(config) => {
            // Logged and counted by the app; the old configuration goes on when the new one is wrong.
            let _ = app.reload(config).await;
        }
        Err(error) => tracing::error!(%error, "the configuration could not be read; the old one goes on"),
    }
    tell_systemd(&[NotifyState::Ready]);
}

fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// Ticks from the serving runtime itself: a runtime that hangs stops ticking, which is the point of a watchdog.
fn watchdog() -> tokio::time::Interval {
    const NEVER: Duration = Duration::from_secs(24 * 3600);
    let period = sd_notify::watchdog_enabled().map_or(NEVER, |patience| patience / WATCHDOG_SHARE);
    tokio::time::interval(period.max(Duration::from_millis(10)))
}

enum Told {
    Reload,
    Stop,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.hangup.recv() => Told::Reload,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
        }
    }

    async fn stop(&mut self) {
        while let Told::Reload = self.next().await {}
    }
}
