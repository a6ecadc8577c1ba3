//! Out of file descriptors: callers wait, nothing ends, the log is not flooded, and all is well afterwards.

use tokio::net::TcpStream;
use tokio::process::Command;

use super::{Running, config, prepared};
use crate::support::world::{GRAPH, World};

/// Runs the binary in a shell that has set its limits.
fn limited(limits: &str, config: &str) -> Command {
    let script = format!(r#"{limits}; exec "$0" run --config "$1""#);
    prepared(Command::new("/bin/sh"), &["-c", &script, env!("CARGO_BIN_EXE_unsecret"), config])
}

#[tokio::test]
async fn a_low_soft_limit_is_raised_as_far_as_the_hard_one_goes() {
    let world = World::new().await;
    for (limits, expected) in
        [("ulimit -S -n 200; ulimit -H -n 300", ["300", "300"]), ("ulimit -n 200", ["200", "200"])]
    {
        let broker = Running::start(limited(limits, &config(&world))).await;
        let all = std::fs::read_to_string(format!("/proc/{}/limits", broker.child.id().unwrap())).unwrap();
        let files = all.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        assert_eq!(files.split_whitespace().take(2).collect::<Vec<_>>(), expected);
        broker.stop().await;
    }
}

#[tokio::test]
async fn a_listener_that_is_out_of_descriptors_goes_on_when_there_are_some_again() {
    let world = World::new().await;
    let broker = Running::start(limited("ulimit -n 48", &config(&world))).await;
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
