//! `unsecret run` as its surroundings see it: the real binary, its status, its output, signals, systemd.
//!
//! Entra and every file come from a [`World`]; the binary runs on the machine's own clock. Easy to get wrong: a test that
//! fails must leave no process behind, so each child is killed on drop, and every wait ends loudly.

mod descriptors;
mod emulate;
mod link_local;
mod reload;
mod service;
mod sinks;
mod start;
mod stop;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use crate::support::http::{Answer, Call};
use crate::support::world::{World, imds, until};

/// Nothing here takes longer, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(30);

const PREFETCH: &str = "any_local_caller = true\nprefetch = [\"https://graph.microsoft.com/.default\"]\n";

/// Makes the binary's call with nothing of the machine's own variables.
fn unsecret(args: &[&str]) -> Command {
    prepared(Command::new(env!("CARGO_BIN_EXE_unsecret")), args)
}

fn prepared(mut command: Command, args: &[&str]) -> Command {
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// Writes the world's configuration to a file and gives its path.
fn config(world: &World) -> String {
    put(world, "config.toml", &world.config_text())
}

fn put(world: &World, name: &str, text: &str) -> String {
    let path = world.path(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A process that has ended.
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs to the end.
async fn ended(mut command: Command) -> Ended {
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("the process does not end")).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A process whose doors are open.
struct Running {
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    http: SocketAddr,
    admin: SocketAddr,
}

impl Running {
    async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        let [http, admin] = until("the process listens", async || {
            let said = stderr.lock().unwrap().clone();
            Some([address(&said, "door=http://")?, address(&said, "admin=http://")?])
        })
        .await;
        Self { child, stdout, stderr, http, admin }
    }

    /// With the world's configuration.
    async fn of(world: &World) -> Self {
        Self::start(unsecret(&["run", "--config", &config(world)])).await
    }

    fn imds(&self, resource: &str) -> Call {
        imds(self.http, resource)
    }

    async fn page(&self, path: &str) -> Answer {
        Call::get(self.admin, path).send().await
    }

    async fn until_ready(&self) {
        until("ready", async || (self.page("/readyz").await.status == 200).then_some(())).await;
    }

    async fn until_says(&self, what: &str) {
        until(what, async || self.said().contains(what).then_some(())).await;
    }

    /// What stands on stderr so far.
    fn said(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.try_into().unwrap()));
        kill_process(pid.unwrap_or_else(|| panic!("the process has ended: {}", self.said())), signal).unwrap();
    }

    /// Waits for the end, which somebody has asked for.
    async fn end(mut self) -> ExitStatus {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.unwrap_or_else(|_| panic!("the process does not end: {}", self.said())).unwrap();
        assert_eq!(*self.stdout.lock().unwrap(), "", "stdout is nobody's");
        status
    }

    async fn stop(self) {
        self.signal(Signal::TERM);
        assert_eq!(self.end().await.code(), Some(0));
    }
}

/// The lines of a stream, as they come.
fn collect(stream: impl AsyncRead + Unpin + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut text = into.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    text
}

/// The first address that stands behind `before`.
fn address(said: &str, before: &str) -> Option<SocketAddr> {
    let (_, rest) = said.split_once(before)?;
    rest.split_whitespace().next()?.parse().ok()
}
