//! `unsecret demo` as a stranger runs it: the real binary, from its first line to its exit status.

use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::parts::{self, Level};

/// Each step by its name, in their order.
const STEPS: [&str; 9] = ["before", "after", "deleted", "doors", "held", "rotated", "down", "back", "metrics"];

/// A demo takes a second or two; this is for a machine that is busy with all other tests.
const BOUND: Duration = Duration::from_secs(120);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.arg("demo").args(arguments).kill_on_drop(true).stdin(Stdio::null());
    command
}

async fn demo(arguments: &[&str]) -> Output {
    timeout(BOUND, command(arguments).output()).await.unwrap().unwrap()
}

fn said(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn the_demo_tells_its_story_in_45_lines_and_no_secret() {
    let output = demo(&[]).await;
    let story = said(&output);
    assert_eq!(output.status.code(), Some(0), "{story}");
    assert!(story.lines().count() <= 45, "{} lines", story.lines().count());
    for line in story.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
    let titles = story.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    assert_eq!(titles.count(), STEPS.len());
    for secret in ["eyJ", "uns_", "demo~real"] {
        assert!(!story.contains(secret), "{secret}");
    }
    for seen in
        ["saw client_secret;", "saw client_assertion,", "AADSTS7000215", "journal grew by 0", "`connect-failed`"]
    {
        assert!(story.contains(seen), "{seen}");
    }
}

#[tokio::test]
async fn a_step_that_does_not_see_what_it_promises_is_named() {
    // Two at a time: some of them wait in vain for seconds.
    for pair in STEPS.chunks(2) {
        tokio::join!(notices(pair[0]), async {
            if let Some(second) = pair.get(1) {
                notices(second).await;
            }
        });
    }
}

/// Breaks one step; the demo names it, ends there and fails.
async fn notices(step: &str) {
    let output = demo(&["--sabotage", step]).await;
    let story = said(&output);
    assert_eq!(output.status.code(), Some(1), "{step}: {story}");
    let failures: Vec<_> = story.lines().filter(|line| line.starts_with("demo failed at step ")).collect();
    assert_eq!(failures.len(), 1, "{step}: {story}");
    assert!(failures[0].starts_with(&format!("demo failed at step `{step}`: ")), "{step}: {story}");
    let told = story.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).count();
    assert_eq!(STEPS.get(told - 1), Some(&step), "{story}");
    assert!(!story.contains("eyJ"), "{step}");
}

/// A demo that stays up after its story, and the commands that it offers.
struct Held {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    offers: Vec<String>,
}

impl Held {
    async fn start() -> Self {
        let mut child = command(&["--hold"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let offers = timeout(BOUND, offers(&mut lines)).await.unwrap();
        Self { child, lines, offers }
    }

    async fn ends_on(mut self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let status = timeout(BOUND, self.child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(0), "{signal:?}");
        assert_eq!(self.lines.next_line().await.unwrap(), None);
    }
}

/// What follows the story, up to the last command: a line that ends in a backslash goes on in the next.
async fn offers(lines: &mut Lines<BufReader<ChildStdout>>) -> Vec<String> {
    while !lines.next_line().await.unwrap().unwrap().starts_with("Still up") {}
    let mut offers = vec![String::new()];
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        let last = offers.last_mut().unwrap();
        last.push_str(&line);
        if last.ends_with('\\') {
            last.push('\n');
        } else if last.contains("/readyz") {
            return offers;
        } else {
            offers.push(String::new());
        }
    }
}

#[tokio::test]
async fn the_commands_that_a_held_demo_offers_work() {
    if Command::new("curl").arg("--version").output().await.is_err() {
        parts::missing(Level::Core, "curl");
        return;
    }
    let held = Held::start().await;
    assert_eq!(held.offers.len(), 5);
    for (offer, wanted) in held.offers.iter().zip(["imds", "app service", "oauth", "_journal", "readyz"]) {
        // A proxy of this machine is no way to a server on loopback.
        let mut shell = Command::new("sh");
        shell.args(["-c", offer]).env("NO_PROXY", "*").env("no_proxy", "*");
        let output = timeout(BOUND, shell.output()).await.unwrap().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{wanted}: {offer}");
        match wanted {
            "readyz" => assert!(answer.starts_with("ready\nbilling: ready"), "{answer}"),
            "_journal" => assert!(answer.contains("client_assertion") && !answer.contains("eyJ"), "{answer}"),
            _ => {
                let json: serde_json::Value = serde_json::from_str(&answer).unwrap();
                assert!(json["access_token"].as_str().is_some_and(|token| token.starts_with("eyJ")), "{wanted}");
            }
        }
    }
    held.ends_on(Signal::TERM).await;
}

#[tokio::test]
async fn a_held_demo_ends_well_on_an_interrupt() {
    Held::start().await.ends_on(Signal::INT).await;
}
