//! `cargo bench --bench start`: from the start of the process to listening, and to the first answer.
//!
//! Beside a bare hyper process, in pairs. The TLS client is loaded at the first exchange, not at the start. Easy to get
//! wrong: the first answer contains an exchange with the emulator, which is not ours to be quick at; a second token, for
//! which all is loaded, tells how long an exchange takes here and now, and is taken off.

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what only other benches use")]
mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;

use support::client::{Connection, Place};
use support::figures::{self, Median};
use support::process::{self, Server};
use support::stage::{self, Stage};
use support::{Outcome, bare, block_on};

/// The bar on the time to listening, as a multiple of the bare process's.
const LISTENING_BAR: f64 = 2.0;
const SECOND_RESOURCE: &str = "https://graph.microsoft.com";

/// How long a process takes until it listens, and until its first answer, in pairs with a bare hyper server.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  cargo bench --bench start                        the table of docs/performance.md
  cargo bench --bench start -- --quick             two pairs: does everything still run?
  cargo bench --bench start -- --server PATH       another binary of unsecret, as it is shipped")]
struct Args {
    /// Pairs whose median is taken
    #[arg(long, default_value_t = 21)]
    pairs: usize,
    /// Two pairs
    #[arg(long)]
    quick: bool,
    /// The unsecret to measure
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_unsecret"))]
    server: PathBuf,
    /// Plays the bare server: for the bench itself
    #[arg(long, hide = true, num_args = 2, value_names = ["BODY", "SOCKET"])]
    bare: Option<Vec<PathBuf>>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Outcome<()> {
    let args = Args::parse();
    if let Some([body, socket]) = args.bare.as_deref() {
        let body = Bytes::from(std::fs::read(body)?);
        return block_on(bare::serve(body, socket)).map(|never| match never {});
    }
    block_on(measure(&args))
}

/// One of the figures of a start.
type Figure = fn(&Start) -> f64;

/// One start, in milliseconds.
struct Start {
    listening: f64,
    /// Processor time until then.
    cpu: f64,
    /// Until the first answer, without the exchange.
    answered: f64,
}

async fn measure(args: &Args) -> Outcome<()> {
    let stage = Stage::set(&args.server, &[SECOND_RESOURCE.to_owned()]).await?;
    let pairs = if args.quick { 2 } else { args.pairs };
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..pairs {
        floors.push(start_bare(&stage).await?);
        ours.push(start_broker(&stage).await?);
    }
    let of = |starts: &[Start], what: fn(&Start) -> f64| Median::of(starts.iter().map(what));
    let ratio = |what: Figure| Median::of(ours.iter().zip(&floors).map(|(one, floor)| what(one) / what(floor)));
    figures::say(&format!("Milliseconds from the start of the process, median (least–most) of {pairs} starts:\n"));
    figures::head(&["until", "bare hyper", "unsecret", "× bare"]);
    let rows: [(&str, Figure); 3] = [
        ("listening", |start| start.listening),
        ("listening, processor time", |start| start.cpu),
        ("the first answer, without the exchange", |start| start.answered),
    ];
    for (name, what) in rows {
        let cells = [of(&floors, what), of(&ours, what), ratio(what)];
        let cells = cells.iter().map(|cell| format!("{cell:.1}"));
        figures::row(&std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>());
    }
    let listening = ratio(|start| start.listening).value;
    figures::bar(
        &format!("listening after {listening:.1} × bare, at most {LISTENING_BAR}"),
        listening <= LISTENING_BAR,
    );
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn start_bare(stage: &Stage) -> Outcome<Start> {
    let (body, socket) = (stage.folder.path().join("body"), stage.folder.path().join("bare.sock"));
    std::fs::write(&body, vec![b'x'; 2_048])?;
    // One left over from the start before is in the way.
    let _ = std::fs::remove_file(&socket);
    let begin = stage::now();
    let server = Server::start(Command::new(std::env::current_exe()?).arg("--bare").arg(body).arg(socket))?;
    let door = server.word_after("door=http://")?.parse()?;
    let listening = begin.elapsed();
    let cpu = process::cpu(server.pid())?;
    Connection::open(&Place::Tcp(door)).await?.ask(&stage::imds(stage::RESOURCE)).await?;
    Ok(Start { listening: millis(listening), cpu: millis(cpu), answered: millis(begin.elapsed()) })
}

async fn start_broker(stage: &Stage) -> Outcome<Start> {
    let scopes = format!("scopes = [\"{}/.default\", \"{SECOND_RESOURCE}/.default\"]", stage::RESOURCE);
    let begin = stage::now();
    let broker = stage.start_broker(1, &scopes)?;
    let mut connection = Connection::open(&Place::Tcp(broker.doors[0])).await?;
    connection.ask(&stage::imds(stage::RESOURCE)).await?;
    let answered = begin.elapsed();
    let again = stage::now();
    connection.ask(&stage::imds(SECOND_RESOURCE)).await?;
    let exchange = again.elapsed();
    Ok(Start {
        listening: millis(broker.listening),
        cpu: millis(broker.listening_cpu),
        answered: millis(answered.saturating_sub(exchange)),
    })
}
