//! `unsecret check`.

use super::Exit;

/// Check a configuration and report every problem at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(super) fn run(_args: &Args) -> Exit {
    Exit::Ourselves
}
