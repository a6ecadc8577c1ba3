//! Files that are kept fresh: what stands in them, how long it is good, and what a failure leaves.
//!
//! Files are read here as their clients read them: whenever they like, without waiting for the broker. Easy to get wrong:
//! a wait for the next content before each look would hide a gap.

mod assertions;
mod clients;
mod commands;
mod reload;
mod tokens;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use unsecret::clock::Clock as _;

use crate::support::world::{Plan, World, until};

/// Past any refresh time and far above the margin, for a token that lives an hour.
const REFRESH: Duration = Duration::from_secs(2_600);
/// Longer than any pause after a failure that Entra did not ask for.
const PAUSE: Duration = Duration::from_secs(61);

/// A world whose clock stands and whose first identity has these sinks, each a list of lines.
fn with_sinks(sinks: &[&str]) -> Plan {
    let more = sinks.iter().flat_map(|lines| ["[[identity.sink]]\n", lines, "\n"]).collect();
    Plan { standing: true, more, ..Plan::default() }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Waits until a file holds something else than before.
async fn until_replaced(path: &Path, before: &str) -> String {
    until("the file is replaced", async || {
        let now = std::fs::read_to_string(path).ok()?;
        (now != before).then_some(now)
    })
    .await
}

fn claims(jwt: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// How long a token or assertion is still good by the world's clock.
fn left(world: &World, jwt: &str) -> u64 {
    claims(jwt)["exp"].as_u64().unwrap().saturating_sub(world.clock.now().epoch())
}
