//! Parses arguments, calls `cli`, turns the outcome into the exit status; the only exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(unsecret::cli::main(std::env::args_os()).status())
}
