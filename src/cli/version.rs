//! `unsecret version`.

use super::Exit;

/// Print version and build.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(super) fn run(_args: &Args) -> Exit {
    Exit::Ourselves
}
