//! Counts the instructions of each operation: valgrind runs this program twice, once for more rounds than the other.
//!
//! The difference leaves out whatever happens once. Easy to get wrong: valgrind counts what runs in this process, so the
//! kernel's share of an answer is not in it.

use std::process::Command;

const FEW: u64 = 1_000;
/// So many that a change of what happens once (the crypto library gathers entropy from timing) is lost in them.
const MANY: u64 = 31_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[expect(clippy::print_stdout, reason = "the figures are the bench's output")]
pub(crate) fn table(names: &[&str]) -> Outcome<()> {
    println!("| operation | instructions |\n| --- | ---: |");
    for name in names {
        let each = count(name, MANY)?.saturating_sub(count(name, FEW)?) / (MANY - FEW);
        println!("| {name} | {each} |");
    }
    Ok(())
}

fn count(name: &str, rounds: u64) -> Outcome<u64> {
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--rounds", &rounds.to_string(), name])
        .output()
        .map_err(|error| format!("run valgrind: {error}; install the package valgrind"))?;
    let said = String::from_utf8_lossy(&valgrind.stderr);
    // `==1234== Collected : 5678`
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, collected) = collected.ok_or_else(|| format!("valgrind counted nothing: {said}"))?;
    Ok(collected.trim().parse()?)
}
