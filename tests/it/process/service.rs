//! As systemd runs it: with sockets that it holds, and telling it how things are.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use rustix::process::Signal;
use tokio::net::UnixDatagram;
use tokio::process::Command;

use super::{PATIENCE, Running, config, prepared, unsecret};
use crate::support::world::{GRAPH, World, imds};

/// Runs the binary with a socket as descriptor 3. `$$` is the shell's own number, which stays when it becomes the service.
fn activated(socket: &TcpListener, config: &str) -> Command {
    let script = r#"export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=http
        exec "$0" run --config "$1" 3<&0 </dev/null"#;
    let mut command = prepared(Command::new("/bin/sh"), &["-c", script, env!("CARGO_BIN_EXE_unsecret"), config]);
    command.stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
    command
}

#[tokio::test]
async fn a_socket_that_systemd_holds_outlives_a_restart_and_nobody_is_turned_away() {
    let world = World::new().await;
    let config = config(&world);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let first = Running::start(activated(&socket, &config)).await;
    assert_eq!(first.http, address);
    first.imds(GRAPH).send().await.token();
    first.stop().await;
    TcpListener::bind(address).expect_err("the port is free to squat");
    let patient = tokio::spawn(imds(address, GRAPH).send());
    let second = Running::start(activated(&socket, &config)).await;
    patient.await.unwrap().token();
    second.stop().await;
}

/// systemd's end of the socket that is told how things are.
struct Told(UnixDatagram);

impl Told {
    /// The next message that is not from the watchdog.
    async fn next(&self) -> String {
        loop {
            let message = self.any().await;
            if message != "WATCHDOG=1\n" {
                return message;
            }
        }
    }

    async fn any(&self) -> String {
        let mut bytes = [0; 1_024];
        let received = tokio::time::timeout(PATIENCE, self.0.recv(&mut bytes)).await;
        let length = received.unwrap_or_else(|_| panic!("systemd is told nothing")).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }
}

#[tokio::test]
async fn systemd_is_told_of_the_start_of_each_reload_of_life_and_of_the_end() {
    let world = World::new().await;
    let path = world.path("notify");
    let told = Told(UnixDatagram::bind(&path).unwrap());
    let mut command = unsecret(&["run", "--config", &config(&world)]);
    command.env("NOTIFY_SOCKET", path).env("WATCHDOG_USEC", "300000");
    let broker = Running::start(command).await;
    assert!(told.next().await.starts_with("READY=1\n"));
    assert_eq!(broker.page("/startupz").await.status, 200);
    for _ in 0..3 {
        assert_eq!(told.any().await, "WATCHDOG=1\n");
    }
    broker.signal(Signal::HUP);
    let reloading = told.next().await;
    // systemd.service(5): both in one message.
    let [first, second] = reloading.lines().collect::<Vec<_>>()[..] else { panic!("{reloading}") };
    assert_eq!(first, "RELOADING=1");
    assert!(second.strip_prefix("MONOTONIC_USEC=").unwrap().parse::<u64>().unwrap() > 0);
    assert!(told.next().await.starts_with("READY=1\n"));
    broker.signal(Signal::TERM);
    assert_eq!(told.next().await, "STOPPING=1\n");
    assert_eq!(broker.end().await.code(), Some(0));
}
