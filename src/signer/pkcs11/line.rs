//! The parent's end: starts a child, asks it, ends it.
//!
//! Easy to get wrong: an answer that comes too late would be taken for that of the next question, so whoever stops
//! waiting ends the child. And a child is not killed where it can leave by itself: hardware likes a goodbye.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::path::PathBuf;
use std::pin::pin;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::messages::{Answer, Failure, Request};
use super::wire;

/// A real device takes a minute for 2048 bits and several for 4096.
const GENERATION: Duration = Duration::from_secs(180);

/// How often an answer is looked for before going to sleep, about a microsecond each.
const LOOKS: u32 = 1_000;

/// What systemd says to us and is not for a module, which would answer in our name.
const OURS: [&str; 6] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// Starts children that load one module.
pub(in crate::signer) trait Launcher: Send + Sync + fmt::Debug {
    fn launch(&self) -> io::Result<Line>;
}

/// This program, started again.
#[derive(Clone, Debug)]
pub(in crate::signer) struct Program {
    pub(in crate::signer) executable: PathBuf,
    pub(in crate::signer) module: PathBuf,
    pub(in crate::signer) environment: BTreeMap<String, String>,
    pub(in crate::signer) withheld: Vec<String>,
}

impl Launcher for Program {
    fn launch(&self) -> io::Result<Line> {
        let (ours, theirs) = Socket::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(&self.executable);
        // By this name modules log: `/proc/self/exe` would stand as `exe` in the journal.
        command.arg0("unsecret").arg("pkcs11-module").arg(&self.module).stdin(OwnedFd::from(theirs));
        // Modules print what they do, and tracing ones print PINs.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        for name in self.withheld.iter().map(String::as_str).chain(OURS) {
            command.env_remove(name);
        }
        // Ctrl-C is for us: we finish what is under way.
        command.envs(&self.environment).process_group(0);
        let child = command.spawn()?;
        Ok(Line { stream: Box::new(UnixStream::from_std(ours)?), child: Some(child) })
    }
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A child that answers. Dropped, the child hears the end and leaves by itself, at the latest after two seconds.
pub(in crate::signer) struct Line {
    pub(super) stream: Box<dyn Stream>,
    /// `None` in tests.
    pub(super) child: Option<Child>,
}

/// Why there is no answer that could be used. After the first two the child has been ended.
#[derive(Debug)]
pub(super) enum Trouble {
    Hung { function: &'static str, limit: Duration },
    Died { function: &'static str },
    Failed(Failure),
    Unloadable(String),
}

impl Line {
    /// One request, one answer. Not cancel-safe: a dropped call leaves an answer behind, so callers run to the end.
    pub(super) async fn ask(&mut self, request: &Request, limit: Duration) -> Result<Answer, Trouble> {
        let (function, limit) = (request.function(), request.limit(limit));
        let outcome = match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(Ok(Some(Answer::Failed(failure)))) => return Err(Trouble::Failed(failure)),
            Ok(Ok(Some(Answer::Unloadable(why)))) => return Err(Trouble::Unloadable(why)),
            Ok(Ok(Some(answer))) => return Ok(answer),
            // Gone, or garbage: a process in which foreign code wrote over our memory is no better than a dead one.
            Ok(Ok(None) | Err(_)) => Trouble::Died { function },
            Err(_) => Trouble::Hung { function, limit },
        };
        self.kill();
        Err(outcome)
    }

    async fn exchange(&mut self, request: &Request) -> io::Result<Option<Answer>> {
        let data = if let Request::Sign { data, .. } = request { data.len() } else { 0 };
        self.stream.write_all(&wire::frame(request, data)).await?;
        let mut head = [0; 4];
        wide_awake(self.stream.read_exact(&mut head)).await?;
        let Some(length) = wire::length(head) else { return Ok(None) };
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).await?;
        Ok(wire::read(&bytes))
    }

    /// At once, whatever it does.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails when it has ended already. The runtime reaps it.
            let _ = child.start_kill();
            tokio::spawn(async move { child.wait().await });
        }
    }
}

/// A processor that went to sleep over a signature made in software takes a tenth of that signature's time to wake up. So the
/// answer is looked for during the first millisecond, between whatever else there is to do.
async fn wide_awake<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    for _ in 0..LOOKS {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = tokio::task::yield_now() => {}
        }
        // On a machine with one processor it is the child's turn.
        thread::yield_now();
    }
    answer.await
}

impl Request {
    /// The function that is most of the work, for a call of which no more is known.
    fn function(&self) -> &'static str {
        match self {
            Self::Start => "C_Initialize",
            Self::Tokens => "C_GetTokenInfo",
            Self::Open { .. } => "C_OpenSession",
            Self::Login { .. } => "C_Login",
            Self::Keys { .. } => "C_FindObjects",
            Self::Mechanisms { .. } => "C_GetMechanismList",
            Self::Sign { .. } => "C_Sign",
            Self::Generate { .. } => "C_GenerateKeyPair",
        }
    }

    /// How long it may take, out of the limit for one call.
    fn limit(&self, limit: Duration) -> Duration {
        match self {
            Self::Sign { again: super::messages::Again::No, .. } | Self::Mechanisms { .. } => limit,
            Self::Generate { .. } => GENERATION.max(limit * 3),
            // Several calls, or one that wakes a device up or waits for a person.
            _ => limit * 3,
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("child", &self.child.as_ref().map(Child::id)).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_goes_by_our_name_wherever_its_module_logs() {
        // Runs until it is killed, whatever it is told.
        let (executable, module) = (PathBuf::from("/usr/bin/yes"), PathBuf::from("/m.so"));
        let program = Program { executable, module, environment: BTreeMap::new(), withheld: Vec::new() };
        let mut child = program.launch().unwrap().child.unwrap();
        let mut words = Vec::new();
        // The kernel says that it was started a moment before it shows with what.
        while words.is_empty() {
            words = std::fs::read(format!("/proc/{}/cmdline", child.id().unwrap())).unwrap();
            tokio::task::yield_now().await;
        }
        child.kill().await.unwrap();
        assert_eq!(words, b"unsecret\0pkcs11-module\0/m.so\0");
    }
}
