//! `unsecret exec`: the real binary, real children, the emulator behind.
//!
//! Easy to get wrong: whoever runs the tests may sit at a terminal, which changes how signals go; so each run that asks
//! for none gets a session without one. And a child that hangs must not stay behind: all are killed on drop.

mod child;
mod clients;
mod doors;
mod environment;
mod page;
mod private;
mod signals;
mod terminal;
mod via;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::http::Call;
use crate::support::settled;
use crate::support::world::{GRAPH, World, encoded};

/// Nothing here takes longer, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints what a child finds of its door.
const TELL_DOOR: &str = r#"printf '%s\n%s\n' "$IDENTITY_ENDPOINT" "$IDENTITY_HEADER""#;

/// `unsecret exec` with these arguments, in a session without a terminal, with nothing of the machine's own variables.
fn exec<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("setsid");
    command.arg(env!("CARGO_BIN_EXE_unsecret")).arg("exec").args(arguments).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// With the world's identity and a door of its own.
fn own(world: &World, command: &[&str]) -> Command {
    let config = put_config(world);
    exec(["--config", &config, "--"].into_iter().chain(command.iter().copied()))
}

/// The world's configuration as a file.
fn put_config(world: &World) -> String {
    let path = world.path("config.toml");
    std::fs::write(&path, world.config_text()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A process that has ended.
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

async fn ended(mut command: Command) -> Ended {
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("the process does not end")).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: settled(&text(output.stderr)) }
}

/// A child that prints lines and reads what it should do.
struct Running {
    process: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdin(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { stdin: process.stdin.take(), process, lines }
    }

    /// What the child prints next.
    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        match line.unwrap_or_else(|_| panic!("the child says nothing")).unwrap() {
            Some(line) => line,
            None => panic!("the child has ended: {}", self.said().await),
        }
    }

    async fn say(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).await.unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().unwrap().try_into().unwrap()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Closes its stdin and waits for the end.
    async fn end(&mut self) -> Option<i32> {
        self.stdin = None;
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        status.unwrap_or_else(|_| panic!("the process does not end")).unwrap().code()
    }

    /// All of stderr, once it is over.
    async fn said(&mut self) -> String {
        let mut text = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut text).await.unwrap();
        text
    }
}

/// A child that told its door with [`TELL_DOOR`] and waits for its stdin to close.
struct Open {
    child: Running,
    address: SocketAddr,
    key: String,
}

impl Open {
    async fn start(command: Command) -> Self {
        let mut child = Running::start(command);
        let endpoint = child.line().await;
        let address = endpoint.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/msi/token"));
        let address = address.unwrap_or_else(|| panic!("no address in {endpoint}")).parse().unwrap();
        let key = child.line().await;
        Self { child, address, key }
    }

    /// What an SDK asks, with this key.
    fn ask(&self, key: &str) -> Call {
        ask(self.address, key)
    }
}

fn ask(address: SocketAddr, key: &str) -> Call {
    let call = Call::get(address, format!("/msi/token?api-version=2019-08-01&resource={}", encoded(GRAPH)));
    call.header("x-identity-header", key)
}

/// The shell command that tells its door and waits.
fn tell_and_wait() -> String {
    format!("{TELL_DOOR}; cat >/dev/null")
}
