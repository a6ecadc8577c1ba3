//! `cargo bench --bench hit`: what the parts of an answer from a held token cost, in time and in instructions.
//!
//! Time is divan's. Instructions are counted by valgrind: they do not depend on what else the machine does, so they show
//! small changes that no clock shows on a shared machine. Not for sockets and the kernel (`load`).

#[path = "../support/instructions.rs"]
mod instructions;
#[path = "../support/scripted.rs"]
mod scripted;

mod operations;
mod stream;

use operations::Operations;

const HELP: &str = "\
The parts of an answer from a held token.

Examples:
  cargo bench --bench hit                      time of each, by divan (its options work: --help after --times)
  cargo bench --bench hit -- --callgrind       instructions of each, by valgrind; the table of docs/performance.md
  cargo bench --bench hit -- --quick           each once: does everything still run?";

#[expect(clippy::print_stdout, reason = "the help is output")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--help" | "-h"] => println!("{HELP}"),
        ["--callgrind"] => instructions::table(&operations::NAMES)?,
        // What `--callgrind` runs under valgrind.
        ["--rounds", rounds, name] => Operations::new()?.run(name, rounds.parse()?)?,
        ["--quick"] => {
            let operations = Operations::new()?;
            for name in operations::NAMES {
                operations.run(name, 1)?;
                println!("ran once: {name}");
            }
        }
        _ => divan::main(),
    }
    Ok(())
}

/// One line of divan's for each operation.
#[divan::bench(args = operations::NAMES)]
fn hit(bencher: divan::Bencher<'_, '_>, name: &str) {
    #[expect(clippy::expect_used, reason = "the operations were made before, and divan takes no errors")]
    let operations = Operations::new().expect("the operations can be made");
    bencher.bench_local(|| operations.run(name, 1));
}
