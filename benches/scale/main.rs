//! `cargo bench --bench scale`: 1, 100 and 10,000 slots, and 10,000 idle connections.
//!
//! Slots are filled with scripted tokens in this process; exchanges and connections are a real broker's, in its own. Easy
//! to get wrong: one identity holds at most 1,024 slots that callers open, so 10,000 are ten identities with 1,000 each;
//! and a listener takes 512 connections, so 10,000 need twenty listeners.

#[path = "../support/instructions.rs"]
mod instructions;
#[path = "../support/scripted.rs"]
mod scripted;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what only other benches use")]
mod support;

mod connections;
mod slots;

use std::path::PathBuf;

use clap::Parser;

use support::{Outcome, block_on};

/// What many slots and many connections cost.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  cargo bench --bench scale                        the tables of docs/performance.md
  cargo bench --bench scale -- --callgrind         instructions per answer with 1, 100 and 10,000 slots, by valgrind
  cargo bench --bench scale -- --quick             small numbers: does everything still run?")]
struct Args {
    /// Small numbers
    #[arg(long)]
    quick: bool,
    /// Count instructions per answer, by valgrind
    #[arg(long)]
    callgrind: bool,
    /// The unsecret to measure
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_unsecret"))]
    server: PathBuf,
    /// What `--callgrind` runs under valgrind
    #[arg(long, hide = true, num_args = 2, value_names = ["ROUNDS", "NAME"])]
    rounds: Option<Vec<String>>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Outcome<()> {
    let args = Args::parse();
    if let Some([rounds, name]) = args.rounds.as_deref() {
        return block_on(slots::answer(name, rounds.parse()?));
    }
    if args.callgrind {
        return instructions::table(&slots::NAMES);
    }
    block_on(async {
        slots::table(args.quick).await?;
        connections::table(&args.server, args.quick).await
    })
}
