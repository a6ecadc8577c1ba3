//! `unsecret config`: the configuration's schema and reference.
//!
//! Both are written from the doc comments in `config/file.rs`. Not for judging a file: `unsecret check` does that.

use super::{Exit, say};
use crate::config;

/// Show the configuration's JSON Schema and reference.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
#[group(required = true, multiple = false)]
pub(crate) struct Args {
    /// Print the JSON Schema (draft 2020-12), which editors use to complete and check a file
    #[arg(long)]
    schema: bool,
    /// Print every key with its type, default, variable and meaning, as Markdown
    #[arg(long)]
    reference: bool,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret config --reference | grep PROXY         which variable sets the proxy?
  unsecret config --schema > unsecret.schema.json

Editors that know Taplo read the schema if the configuration's first line is:
  #:schema ./unsecret.schema.json";

pub(super) fn run(args: &Args) -> Exit {
    if args.schema { say(&format!("{:#}\n", config::schema())) } else { say(&config::reference()) }
}
