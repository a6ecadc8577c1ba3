//! How a child starts and ends, and what it is given besides tokens: nothing of ours.

use std::ffi::OsStr;
use std::fs;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{PATIENCE, ended, exec, own, put_config};
use crate::support::world::{Source, World};

#[tokio::test]
async fn the_status_is_the_commands_own() {
    let world = World::new().await;
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        let ended = ended(own(&world, &["sh", "-c", script])).await;
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(status), ""), "{script}");
    }
}

/// A key on a dead network volume, or one whose password takes long to try.
#[tokio::test]
async fn who_waits_for_a_key_is_told_so() {
    let world = World::with_source(Source::Certificate).await;
    rustix::fs::mkfifoat(rustix::fs::CWD, world.path("pipe"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let config = world.path("config.toml");
    std::fs::write(&config, world.config_text().replace("/billing.key\"", "/pipe\"")).unwrap();
    let mut child = exec([OsStr::new("--config"), config.as_os_str(), "--".as_ref(), "true".as_ref()]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a word within a moment").unwrap();
    assert_eq!(line.as_deref(), Some("… waiting for what proves the identity"));
    // The pipe's reader is let go, and the key that never came is the configuration's fault.
    drop(std::fs::OpenOptions::new().write(true).open(world.path("pipe")).unwrap());
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[tokio::test]
async fn a_command_that_cannot_start_ends_as_in_shells() {
    let world = World::new().await;
    let plain = world.path("plain.txt");
    fs::write(&plain, "no program").unwrap();
    for (command, status, code) in
        [("no-such-command", 127, "command-not-found"), (plain.to_str().unwrap(), 126, "command-not-startable")]
    {
        let ended = ended(own(&world, &[command, "argument"])).await;
        assert_eq!(ended.status, Some(status));
        assert!(ended.stderr.starts_with(&format!("error: start `{command}`: ")), "{}", ended.stderr);
        assert!(ended.stderr.contains("\nremedy: ") && ended.stderr.ends_with(&format!("\ncode: {code}\n")));
    }
}

#[tokio::test]
async fn what_is_wrong_before_the_start_is_no_status_of_the_command() {
    let world = World::new().await;
    let config = world.path("wrong.toml");
    fs::write(&config, "[[identity]]\nname = 7\n").unwrap();
    let wrong = ended(exec(["--config", config.to_str().unwrap(), "--", "true"])).await;
    assert_eq!(wrong.status, Some(2));
    assert!(wrong.stderr.contains("code: config-"), "{}", wrong.stderr);
    let config = put_config(&world);
    let unknown = ended(exec(["--config", &config, "--identity", "biling", "--", "true"])).await;
    assert_eq!(unknown.status, Some(2));
    assert!(unknown.stderr.contains("the configuration has `billing`"), "{}", unknown.stderr);
    let oauth = ended(exec(["--via", "/nowhere", "--door", "oauth", "--", "true"])).await;
    assert_eq!(oauth.status, Some(2));
    assert!(oauth.stderr.ends_with("code: exec-oauth-via\n"), "{}", oauth.stderr);
}

#[tokio::test]
async fn a_child_inherits_three_descriptors() {
    let world = World::new().await;
    // Whoever started the tests may have left some open; those go on to every child, ours or not.
    let close = "for fd in /proc/$$/fd/*; do fd=${fd##*/}; test $fd -le 2 || eval \"exec $fd>&-\"; done; exec \"$@\"";
    let through = |arguments: &[&str]| {
        let mut command = tokio::process::Command::new("bash");
        command.args(["-c", close, "bash", "setsid", env!("CARGO_BIN_EXE_unsecret"), "exec"]).args(arguments);
        command.args(["--", "sh", "-c", "ls /proc/$$/fd"]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        ended(command)
    };
    for arguments in [&["--config", &put_config(&world)][..], &["--via", "/nowhere", "--quiet"]] {
        let ended = through(arguments).await;
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("0\n1\n2\n", ""));
    }
}

#[tokio::test]
async fn what_the_caller_opened_for_the_child_reaches_it() {
    let world = World::new().await;
    let config = put_config(&world);
    let script = format!(
        r"exec 7<<'X'
through
X
{} exec --config {config} -- sh -c 'cat <&7'",
        env!("CARGO_BIN_EXE_unsecret")
    );
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", &script]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    assert_eq!(ended(command).await.stdout, "through\n");
}

/// Core limit and signal masks, as a child of `nohup` sees them. `nohup` ignores SIGHUP on behalf of what it starts.
async fn inherited(before: &[&str]) -> (String, Vec<u64>) {
    let mut command = tokio::process::Command::new("setsid");
    command.arg("nohup").args(before).args(["sh", "-c", "ulimit -c; cat /proc/self/status"]).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = ended(command).await;
    let mask = |line: &str| u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
    let lines = ended.stdout.lines().filter(|line| line.starts_with("SigBlk") || line.starts_with("SigIgn"));
    // The C library keeps the real-time signals from the 32nd on to itself.
    let masks: Vec<_> = lines.map(|line| mask(line) & 0x7fff_ffff).collect();
    assert!(masks.len() == 2 && masks[1] & 1 == 1, "SIGHUP is ignored: {masks:x?}");
    (ended.stdout.lines().next().unwrap().to_owned(), masks)
}

#[tokio::test]
async fn limits_masks_and_ignored_signals_are_those_of_the_caller() {
    let world = World::new().await;
    let config = put_config(&world);
    let through = inherited(&[env!("CARGO_BIN_EXE_unsecret"), "exec", "--config", &config, "--"]).await;
    assert_eq!(through, inherited(&[]).await);
}

#[tokio::test]
async fn a_child_that_closes_its_door_early_still_ends_as_it_likes() {
    let world = World::new().await;
    // Its output is closed while it runs: our own process writes nothing there and does not mind.
    let ended = ended(own(&world, &["sh", "-c", "exec >&-; exit 4"])).await;
    assert_eq!(ended.status, Some(4));
}
