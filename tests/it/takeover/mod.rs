//! `listen.takeover`: a login host that is found here, what is ours of it, and what goes on to the real one.

mod apart;
mod ours;
mod passing;

use crate::support::http::Place;
use crate::support::world::{Plan, World};

pub const HOST: &str = "login.microsoftonline.com";

/// A broker that has taken the host over, whose real one is at this address.
fn plan(real: &str) -> Plan {
    Plan {
        https: true,
        listen: format!("takeover = [\"{HOST}\"]\ntakeover_addresses = [\"{real}\"]\n"),
        authority_host: Some(format!("https://{HOST}")),
        ..Plan::default()
    }
}

/// Where its clients find it.
fn taken(world: &World) -> Place {
    world.tls().named(HOST).into()
}
