//! What a person or a script meets at the command line, over all verbs: help, errors, completions, manual pages, and
//! which text goes where.
//!
//! The list of verbs is never written down here: it comes from the tree that parses the arguments, so that a new verb is
//! held to the same as all others from its first day.

mod errors;
mod examples;
mod help;
mod output;
mod page;
mod shells;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A verb, a verb of a verb, or the program itself.
struct Verb {
    /// `caller`, `add`; empty for the program itself.
    words: Vec<String>,
    command: clap::Command,
}

impl Verb {
    /// `unsecret`, `run`, `caller-add`.
    fn name(&self) -> String {
        if self.words.is_empty() { "unsecret".to_owned() } else { self.words.join("-") }
    }

    /// As a person types it: `unsecret caller add`.
    fn typed(&self) -> String {
        [&["unsecret".to_owned()], self.words.as_slice()].concat().join(" ")
    }

    /// What stands below the options.
    fn after_help(&self) -> String {
        self.command.get_after_help().map(ToString::to_string).unwrap_or_default()
    }

    /// What is offered to people: hidden arguments are for tests.
    fn arguments(&self) -> impl Iterator<Item = &clap::Arg> {
        self.command.get_arguments().filter(|argument| !argument.is_hide_set())
    }
}

/// The program, its verbs, and theirs.
fn verbs() -> Vec<Verb> {
    let mut tree = unsecret::cli::command().disable_help_subcommand(true);
    tree.build();
    let mut verbs = Vec::new();
    collect(&tree, &[], &mut verbs);
    assert!(verbs.len() > 10, "found only {} verbs", verbs.len());
    verbs
}

fn collect(command: &clap::Command, words: &[String], into: &mut Vec<Verb>) {
    into.push(Verb { words: words.to_vec(), command: command.clone() });
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        collect(verb, &[words, &[verb.get_name().to_owned()]].concat(), into);
    }
}

/// A process that has ended.
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

/// The real binary with these arguments, and no variables but a way to find other programs.
fn unsecret<S: AsRef<str>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unsecret"));
    command.args(arguments.iter().map(AsRef::as_ref)).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn ended(mut command: Command, stdin: &str) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A verb that reads no stdin may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// `--help` of a verb, as the binary prints it into a pipe.
fn help(verb: &Verb) -> Ended {
    ended(unsecret(&[verb.words.as_slice(), &["--help".to_owned()]].concat()), "")
}

fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).exists())
}
