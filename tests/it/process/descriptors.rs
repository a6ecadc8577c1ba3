//! Out of file descriptors: callers wait, nothing ends, the log is not flooded, and all is well afterwards.

use tokio::net::TcpStream;
use tokio::process::Command;

use super::{Running, config, prepared};
use crate::support::world::{GRAPH, World};

#[tokio::test]
async fn a_listener_that_is_out_of_descriptors_goes_on_when_there_are_some_again() {
    let world = World::new().await;
    let script = r#"ulimit -n 48; exec "$0" run --config "$1""#;
    let arguments = ["-c", script, env!("CARGO_BIN_EXE_unsecret"), &config(&world)];
    let broker = Running::start(prepared(Command::new("/bin/sh"), &arguments)).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(broker.http).await.unwrap());
    }
    broker.until_says("no connection can be accepted").await;
    broker.until_says("failures=8").await;
    assert_eq!(broker.said().matches("failures=").count(), 4, "told at the 1st, 2nd, 4th and 8th:\n{}", broker.said());
    drop(idle);
    broker.imds(GRAPH).send().await.token();
    broker.stop().await;
}
