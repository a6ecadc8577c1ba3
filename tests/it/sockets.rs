//! What `[listen]` says of the sockets, seen from the other end.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use crate::support::parts::{Level, missing};
use crate::support::world::{GRAPH, Plan, World, imds};

#[tokio::test]
async fn the_unix_socket_has_the_mode_and_the_group_that_were_asked_for() {
    let root = rustix::process::geteuid().is_root();
    // Only root may give a file to a group it is not in.
    let group = if root { 4_712 } else { rustix::process::getegid().as_raw() };
    let listen = format!("unix_mode = \"0620\"\nunix_group = \"{group}\"");
    let world = World::of(Plan { unix: true, listen, ..Plan::default() }).await;
    let data = std::fs::metadata(world.path("broker.sock")).unwrap();
    assert_eq!((data.permissions().mode() & 0o777, data.gid()), (0o620, group));
    imds(world.unix(), GRAPH).send().await.token();
}

#[tokio::test]
async fn an_ipv6_loopback_door_is_a_door_like_any_other() {
    if TcpListener::bind("[::1]:0").is_err() {
        return missing(Level::Full, "IPv6 on the loopback interface");
    }
    let environment = vec![("UNSECRET_LISTEN_HTTP", "127.0.0.1:0,[::1]:0".to_owned())];
    let world = World::of(Plan { environment, ..Plan::default() }).await;
    let [four, six] = world.app.places().http[..] else { panic!("{:?}", world.app.places()) };
    assert!(four.is_ipv4() && six.is_ipv6());
    assert_eq!(imds(four, GRAPH).send().await.token(), imds(six, GRAPH).send().await.token());
}
