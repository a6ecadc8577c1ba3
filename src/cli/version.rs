//! `unsecret version`: which build this is.

use super::{Exit, say};

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
        let object =
            serde_json::json!({ "name": "unsecret", "version": version, "os": os, "arch": arch, "build": build });
        return say(&format!("{object}\n"));
    }
    say(&format!("unsecret {version} ({os} {arch}, {build} build)\n"))
}
