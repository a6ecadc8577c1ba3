//! `unsecret demo`.

use super::Exit;

/// See a legacy app lose its client secret: emulator, broker and app in one process.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(super) fn run(_args: &Args) -> Exit {
    Exit::Ourselves
}
