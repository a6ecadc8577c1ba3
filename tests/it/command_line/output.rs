//! Which text goes where, and what a terminal adds to it: for all verbs alike.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{Ended, ended, errors, exists, help, unsecret, verbs};
use crate::support::parts::{self, Level};

const ESCAPE: char = '\u{1b}';

/// Calls that print something and need no broker, as typed in a folder with the files of [`errors::scratch`].
const PRINTING: &[&str] = &[
    "version",
    "version --json",
    "config --schema",
    "config --reference",
    "check --config good.toml",
    "caller add --stdout",
    "trust --config https.toml",
    "env --door imds",
    "explain AADSTS700213",
    "explain --json AADSTS700213",
    "explain --list",
    "inspect token.jwt",
    "inspect --json token.jwt",
    "doctor --offline token.jwt",
    "doctor --json --offline token.jwt",
    "completions bash",
    "explain 700213",
    "explain --list",
    "man",
    "demo",
];

fn helps() -> Vec<String> {
    verbs().iter().map(|verb| [verb.words.as_slice(), &["--help".to_owned()]].concat().join(" ")).collect()
}

#[test]
fn help_goes_to_stdout_and_is_no_failure() {
    for verb in verbs() {
        let long = help(&verb);
        let short = ended(unsecret(&[verb.words.as_slice(), &["-h".to_owned()]].concat()), "");
        for Ended { status, stdout, stderr } in [long, short] {
            assert_eq!((status, stderr.as_str()), (Some(0), ""), "{}", verb.typed());
            assert!(stdout.contains("Usage: ") && stdout.contains("Examples:\n"), "{}: {stdout}", verb.typed());
        }
    }
}

#[test]
fn who_asks_for_no_verb_is_shown_them_all() {
    let scratch = errors::scratch();
    for verb in verbs().iter().filter(|verb| verb.command.has_subcommands()) {
        let ended = errors::tried(&verb.words.join(" "), scratch.path());
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{}", verb.typed());
        assert!(ended.stderr.contains("Commands:\n") && ended.stderr.contains("Examples:\n"), "{}", ended.stderr);
    }
}

#[test]
fn nothing_is_coloured_in_a_pipe() {
    let scratch = errors::scratch();
    for typed in helps()
        .iter()
        .map(String::as_str)
        .chain(PRINTING.iter().copied())
        .chain(["chekc", "check --config broken.toml"])
    {
        let ended = errors::tried(typed, scratch.path());
        assert!(!ended.stdout.contains(ESCAPE) && !ended.stderr.contains(ESCAPE), "unsecret {typed}");
    }
}

/// What appears on a terminal of its own.
fn on_a_terminal(typed: &str, folder: &Path, variables: &[(&str, &str)]) -> String {
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command"])
        .arg(format!("{} {typed}", env!("CARGO_BIN_EXE_unsecret")))
        .arg("/dev/null");
    script.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("SHELL", "/bin/sh").env("TERM", "xterm");
    script.envs(variables.iter().copied()).current_dir(folder);
    ended(script, "").stdout
}

#[test]
fn a_terminal_that_wants_no_colour_gets_none() {
    if !exists("script") {
        return parts::missing(Level::Core, "script (of bsdutils)");
    }
    let scratch = errors::scratch();
    assert!(on_a_terminal("--help", scratch.path(), &[]).contains(ESCAPE), "no colour here that could be switched off");
    for typed in helps()
        .iter()
        .map(String::as_str)
        .chain(PRINTING.iter().copied())
        .chain(["chekc", "check --config broken.toml"])
    {
        for wish in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let shown = on_a_terminal(typed, scratch.path(), &[wish]);
            assert!(!shown.is_empty() && !shown.contains(ESCAPE), "unsecret {typed}, {wish:?}: {shown}");
        }
    }
}

#[test]
fn a_reader_that_hangs_up_is_no_defect() {
    let scratch = errors::scratch();
    for typed in helps().iter().map(String::as_str).chain(PRINTING.iter().copied()) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = unsecret(&typed.split_whitespace().collect::<Vec<_>>());
        command.current_dir(scratch.path()).stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "unsecret {typed}: {said}");
        assert!(matches!(output.status.code(), Some(0 | 1)), "unsecret {typed}: {}: {said}", output.status);
    }
}

#[test]
fn what_a_program_asks_for_as_json_is_json_alone() {
    let scratch = errors::scratch();
    for typed in PRINTING.iter().filter(|typed| typed.contains("--json") || typed.contains("--schema")) {
        let printed = errors::tried(typed, scratch.path());
        assert_eq!((printed.status, printed.stderr.as_str()), (Some(0), ""), "unsecret {typed}");
        serde_json::from_str::<serde_json::Value>(&printed.stdout)
            .unwrap_or_else(|error| panic!("unsecret {typed}: {error}"));
    }
}
