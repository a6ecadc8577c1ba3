//! Signals without a terminal: what exec is told, the child is told, once.

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};

use super::{Running, own, put_config};
use crate::support::parts::{Level, missing};
use crate::support::world::{World, until};

/// Says the name of every signal that it gets; ends when its stdin does, with the number of signals as its status.
pub(super) const LISTENER: &str = r"
import os, signal, sys
count = 0
def heard(number, frame):
    global count
    count += 1
    os.write(1, (signal.Signals(number).name + '\n').encode())
for name in ['TERM', 'INT', 'HUP', 'QUIT', 'USR1', 'USR2', 'WINCH', 'CONT']:
    signal.signal(getattr(signal, 'SIG' + name), heard)
os.write(1, ('listening %d %d\n' % (os.getpid(), os.getpgrp())).encode())
while os.read(0, 100):
    pass
sys.exit(count)
";

pub(super) fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        missing(Level::Full, "python3, which tells what signals it gets");
    }
    found
}

/// A listening child; its pid and group.
async fn listener(world: &World) -> (Running, i32, i32) {
    let mut child = Running::start(own(world, &["python3", "-I", "-c", LISTENER]));
    let line = child.line().await;
    let (pid, group) = line.strip_prefix("listening ").unwrap().split_once(' ').unwrap();
    (child, pid.parse().unwrap(), group.parse().unwrap())
}

#[tokio::test]
async fn each_signal_reaches_the_child_once() {
    if !has_python() {
        return;
    }
    let world = World::new().await;
    let (mut child, _, _) = listener(&world).await;
    let signals = [
        (Signal::TERM, "SIGTERM"),
        (Signal::INT, "SIGINT"),
        (Signal::HUP, "SIGHUP"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::WINCH, "SIGWINCH"),
        (Signal::CONT, "SIGCONT"),
        (Signal::TERM, "SIGTERM"),
    ];
    for (signal, name) in signals {
        child.signal(signal);
        assert_eq!(child.line().await, name);
    }
    assert_eq!(child.end().await, Some(9), "each once");
}

#[tokio::test]
async fn a_signal_to_the_whole_group_reaches_the_child_once() {
    if !has_python() {
        return;
    }
    let world = World::new().await;
    let (mut child, pid, group) = listener(&world).await;
    assert_eq!(pid, group, "without a terminal, the child has a group of its own");
    for _ in 0..3 {
        kill_process_group(child.pid(), Signal::INT).unwrap();
        assert_eq!(child.line().await, "SIGINT");
    }
    assert_eq!(child.end().await, Some(3), "exec did not end before the child, and nothing came twice");
}

#[tokio::test]
async fn a_child_that_ends_by_the_signal_gives_its_number() {
    let world = World::new().await;
    for (signal, status) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let mut child = Running::start(own(&world, &["sh", "-c", "echo ready; exec cat"]));
        child.line().await;
        child.signal(signal);
        let ended = tokio::time::timeout(super::PATIENCE, child.process.wait()).await.unwrap().unwrap();
        assert_eq!(ended.code(), Some(status), "{signal:?}");
    }
}

#[tokio::test]
async fn a_child_killed_from_outside_ends_exec() {
    let world = World::new().await;
    let mut child = Running::start(own(&world, &["sh", "-c", "echo $$; exec cat"]));
    let pid = Pid::from_raw(child.line().await.parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let ended = tokio::time::timeout(super::PATIENCE, child.process.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(137));
    assert!(test_kill_process(pid).is_err(), "it was waited for");
}

/// What `/proc` says of a process: `S` sleeping, `T` stopped, ….
fn state(pid: Pid) -> char {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    status.lines().find_map(|line| line.strip_prefix("State:\t")).unwrap().chars().next().unwrap()
}

#[tokio::test]
async fn both_stop_and_both_go_on() {
    let world = World::new().await;
    let mut child = Running::start(own(&world, &["sh", "-c", "echo $$; exec cat"]));
    let inner = Pid::from_raw(child.line().await.parse().unwrap()).unwrap();
    let outer = child.pid();
    child.signal(Signal::TSTP);
    until("the child stops", async || (state(inner) == 'T').then_some(())).await;
    until("exec stops", async || (state(outer) == 'T').then_some(())).await;
    child.signal(Signal::CONT);
    until("exec goes on", async || (state(outer) != 'T').then_some(())).await;
    until("the child goes on", async || (state(inner) != 'T').then_some(())).await;
    child.say("still here\n").await;
    assert_eq!(child.line().await, "still here");
    assert_eq!(child.end().await, Some(0));
}

#[tokio::test]
async fn as_the_first_process_it_takes_in_what_others_leave() {
    let namespace = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    let may = std::process::Command::new("unshare").args(namespace).arg("true").output();
    if !may.is_ok_and(|output| output.status.success()) {
        return missing(Level::Full, "the right to make a PID namespace");
    }
    let world = World::new().await;
    let config = put_config(&world);
    let mut command = tokio::process::Command::new("unshare");
    command.args(namespace).args([env!("CARGO_BIN_EXE_unsecret"), "exec"]);
    // The middle shell ends at once, so that its own child falls to process 1. A zombie would stay in the list for ever.
    let script = "sh -c 'sh -c \"exit 3\" &'; echo up; until set -- /proc/[0-9]*; test $# -eq 2; do :; done; exit 5";
    command.args(["--config", &config, "--", "sh", "-c", script]).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped()).kill_on_drop(true);
    let mut child = Running::start(command);
    assert_eq!(child.line().await, "up");
    assert_eq!(child.end().await, Some(5));
}
