//! The private door: on loopback, at a port that the system chooses, with a key made for this one run.
//!
//! Behind it is either the whole broker in this process, with a configuration of its own, or a bridge to a running one.
//! Easy to get wrong: any process of the machine can find the port, so without the key nothing is served, and of all doors
//! only the one that was asked for is open.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::watch;
use url::Url;

use super::bridge::Bridge;
use crate::app::{App, Machine, PATIENCE, StartError};
use crate::cli::private::{self, PrivateError};
use crate::cli::program;
use crate::cli::via::Via;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::ids::{Door, Guid};
use crate::listen::{self, BindError, Inherited, Limits};
use crate::problem::Problem;
use crate::secret::local_key::{LocalKey, LocalKeyError};

/// The system chooses the port.
const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// As in `run`: how late a jump of the clock may be noticed.
const TICK: Duration = Duration::from_secs(15);

/// An open door. It closes with the process, or when this is dropped and the runtime with it.
#[derive(Debug)]
pub(super) struct PrivateDoor {
    pub(super) address: SocketAddr,
    pub(super) key: LocalKey,
    _behind: Behind,
}

#[derive(Debug)]
enum Behind {
    Broker {
        _app: Box<App>,
    },
    /// The listener ends when this sender is gone.
    Bridge {
        _stop: watch::Sender<bool>,
    },
}

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub(super) enum DoorError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Private(#[from] PrivateError),
}

impl DoorError {
    pub(super) fn problem(&self) -> &dyn Problem {
        match self {
            Self::Start(problem) => problem,
            Self::Bind(problem) => problem,
            Self::Private(problem) => problem,
        }
    }

    /// True when asking again cannot help before somebody changes the configuration or its files.
    pub(super) fn is_configuration(&self) -> bool {
        matches!(self, Self::Start(error) if error.is_configuration())
    }
}

impl From<LocalKeyError> for DoorError {
    fn from(error: LocalKeyError) -> Self {
        Self::Private(error.into())
    }
}

impl PrivateDoor {
    /// The broker in this process, for the one identity that is left in `config`.
    pub(super) async fn of_our_own(mut config: Config, door: Door) -> Result<Self, DoorError> {
        let key = private::close(&mut config)?;
        config.listen.http = vec![ANYWHERE];
        config.listen.admin = None;
        config.listen.doors = std::iter::once(door).collect();
        for identity in &mut config.identities {
            // Nobody asks for readiness, so no source need be probed for it.
            identity.required = false;
        }
        let machine = Machine {
            clock: Arc::new(SystemClock::new()),
            tick: TICK,
            inherited: Inherited::default(),
            program: program(),
            patience: PATIENCE,
        };
        let app = App::start(config, machine).await?;
        let address = app.places().http.first().copied().unwrap_or(ANYWHERE);
        Ok(Self { address, key, _behind: Behind::Broker { _app: Box::new(app) } })
    }

    /// In front of a running broker.
    pub(super) fn bridging(socket: &Path, client_id: Option<Guid>, door: Door) -> Result<Self, DoorError> {
        let key = LocalKey::generate()?;
        let listener = listen::tcp("exec", ANYWHERE)?;
        let address = listener.address().unwrap_or(ANYWHERE);
        let bridge = Arc::new(Bridge {
            door,
            broker: Via::new(socket),
            key: key.fingerprint(),
            client_id,
            clock: SystemClock::new(),
            silent: AtomicBool::new(false),
        });
        let stop = watch::Sender::new(false);
        let answer = move |peer, request| bridge.clone().answer(peer, request);
        tokio::spawn(listen::serve(listener, Limits::default(), answer, stop.subscribe()));
        Ok(Self { address, key, _behind: Behind::Bridge { _stop: stop } })
    }

    pub(super) fn url(&self) -> Url {
        #[expect(clippy::expect_used, reason = "an address and a port make a URL")]
        Url::parse(&format!("http://{}", self.address)).expect("a URL")
    }
}
