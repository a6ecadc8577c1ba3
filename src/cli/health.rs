//! `unsecret health`.

use super::Exit;

/// Ask a running broker whether it is alive or ready (exec probe).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(super) fn run(_args: &Args) -> Exit {
    Exit::Ourselves
}
