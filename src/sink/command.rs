//! The command after a write.
//!
//! No shell, no variables but `PATH`, nothing to read and nobody who keeps what it prints. One at a time in the whole
//! process. Easy to get wrong: a program that hangs has children, so its whole group is killed; and so it is when the
//! broker stops.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::io::Errno;
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
        let Ok(ended) = timeout(limit, child.wait()).await else {
            drop(group);
            // Killed, so it ends; no zombie stays.
            let _ = child.wait().await;
            return Err(SinkError::TooSlow { program: named(), limit });
        };
        // What it left running in its group may be the very program it restarted.
        group.0 = None;
        match ended {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(SinkError::Unsuccessful { program: named(), ended: status.to_string() }),
            Err(source) => Err(SinkError::NotStarted { program: named(), source }),
        }
    }
}

/// Looks for the program where it would be looked for; runs nothing.
pub fn find_program(words: &[String]) -> Result<(), SinkError> {
    let Some(program) = words.first() else { return Ok(()) };
    let is_path = program.contains('/');
    let folders = PATH.split(':').filter(|_| !is_path).chain(is_path.then_some("/"));
    // What is there and may not be run says more than that elsewhere is nothing.
    let mut failure = io::Error::from(Errno::NOENT);
    for folder in folders {
        match runnable(&Path::new(folder).join(program)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => failure = error,
        }
    }
    Err(SinkError::NotStarted { program: program.clone(), source: failure })
}

fn runnable(file: &Path) -> io::Result<()> {
    if fs::metadata(file)?.is_dir() {
        return Err(Errno::ACCESS.into());
    }
    Ok(access(file, Access::EXEC_OK)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem as _;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn a_command_has_no_variables_but_a_path_and_nothing_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let script = format!("{{ /usr/bin/env; cat; }} > {}", out.display());
        Commands::default().run(&shell(&script), LIMIT).await.unwrap();
        let said = fs::read_to_string(&out).unwrap();
        // A shell sets some of its own.
        let ours =
            said.lines().filter(|line| !["PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|own| line.starts_with(own)));
        assert_eq!(ours.collect::<Vec<_>>(), [format!("PATH={PATH}")]);
    }

    #[tokio::test]
    async fn how_a_command_ends_is_told() {
        let commands = Commands::default();
        let failed = commands.run(&shell("exit 7"), LIMIT).await.unwrap_err();
        assert_eq!(
            (failed.code(), failed.to_string().as_str()),
            ("sink-reload-failed", "run `sh` after a write: exit status: 7")
        );
        let missing = commands.run(&["/no/such/program".to_owned()], LIMIT).await.unwrap_err();
        assert_eq!(missing.code(), "sink-reload-not-started");
        commands.run(&[], LIMIT).await.unwrap();
    }

    #[test]
    fn a_program_is_found_where_it_would_be_run_from() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "#!/bin/sh").unwrap();
        let found = |program: &str| {
            find_program(&[program.to_owned()]).map_err(|error| match error {
                SinkError::NotStarted { source, .. } => source.kind(),
                other => panic!("{other}"),
            })
        };
        for there in ["sh", "/bin/sh", "bin/sh"] {
            assert_eq!(found(there), Ok(()), "{there}");
        }
        assert_eq!(found("no-such-program"), Err(io::ErrorKind::NotFound));
        for unfit in [&plain, folder.path()].map(|path: &Path| path.to_str().unwrap().to_owned()) {
            assert_eq!(found(&unfit), Err(io::ErrorKind::PermissionDenied), "{unfit}");
        }
        find_program(&[]).unwrap();
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_its_children_and_the_next_one_runs() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        // The child would outlive a shell that is killed alone.
        let script = format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pids.display());
        let commands = Commands::default();
        // A busy machine may not have come so far yet.
        for limit in [1, 5, 25].map(Duration::from_secs) {
            let hung = commands.run(&shell(&script), limit).await.unwrap_err();
            assert_eq!(hung.code(), "sink-reload-too-slow");
            if pids.exists() {
                break;
            }
        }
        let child = fs::read_to_string(&pids).unwrap();
        let stat = format!("/proc/{}/stat", child.trim());
        // Gone, or a zombie until init reaps it.
        let is_over = || fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z ") || text.contains(") X "));
        while !is_over() {
            tokio::task::yield_now().await;
        }
        commands.run(&shell("true"), LIMIT).await.unwrap();
    }

    #[tokio::test]
    async fn two_commands_never_overlap() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("lock");
        // A folder is made once: the second to come would fail.
        let script = shell(&format!("mkdir {0} && sleep 0.05 && rmdir {0}", lock.display()));
        let commands = Commands::default();
        let (one, two) = tokio::join!(commands.run(&script, LIMIT), commands.run(&script, LIMIT));
        one.unwrap();
        two.unwrap();
    }
}
