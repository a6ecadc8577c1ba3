//! `169.254.169.254:80`, where SDKs look for IMDS: taken where it is an address of this machine, refused by name elsewhere.
//!
//! In a network namespace of the test's own, where it is root and port 80 is free.

use std::process::Stdio;

use tokio::process::Command;

use super::{Ended, Running, ended, prepared, put};
use crate::support::parts::{Level, missing};
use crate::support::world::World;

/// Before the first interface is up, Linux binds any address.
const LOOPBACK: &str = "ip link set lo up &&";
const ADDRESS: &str = "ip link set lo up && ip address add 169.254.169.254/32 dev lo &&";

/// Runs the binary in a namespace that `before` has prepared.
fn apart(before: &str, verb: &str, config: &str) -> Command {
    let script = format!(r#"{before} exec "$0" {verb} --config "$1""#);
    let arguments = ["-rn", "/bin/sh", "-c", &script, env!("CARGO_BIN_EXE_unsecret"), config];
    let mut command = prepared(Command::new("unshare"), &arguments);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

async fn can_be_apart() -> bool {
    let mut command = Command::new("unshare");
    command.args(["-rn", "/bin/sh", "-c", &format!("{ADDRESS} true")]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().await.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn the_address_of_imds_is_taken_where_it_is_local_and_only_there() {
    if !can_be_apart().await {
        return missing(Level::Full, "unshare -rn and ip");
    }
    let world = World::new().await;
    let text = world.config_text().replacen("http = [\"127.0.0.1:0\"]", "http = [\"169.254.169.254:80\"]", 1);
    let config = put(&world, "imds.toml", &text);

    let Ended { status, stderr, .. } = ended(apart(LOOPBACK, "check", &config)).await;
    assert_eq!(status, Some(2), "{stderr}");
    assert!(stderr.contains("`listen.http[0]` is \"169.254.169.254:80\", but this machine does not have"), "{stderr}");
    assert!(stderr.contains("remedy: add 169.254.169.254 to an interface first"), "{stderr}");

    let broker = Running::start(apart(ADDRESS, "run", &config)).await;
    assert_eq!(broker.http.to_string(), "169.254.169.254:80");
    broker.stop().await;
}
