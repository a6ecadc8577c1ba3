//! The verbs, one file each: what a person or a script types.
//!
//! Output for programs goes to stdout, for people to stderr. Easy to get wrong: a verb returns an [`Exit`]; only `main`
//! leaves the process.

mod caller;
mod check;
mod completions;
mod config;
mod demo;
mod doctor;
mod emulate;
mod env;
mod exec;
mod explain;
mod hardening;
mod health;
mod inject;
mod injector;
mod inspect;
mod key;
mod logging;
mod man;
mod net_setup;
mod pkcs11_module;
mod private;
mod ready;
mod run;
mod terminal;
mod token;
mod trust;
mod variables;
mod version;
mod via;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::problem::{Problem, report};

/// How a verb ended; the process's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: what was asked is done.
    Done,
    /// 1: the thing asked for failed.
    Failed,
    /// 2: bad usage or configuration.
    Usage,
    /// 3: our own fault.
    Ourselves,
    /// A verb's own number: the broken link of `doctor`, the child's status of `exec`.
    Status(u8),
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Ourselves => 3,
            Self::Status(number) => number,
        }
    }
}

/// Hand an unchanged application its Microsoft Entra ID access tokens, without a client secret.
#[derive(Debug, Parser)]
#[command(name = "unsecret", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret demo                          see an old app lose its client secret, in ten seconds
  unsecret check --config config.toml    every problem of a configuration at once
  unsecret doctor --config config.toml   try the whole way to a token, link by link
  unsecret run --config config.toml      serve tokens on localhost
  unsecret explain AADSTS700213          what an error means, and what to do
  unsecret exec -- python3 app.py        one command with a door of its own";

/// In the order of the help: to serve, to find out what is wrong, to have a token in hand; then what is needed once.
#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Check(check::Args),
    Doctor(doctor::Args),
    Explain(explain::Args),
    Inspect(inspect::Args),
    Token(token::Args),
    Exec(exec::Args),
    Env(env::Args),
    Caller(caller::Args),
    Trust(trust::Args),
    Key(key::Args),
    Config(config::Args),
    Inject(inject::Args),
    Injector(injector::Args),
    NetSetup(net_setup::Args),
    Health(health::Args),
    Demo(demo::Args),
    Emulate(emulate::Args),
    Completions(completions::Args),
    Man(man::Args),
    Version(version::Args),
}

/// The tree of verbs and options, from which help, completions and manual pages come.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the arguments and runs the verb.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    if args.get(1).is_some_and(|verb| verb == pkcs11_module::VERB) {
        return pkcs11_module::run(args.get(2));
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(refusal) => {
            // `--help` and `--version` arrive here too, and are no failure. A closed pipe is not worth a panic.
            let _ = refusal.print();
            return if refusal.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    match cli.verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Token(args) => token::run(&args),
        Verb::Exec(args) => exec::run(&args),
        Verb::Env(args) => env::run(&args),
        Verb::Caller(args) => caller::run(&args),
        Verb::Trust(args) => trust::run(&args),
        Verb::Key(args) => key::run(&args),
        Verb::Config(args) => config::run(&args),
        Verb::Inject(args) => inject::run(&args),
        Verb::Injector(args) => injector::run(&args),
        Verb::NetSetup(args) => net_setup::run(&args),
        Verb::Health(args) => health::run(&args),
        Verb::Demo(args) => demo::run(&args),
        Verb::Emulate(args) => emulate::run(&args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Man(args) => man::run(&args),
        Verb::Version(args) => version::run(&args),
    }
}

/// This very program, also after a newer one was put in its place: what parent and child say to each other belongs together.
fn program() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

/// Prints a problem in its terminal form.
#[expect(clippy::print_stderr, reason = "the terminal is this module's business")]
fn complain(problem: &dyn Problem) {
    eprint!("{}", report(problem));
}

/// Writes to stdout what a program may read. A reader that hung up (`| head`) has what it wanted.
fn say(text: &str) -> Exit {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Done,
    }
}

/// Writes to stderr what only people read.
#[expect(clippy::print_stderr, reason = "the terminal is this module's business")]
fn note(text: &str) {
    eprint!("{text}");
}
