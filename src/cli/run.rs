//! `unsecret run`.

use super::Exit;

/// Serve tokens on localhost until told to stop.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(super) fn run(_args: &Args) -> Exit {
    Exit::Ourselves
}
