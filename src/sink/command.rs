//! The command after a write.
//!
//! No shell, no variables but `PATH`, nothing to read and nobody who keeps what it prints. One at a time in the whole
//! process. Easy to get wrong: a program that hangs has children, so its whole group is killed; and so it is when the
//! broker stops.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::error::SinkError;

/// A reload tells a program to read a file; what takes longer hangs, and the next write waits for it.
pub(super) const LIMIT: Duration = Duration::from_secs(30);
/// Where programs are looked for: the broker's own variables stay with the broker.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs one command at a time.
#[derive(Debug, Default)]
pub(super) struct Commands(Mutex<()>);

impl Commands {
    pub(super) async fn run(&self, words: &[String], limit: Duration) -> Result<(), SinkError> {
        let Some((program, arguments)) = words.split_first() else { return Ok(()) };
        let _turn = self.0.lock().await;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", PATH).current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let named = || program.clone();
        let started = command.spawn();
        let mut child = started.map_err(|source| SinkError::NotStarted { program: named(), source })?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        match timeout(limit, child.wait()).await {
            Ok(ended) => {
                // What it left running in its group may be the very program it restarted.
                group.0 = None;
                match ended {
                    Ok(status) if status.success() => Ok(()),
                    Ok(status) => Err(SinkError::Unsuccessful { program: named(), ended: status.to_string() }),
                    Err(source) => Err(SinkError::NotStarted { program: named(), source }),
                }
            }
            Err(_) => {
                drop(group);
                // Killed, so it ends; no zombie stays.
                let _ = child.wait().await;
                Err(SinkError::TooSlow { program: named(), limit })
            }
        }
    }
}

/// The process group of a command that runs; killed on drop.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Gone already is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
