//! `unsecret caller`.

use super::Exit;

/// Make local keys for callers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(super) fn run(_args: &Args) -> Exit {
    Exit::Ourselves
}
