//! The one place where a [`Config`] becomes connected, running parts: start, reload, drain, stop.
//!
//! Knows every room and holds no logic of theirs. Not for signals or exit statuses (`cli::run`). Easy to get wrong: serve
//! as soon as bound, whether or not a token can be had, and a reload that fails at any step leaves all as it was.

mod error;
mod hardware;
mod https;
mod parts;
mod sinks;
mod upkeep;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use self::https::Https;
use self::upkeep::Upkeep;
use self::wire::{Built, Tools, Wired};
use crate::admin::{self, AdminState};
use crate::audit::Audit;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::{Config, ConfigProblems, HardwareSettings, Listen};
use crate::front::{Front, Wiring};
use crate::listen::{self, BindError, Inherited, Limits, Socket};
use crate::metrics::{Build, Metrics};
use crate::observe::{Event, Fanout};
use crate::policy::Peer;
use crate::problem::{Problem, chain};
use crate::sink::{Bell, Sinks};

pub use error::{ReloadError, StartError};
pub use hardware::signers;
pub use https::provision;
pub use parts::{Opened, Parts};
pub use wire::PATIENCE;

/// What the process gives its parts.
#[derive(Debug)]
pub struct Machine {
    pub clock: Arc<dyn Clock>,
    /// The longest that the keeper sleeps: how late it may notice that a clock has jumped.
    pub tick: Duration,
    /// Sockets that systemd has bound for us.
    pub inherited: Inherited,
    /// This very program, started again as the child that loads a PKCS#11 module.
    pub program: PathBuf,
    /// How long the doors wait for hardware, [`PATIENCE`] but for tests.
    pub patience: Duration,
}

/// Where the doors are.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub http: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    pub unix: Option<PathBuf>,
    pub admin: Option<SocketAddr>,
}

impl Places {
    fn tell(&self) {
        for address in &self.http {
            tracing::info!(door = %format_args!("http://{address}"), "listening");
        }
        for address in &self.https {
            tracing::info!(door = %format_args!("https://{address}"), "listening");
        }
        if let Some(path) = &self.unix {
            tracing::info!(door = %format_args!("unix:{}", path.display()), "listening");
        }
        if let Some(address) = self.admin {
            tracing::info!(admin = %format_args!("http://{address}"), "listening");
        }
    }
}

/// A running broker. Dropping it abandons its tasks to the runtime; [`App::stop`] ends them in order.
#[derive(Debug)]
pub struct App {
    places: Places,
    front: Arc<Front>,
    admin: Arc<AdminState>,
    tools: Tools,
    sinks: Arc<Sinks>,
    bell: Arc<Bell>,
    https: Option<Https>,
    tick: Duration,
    doors: Service,
    pages: Service,
    current: Mutex<Current>,
}

/// What a reload replaces.
#[derive(Debug)]
struct Current {
    listen: Listen,
    hardware: HardwareSettings,
    wired: Vec<Wired>,
    broker: Arc<Broker>,
    keeper: JoinHandle<()>,
    upkeep: Upkeep,
}

/// The connected parts of a configuration without doors, pages and keeper, heard by nobody: for a verb that asks for
/// itself and leaves.
pub async fn connect(config: &Config, clock: Arc<dyn Clock>, program: PathBuf) -> Result<Wiring, StartError> {
    let signers = signers(config, program, Arc::clone(&clock));
    let tools = Tools { clock, observer: Arc::new(Fanout(Vec::new())), signers, patience: PATIENCE };
    match wire::build(config, &[], None, &tools).await {
        Ok(Built { wiring, .. }) => Ok(wiring),
        Err((identity, source)) => Err(StartError::Open { identity, source }),
    }
}

/// Listeners that are told to stop together.
#[derive(Debug)]
struct Service {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl App {
    /// Builds everything and serves. Comes back as soon as the doors are open: whether tokens can be had shows later,
    /// in the answers and on `/readyz`.
    pub async fn start(config: Config, machine: Machine) -> Result<Self, StartError> {
        let Machine { clock, tick, mut inherited, program, patience } = machine;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let metrics = Arc::new(Metrics::new(build_facts(), clock.clone()));
        let audit = Arc::new(Audit::new());
        let bell = Arc::new(Bell::new());
        let observer = Arc::new(Fanout(vec![metrics.clone(), audit, bell.clone()]));
        let signers = signers(&config, program, Arc::clone(&clock));
        let tools = Tools { clock, observer, signers, patience };
        let https = if config.listen.https.is_some() || inherited.has("https") {
            Some(Https::open(&config, &tools, tick).await?)
        } else {
            None
        };
        let over_tls = https.as_ref().map(Https::served);
        let Built { wiring, wired, sinks: wanted, signing, mortal } = wire::build(&config, &[], over_tls, &tools)
            .await
            .map_err(|(identity, source)| StartError::Open { identity, source })?;
        let tls = https.as_ref().map(Https::server_config).transpose()?;
        let sockets = Sockets::bind(&config.listen, tls.as_ref(), &mut inherited).await?;

        let broker = wiring.broker.clone();
        let sinks = Arc::new(Sinks::new(tools.clock.clone(), tools.observer.clone(), bell.clone(), tick));
        let admin = Arc::new(AdminState::new(broker.clone(), signing.clone(), sinks.clone(), metrics.clone()));
        let front = Arc::new(Front::new(wiring, tools.clock.clone(), tools.observer.clone(), metrics.answers()));
        let places = sockets.places(&config.listen);
        let pages = serve_pages(sockets.admin, admin.clone());
        let doors = serve_doors(sockets.doors, front.clone());
        admin.listening();
        places.tell();
        tracing::info!(doors = %config.listen.doors, "open");
        wire::tell(&wired, &*tools.observer);
        sinks.order(wanted);
        let keeper = tokio::spawn(broker.clone().keep(tick));
        let upkeep = Upkeep::start(&signing, mortal, &tools, tick);
        let Config { listen, hardware, .. } = config;
        let current = Mutex::new(Current { listen, hardware, wired, broker, keeper, upkeep });
        Ok(Self { places, front, admin, tools, sinks, bell, https, tick, doors, pages, current })
    }

    /// Where the doors are, with the ports that the system chose.
    #[must_use]
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Wakes the keeper and the sinks, for who has just moved a clock by hand.
    pub async fn poke(&self) {
        let current = self.current.lock().await;
        current.broker.poke();
        current.upkeep.poke();
        if let Some(https) = &self.https {
            https.poke();
        }
        self.bell.ring();
    }

    /// Takes a new configuration over: slots of identities that mint as before are kept, withdrawn scopes and callers
    /// are refused from the next request on. On failure everything stays as it was, and it is logged and counted.
    pub async fn reload(&self, config: Result<Config, ConfigProblems>) -> Result<(), ReloadError> {
        let outcome = self.try_reload(config).await;
        let at = self.tools.clock.now().epoch();
        if let Err(error) = &outcome {
            let remedy = error.remedy().unwrap_or_default();
            tracing::error!(code = error.code(), remedy = &*remedy, "the old configuration goes on: {}", chain(error));
        }
        self.tools.observer.on(&Event::Reloaded { ok: outcome.is_ok(), at });
        outcome
    }

    async fn try_reload(&self, config: Result<Config, ConfigProblems>) -> Result<(), ReloadError> {
        let config = config?;
        let mut current = self.current.lock().await;
        refuse_other_listeners(&current.listen, &config.listen)?;
        hardware::refuse_other(&current.hardware, &config.hardware)?;
        let over_tls = self.https.as_ref().map(Https::served);
        let Built { wiring, wired, sinks, signing, mortal } =
            wire::build(&config, &current.wired, over_tls, &self.tools)
                .await
                .map_err(|(identity, source)| ReloadError::Open { identity, source })?;
        // The last that may fail: it takes effect at once.
        if let Some(https) = &self.https {
            https.change(&config).await?;
        }
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let broker = wiring.broker.clone();
        current.keeper.abort();
        broker.adopt(&current.broker);
        self.front.rewire(wiring);
        if config.listen.doors != current.listen.doors {
            tracing::info!(doors = %config.listen.doors, "open from now on");
        }
        self.admin.rewire(broker.clone(), signing.clone());
        wire::tell(&wired, &*self.tools.observer);
        self.sinks.order(sinks);
        let keeper = tokio::spawn(broker.clone().keep(self.tick));
        let upkeep = Upkeep::start(&signing, mortal, &self.tools, self.tick);
        let Config { listen, hardware, .. } = config;
        *current = Current { listen, hardware, wired, broker, keeper, upkeep };
        Ok(())
    }

    /// Not ready, then `drain` more of service, then the requests under way, then nothing.
    pub async fn stop(self) {
        self.admin.draining();
        let current = self.current.into_inner();
        let drain = current.listen.drain;
        if !drain.is_zero() {
            tracing::info!(?drain, "stopping after the drain time");
            tokio::time::sleep(drain).await;
        }
        self.doors.stop().await;
        current.keeper.abort();
        drop(current.upkeep);
        self.sinks.stop();
        self.pages.stop().await;
        tracing::info!("stopped");
    }
}

impl Service {
    fn open<A, F>(sockets: Vec<Socket>, answer: A) -> Self
    where
        A: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        let stop = watch::Sender::new(false);
        let serve = |socket| tokio::spawn(listen::serve(socket, Limits::default(), answer.clone(), stop.subscribe()));
        let tasks = sockets.into_iter().map(serve).collect();
        Self { stop, tasks }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a listener ended badly");
            }
        }
    }
}

fn serve_doors(sockets: Vec<Socket>, front: Arc<Front>) -> Service {
    Service::open(sockets, move |peer, request| front.answer(peer, request))
}

fn serve_pages(sockets: Vec<Socket>, state: Arc<AdminState>) -> Service {
    Service::open(sockets, move |peer, request| std::future::ready(admin::answer(&request, peer, &state)))
}

/// Everything bound, before anything is served: a clash is one early error.
#[derive(Debug)]
struct Sockets {
    doors: Vec<Socket>,
    admin: Vec<Socket>,
}

impl Sockets {
    /// What systemd bound goes before what the configuration says.
    async fn bind(
        settings: &Listen,
        tls: Option<&Arc<ServerConfig>>,
        inherited: &mut Inherited,
    ) -> Result<Self, BindError> {
        let mut doors = inherited.take("http");
        let mut https = inherited.take("https");
        // The configuration's own addresses were checked when it was read.
        if !settings.unsafe_any_address {
            doors.iter().chain(&https).try_for_each(Socket::check_near)?;
        }
        if doors.is_empty() {
            for &address in &settings.http {
                doors.push(listen::tcp("listen.http", address)?);
            }
        }
        if let Some(settings) = settings.https.as_ref().filter(|_| https.is_empty()) {
            https.push(listen::tcp("listen.https", settings.address)?);
        }
        doors.extend(https.into_iter().zip(tls.into_iter().cycle()).map(|(socket, tls)| socket.over_tls(tls)));
        let unix = inherited.take("unix");
        match &settings.unix {
            Some(unix_settings) if unix.is_empty() => {
                doors
                    .push(listen::unix(&unix_settings.path, unix_settings.mode, unix_settings.group.as_deref()).await?);
            }
            _ => doors.extend(unix),
        }
        let mut admin = inherited.take("admin");
        if let Some(address) = settings.admin.filter(|_| admin.is_empty()) {
            admin.push(listen::tcp("listen.admin", address)?);
        }
        Ok(Self { doors, admin })
    }

    fn places(&self, settings: &Listen) -> Places {
        let addresses = |kind: fn(&Socket) -> bool| {
            self.doors.iter().filter(|door| kind(door)).filter_map(Socket::address).collect()
        };
        Places {
            http: addresses(|door| matches!(door, Socket::Tcp(_))),
            https: addresses(|door| matches!(door, Socket::Tls(..))),
            unix: settings.unix.as_ref().map(|unix| unix.path.clone()),
            admin: self.admin.first().and_then(Socket::address),
        }
    }
}

/// Listeners are bound once; `wait`, `drain` and `hosts` are no listeners.
fn refuse_other_listeners(was: &Listen, new: &Listen) -> Result<(), ReloadError> {
    fn listed(places: impl IntoIterator<Item = impl ToString>) -> String {
        let places: Vec<_> = places.into_iter().map(|place| place.to_string()).collect();
        if places.is_empty() { "nothing".to_owned() } else { places.join(", ") }
    }
    let settings = [
        ("listen.http", listed(&was.http), listed(&new.http)),
        (
            "listen.https",
            listed(was.https.as_ref().map(|https| https.address)),
            listed(new.https.as_ref().map(|https| https.address)),
        ),
        ("listen.unix", listed(&was.unix), listed(&new.unix)),
        ("listen.admin", listed(was.admin), listed(new.admin)),
    ];
    match settings.into_iter().find(|(_, was, new)| was != new) {
        Some((setting, was, new)) => Err(ReloadError::Listener { setting, was, new }),
        None => Ok(()),
    }
}

/// What this build was made with beyond the default, parted by commas.
pub const FEATURES: &str = if cfg!(feature = "tpm") { "tpm" } else { "" };

#[must_use]
pub fn build_facts() -> Build {
    Build {
        version: env!("CARGO_PKG_VERSION"),
        revision: option_env!("UNSECRET_REVISION").unwrap_or("unknown"),
        features: FEATURES,
    }
}
