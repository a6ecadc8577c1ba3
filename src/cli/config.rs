//! `unsecret config`.

use super::Exit;

/// Show the configuration's JSON Schema and reference.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(super) fn run(_args: &Args) -> Exit {
    Exit::Ourselves
}
