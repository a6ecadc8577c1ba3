//! `unsecret version`: which build this is.

use super::{Exit, say};
use crate::app::FEATURES;

/// Print version and build.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret version
  unsecret version --json | jq -r .version";

pub(super) fn run(args: &Args) -> Exit {
    let (version, os, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    if args.json {
        let features: Vec<_> = FEATURES.split_terminator(',').collect();
        let object = serde_json::json!({
            "name": "unsecret", "version": version, "os": os, "arch": arch, "build": build, "features": features,
        });
        return say(&format!("{object}\n"));
    }
    let with = if FEATURES.is_empty() { String::new() } else { format!(", with {FEATURES}") };
    say(&format!("unsecret {version} ({os} {arch}, {build} build{with})\n"))
}
