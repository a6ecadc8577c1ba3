//! `cargo bench --bench order`: writes `benches/order/used-functions.txt`, the functions that a broker uses from its start to its answers.
//!
//! `build.rs` lays them beside each other. Not a measurement: `load` shows what it is worth. Easy to get wrong: names carry
//! hashes that change with compiler and dependencies. Each is listed twice: first as it is, for one name without its hash
//! is that of hundreds of unused functions; then with `*` for the hash, which lasts when the first no longer fits. And the
//! features that benches want change the hashes, so the program that is listed must be built as it is shipped.

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what only other benches use")]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use rustix::process::{Pid, Signal, kill_process};

use support::client::{Connection, Place};
use support::stage::{self, Broker, Stage};
use support::{Outcome, block_on, figures};

/// How long valgrind may take to write what it has seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lists the functions that serving takes, as valgrind sees them.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  UNSECRET_NO_ORDER=1 cargo rustc --release --bin unsecret --target-dir target/named -- -C strip=none
  cargo bench --bench order -- --server $PWD/target/named/release/unsecret             needs valgrind
  cargo bench --bench order -- --server $PWD/target/named/release/unsecret --quick     only counts them")]
struct Args {
    /// The file to write
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/order/used-functions.txt"))]
    out: PathBuf,
    /// The unsecret to list, as it is shipped but with names and not laid out
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_unsecret"))]
    server: PathBuf,
    /// Write nothing
    #[arg(long)]
    quick: bool,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Outcome<()> {
    let args = Args::parse();
    let folder = tempfile::tempdir()?;
    let watched = watched(folder.path(), &args.server)?;
    let seen = block_on(async {
        let stage = Stage::set(&watched, &[]).await?;
        let broker = stage.broker(1)?;
        use_it(&broker).await?;
        seen(folder.path(), &broker).await
    })?;
    let names = functions(&seen, &args.server);
    let lasting: BTreeSet<_> = names.iter().map(|name| lasting(name)).collect();
    figures::say(&format!("{} functions", names.len()));
    if names.len() < 500 {
        return Err("that are too few: see --help for how to build the program".into());
    }
    if !args.quick {
        // The linker takes the first that fits.
        fs::write(&args.out, names.into_iter().chain(lasting).collect::<Vec<_>>().join("\n") + "\n")?;
    }
    Ok(())
}

/// A program that is unsecret, its verb `run` under valgrind.
fn watched(folder: &Path, program: &Path) -> Outcome<PathBuf> {
    let (file, program) = (folder.join("unsecret"), program.display());
    let valgrind = "valgrind --tool=callgrind --demangle=no --compress-strings=no";
    let script = format!(
        "#!/bin/sh\nPATH=/usr/local/bin:/usr/bin:/bin\n[ \"$1\" = run ] || exec {program} \"$@\"\n\
         exec {valgrind} --callgrind-out-file={}/%p.out {program} \"$@\"\n",
        folder.display()
    );
    fs::write(&file, script)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700))?;
    Ok(file)
}

/// What a broker does all day.
async fn use_it(broker: &Broker) -> Outcome<()> {
    let door = broker.doors.first().copied().ok_or("no door")?;
    let request = stage::imds(stage::RESOURCE);
    for place in [Place::Tcp(door), Place::Unix(broker.unix.clone())] {
        let mut connection = Connection::open(&place).await?;
        for _ in 0..3 {
            connection.ask(&request).await?;
        }
    }
    Ok(())
}

/// Ends the broker and gives what valgrind has written of it.
async fn seen(folder: &Path, broker: &Broker) -> Outcome<String> {
    let pid = broker.server.pid();
    let process = Pid::from_raw(i32::try_from(pid)?).ok_or("no process")?;
    kill_process(process, Signal::TERM)?;
    let (file, begun) = (folder.join(format!("{pid}.out")), stage::now());
    while begun.elapsed() < PATIENCE {
        // The last line.
        if let Some(text) = fs::read_to_string(&file).ok().filter(|text| text.contains("\ntotals:")) {
            return Ok(text);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("valgrind wrote nothing; install the package valgrind".into())
}

/// Every function of the program itself: the C library is not ours to lay out.
fn functions(seen: &str, program: &Path) -> BTreeSet<String> {
    let (mut ours, mut names) = (false, BTreeSet::new());
    for line in seen.lines() {
        if let Some(object) = line.strip_prefix("ob=") {
            ours = Path::new(object) == program;
        } else if let Some(name) = line.strip_prefix("fn=").filter(|_| ours) {
            // Less the number of a recursion.
            let name = name.split_once('\'').map_or(name, |(name, _)| name);
            names.insert(name.to_owned());
        }
    }
    // What has no name is called by its address.
    names.retain(|name| name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_'));
    names
}

/// The name with `*` for what changes with the compiler or a version: the hash of a function or of a crate, AWS-LC's own
/// number, the number of a clone.
fn lasting(name: &str) -> String {
    if let Some(end) = name.rfind("17h").filter(|_| name.starts_with("_ZN")) {
        return format!("{}17h*", &name[..end]);
    }
    if name.starts_with("_R") {
        let whole = name.split_once('.').map_or(name, |(whole, _)| whole);
        let mut parts = whole.split("Cs");
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.filter_map(|part| part.split_once('_'));
        return rest.fold(first, |text, (_, part)| format!("{text}Cs*_{part}")) + "*";
    }
    match name.split_once("aws_lc_") {
        Some((start, rest)) => {
            format!("{start}aws_lc_*{}", rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '_'))
        }
        None => name.to_owned(),
    }
}
