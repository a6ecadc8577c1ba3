//! Certificates under the local CA.

use std::time::Duration;

use crate::support::world::{GRAPH, Plan, World};

const DAY: Duration = Duration::from_secs(86_400);

fn plan() -> Plan {
    Plan { https: true, ..Plan::default() }
}

#[tokio::test]
async fn a_client_that_trusts_the_roots_gets_a_token_by_every_name() {
    let listen = "hosts = [\"sidecar.internal\"]\n".to_owned();
    let world = World::of(Plan { listen, ..plan() }).await;
    for name in ["localhost", "127.0.0.1", "::1", "sidecar.internal"] {
        let answer = world.imds(GRAPH).at(world.tls().named(name)).send().await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
    }
    let answer = world.oauth(GRAPH).at(world.tls()).send().await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let _ = DAY;
}
