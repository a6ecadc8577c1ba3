//! `unsecret emulate`.

use super::Exit;

/// Run a strict local Entra for offline development and tests.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(super) fn run(_args: &Args) -> Exit {
    Exit::Ourselves
}
