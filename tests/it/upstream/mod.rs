//! From an assertion source to Entra's answer, over real sockets: what is sent, and what every bad day is called.

mod attempts;
mod faults;
mod github;
mod proxies;
mod strict;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use unsecret::assertion::{Assertion, AssertionError, AssertionSource, Wanted};
use unsecret::authority::Authority;
use unsecret::broker::{Fresh, Mint as _, MintError};
use unsecret::clock::{Clock, SystemClock};
use unsecret::entra::Entra;
use unsecret::facts::Facts;
use unsecret::ids::{Guid, IdentityName, Resource, Tenant};
use unsecret::local_ca::LocalCa;
use unsecret::mint::{Exchange, Timing};
use unsecret::observe::{Event, Observer};
use unsecret::outbound::{Outbound, Settings};
use unsecret::problem::chain;
use unsecret::secret::{Fingerprint, Secret};

use crate::support::far_end::{self, FarEnd, Reply};

const TENANT: &str = "11111111-aaaa-4bbb-8ccc-222222222222";
const CLIENT: &str = "33333333-dddd-4eee-8fff-444444444444";

/// What a test says about the way out; the rest is as in production.
fn settings(ca_file: PathBuf) -> Settings {
    Settings { ca_file: Some(ca_file), ..Settings::default() }
}

fn mint(host: &str, settings: Settings, source: Arc<dyn AssertionSource>, observer: Arc<dyn Observer>) -> Exchange {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    Exchange::new(
        IdentityName::parse("billing").unwrap(),
        Authority::at_host(host, Tenant::parse(TENANT).unwrap()).unwrap(),
        Guid::parse(CLIENT).unwrap(),
        source,
        Entra::new(Arc::new(Outbound::new(settings)), Arc::clone(&clock)),
        Timing::new(clock),
        observer,
    )
}

fn graph() -> Resource {
    Resource::parse("https://graph.microsoft.com").unwrap()
}

/// A source that offers these assertions in turn, as long as they were not refused.
#[derive(Debug)]
struct Scripted(Vec<&'static str>);

impl AssertionSource for Scripted {
    fn assertion<'a>(
        &'a self,
        wanted: Wanted<'a>,
    ) -> futures_core::future::BoxFuture<'a, Result<Assertion, AssertionError>> {
        let offer = self.0.iter().find(|name| !wanted.refused.contains(&Fingerprint::of(name.as_bytes())));
        let facts = Facts { issuer: Some("https://issuer/".to_owned()), ..Facts::default() };
        let made =
            offer.map(|name| Assertion { jwt: Secret::new(*name), mark: Fingerprint::of(name.as_bytes()), facts });
        Box::pin(async move { made.ok_or(AssertionError::Exhausted) })
    }

    fn kind(&self) -> &'static str {
        "scripted"
    }
}

/// Writes down what it hears, one word per event.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Observer for Heard {
    fn on(&self, event: &Event<'_>) {
        let word = match event {
            Event::Asserted { outcome, .. } => format!("asserted {outcome}"),
            Event::Exchanged { outcome, aadsts, .. } => match aadsts {
                Some(number) => format!("exchanged {} {number}", outcome.as_str()),
                None => format!("exchanged {}", outcome.as_str()),
            },
            _ => "other".to_owned(),
        };
        self.0.lock().unwrap().push(word);
    }
}

/// An Entra that says what it is told, and a mint in front of it.
struct World {
    _ca: LocalCa,
    far: FarEnd,
    mint: Exchange,
    heard: Arc<Heard>,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new(assertions: &[&'static str], replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::with(assertions, replies, Duration::from_secs(30)).await
    }

    async fn with(assertions: &[&'static str], replies: impl IntoIterator<Item = Reply>, deadline: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = far_end::ca("far end CA");
        let ca_file = dir.path().join("ca.pem");
        std::fs::write(&ca_file, ca.certificate_pem()).unwrap();
        let far = FarEnd::start(&ca, replies).await;
        let heard = Arc::new(Heard::default());
        let settings = Settings { deadline, connect_timeout: Duration::from_secs(30), ..settings(ca_file) };
        let source = Arc::new(Scripted(assertions.to_vec()));
        let mint = mint(&far.host(), settings, source, Arc::clone(&heard) as Arc<dyn Observer>);
        Self { _ca: ca, far, mint, heard, _dir: dir }
    }

    async fn ask(&self) -> Result<Fresh, MintError> {
        self.mint.mint(graph().into()).await
    }

    async fn failure(&self) -> MintError {
        self.ask().await.unwrap_err()
    }

    fn heard(&self) -> Vec<String> {
        self.heard.0.lock().unwrap().clone()
    }
}

/// Code and whole chain, for a message that explains itself.
fn told(error: &MintError) -> (&'static str, String) {
    (error.problem.code(), chain(&*error.problem))
}
