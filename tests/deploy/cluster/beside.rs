//! Processes that run beside the tests and end with them, whichever way these end.
//!
//! The cluster is shared by all tests, so it stands in a static, which nothing drops. A shell between holds the other end of
//! a pipe of ours: when this process is gone, the pipe is closed, and the shell ends what it has started.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// `read` returns at the end of the pipe. Without a chance to say goodbye: an API server would wait a minute for its etcd.
const KEEPER: &str = r#""$@" & started=$!; read -r _; kill -9 $started; wait $started; rm -rf "$REMOVED_AT_THE_END""#;

pub struct Beside {
    /// Dropping it closes the pipe, too.
    _keeper: Child,
    log: PathBuf,
}

impl Beside {
    /// Starts the program of `command` with its arguments and no variables but those of `command`; all it says goes to `log`.
    /// A folder that the variable `REMOVED_AT_THE_END` names is.
    pub fn start(command: &Command, log: &Path) -> Self {
        let said = File::create(log).unwrap();
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(command.get_program()).args(command.get_args());
        keeper.env_clear().env("PATH", "/usr/bin:/bin");
        keeper.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let keeper = keeper.stdin(Stdio::piped()).stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
        Self { _keeper: keeper, log: log.to_owned() }
    }

    /// All that it has said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until its doors are open.
    pub async fn listens(&self) {
        until("the broker listens", || self.said().contains("doors").then_some(())).await;
    }

    /// The first address after these words, once it has said it.
    pub async fn address(&self, before: &str) -> String {
        until(before, || {
            let said = self.said();
            let (_, rest) = said.split_once(before)?;
            let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !".:".contains(letter));
            Some(rest[..end?].to_owned())
        })
        .await
    }
}

/// Waits for a condition, at most two minutes: an API server comes up slowly on a busy machine.
pub async fn until<T>(what: &str, probe: impl Fn() -> Option<T>) -> T {
    for _ in 0..2_400 {
        if let Some(found) = probe() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain: {what}")
}
