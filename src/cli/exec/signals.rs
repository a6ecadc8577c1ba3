//! What we are told is told to the child, once.
//!
//! With a terminal, the child stays in our process group, as under `env` or `sudo`: Ctrl-C, Ctrl-Z and `fg` then reach it
//! from the kernel or the shell as they do without us, and nobody takes the terminal from anybody. So what comes from the
//! keyboard is not passed on: it would arrive twice. Without a terminal, the child has a group of its own, and what is
//! sent to us or to our group is passed on to it. Easy to get wrong: a signal that our parent made us ignore (`nohup`)
//! must stay ignored, in the child too, which a handler would undo.

use std::fs::File;
use std::io;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpgrp, getpid, kill_process, wait};
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const PASSED: [Signal; 8] =
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::WINCH, Signal::CONT];

/// What we hear from now on.
#[derive(Debug)]
pub(super) struct Signals {
    heard: UnboundedReceiver<Signal>,
    terminal: Option<File>,
}

impl Signals {
    /// Call before the child starts, so that nothing is missed.
    pub(super) fn listen() -> io::Result<Self> {
        let terminal = File::open("/dev/tty").ok();
        let (tell, heard) = unbounded_channel();
        let ignored = ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        for passed in PASSED {
            if ignored & bit(passed) == 0 {
                relay(passed, &tell)?;
            }
        }
        if terminal.is_none() {
            // With one, it stops us and the child alike, and handling it here would keep us running.
            relay(Signal::TSTP, &tell)?;
        }
        relay(Signal::CHILD, &tell)?;
        Ok(Self { heard, terminal })
    }

    /// Whether the child needs a process group of its own.
    pub(super) fn wants_own_group(&self) -> bool {
        self.terminal.is_none()
    }

    /// Passes signals on until the child has ended.
    pub(super) async fn until_ended(&mut self, child: Pid) -> WaitStatus {
        loop {
            // Never closed: its senders live as long as the runtime.
            let Some(signal) = self.heard.recv().await else { std::future::pending().await };
            if signal == Signal::CHILD {
                if let Some(status) = reap(child) {
                    return status;
                }
            } else if !self.reached_all(signal) {
                // It may have ended just now; then there is nobody to tell, and SIGCHLD comes next.
                let _ = kill_process(child, signal);
                if signal == Signal::TSTP {
                    let _ = kill_process(getpid(), Signal::STOP);
                }
            }
        }
    }

    /// True for what the terminal or its shell has sent to the whole group, the child included.
    fn reached_all(&self, signal: Signal) -> bool {
        let Some(terminal) = &self.terminal else { return false };
        match tcgetpgrp(terminal) {
            Ok(foreground) => {
                let typed = [Signal::INT, Signal::QUIT, Signal::WINCH, Signal::CONT].contains(&signal);
                typed && foreground == getpgrp()
            }
            // It has hung up.
            Err(_) => signal == Signal::HUP,
        }
    }
}

fn relay(wanted: Signal, tell: &UnboundedSender<Signal>) -> io::Result<()> {
    let mut coming = signal(SignalKind::from_raw(wanted.as_raw()))?;
    let tell = tell.clone();
    tokio::spawn(async move { while coming.recv().await.is_some() && tell.send(wanted).is_ok() {} });
    Ok(())
}

/// Takes note of every process that has ended: as process 1 of a container we also inherit other people's children.
fn reap(child: Pid) -> Option<WaitStatus> {
    let mut ended = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if pid == child {
            ended = Some(status);
        }
    }
    ended
}

/// The mask of ignored signals, as the kernel shows it.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_kernels_mask() {
        let mask = ignored("Name:\tx\nSigBlk:\tffff\nSigIgn:\t0000000000001001\n");
        assert!(mask & bit(Signal::HUP) != 0);
        assert!(mask & bit(Signal::TERM) == 0);
        assert_eq!(ignored(""), 0);
    }
}
