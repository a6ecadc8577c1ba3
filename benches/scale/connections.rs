//! A real broker: what an exchange costs it, and what connections cost that have asked once and stay open.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::client::{Connection, Place};
use crate::support::figures;
use crate::support::stage::{self, Stage};
use crate::support::{Outcome, process};

/// What one listener takes (`listen::Limits`), less a few for ourselves.
const EACH: usize = 500;

pub(crate) async fn table(server: &Path, quick: bool) -> Outcome<()> {
    let (connections, exchanges) = if quick { (500, 5) } else { (10_000, 200) };
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // The broker inherits it.
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let resources: Vec<_> = (0..exchanges).map(|number| format!("https://resource-{number}.example")).collect();
    let stage = Stage::set(server, &resources).await?;
    let broker = stage.start_broker(connections / EACH, "scopes = [\"*\"]")?;
    let pid = broker.server.pid();
    let mut first = Connection::open(&Place::Tcp(broker.doors[0])).await?;
    // The TLS client is loaded.
    first.ask(&stage::imds(stage::RESOURCE)).await?;
    let before = process::cpu(pid)?;
    for resource in &resources {
        first.ask(&stage::imds(resource)).await?;
    }
    let exchange = process::cpu(pid)?.saturating_sub(before) / u32::try_from(exchanges)?;
    figures::say(&format!(
        "An exchange costs the broker {:.2} ms of processor time (mean of {exchanges}, each over a new TLS connection).\n",
        exchange.as_secs_f64() * 1e3
    ));
    let before = process::resident(pid)?;
    let mut open = Vec::with_capacity(connections);
    for number in 0..connections {
        let door = broker.doors[number / EACH];
        let mut connection = Connection::open(&Place::Tcp(door)).await?;
        connection.ask(&stage::imds(stage::RESOURCE)).await?;
        open.push(connection);
    }
    let with = process::resident(pid)?;
    let cpu = process::cpu(pid)?;
    let pause = Duration::from_secs(if quick { 1 } else { 10 });
    tokio::time::sleep(pause).await;
    let idle = process::cpu(pid)?.saturating_sub(cpu);
    drop(open);
    figures::head(&["idle connections", "RSS before, KiB", "RSS with them, KiB", "KiB each", "CPU while idle, ms/s"]);
    figures::row(&[
        format!("{connections} on {} listeners", connections / EACH),
        before.to_string(),
        with.to_string(),
        format!("{:.1}", figures::share(with.saturating_sub(before), connections as u64)),
        format!("{:.2}", idle.as_secs_f64() * 1e3 / pause.as_secs_f64()),
    ]);
    Ok(())
}
