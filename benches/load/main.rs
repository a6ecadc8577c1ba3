//! `cargo bench --bench load`: what an answer from a held token costs, beside a bare hyper server in the same minute.
//!
//! Every figure that counts is a ratio of two runs that lie next to each other, and the median of several such pairs:
//! on a machine that does other work, neither run alone means much. Not for the parts of the program (`hit`).

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what only other benches use")]
mod support;

mod peer;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;

use self::peer::Peer;
use support::client::{Connection, Crowd, Place};
use support::figures::{self, Median};
use support::process::{self, Server};
use support::stage::{self, Stage};
use support::{Outcome, bare, block_on};

/// The bar on the processor time of an answer, as a multiple of the bare server's.
const CPU_BAR: f64 = 1.15;
/// The bar on resident memory, KiB.
const MEMORY_BAR: u64 = 10 * 1024;

/// Requests for a held token of 1.8 KB over connections that are kept alive, in pairs with a bare hyper server.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  cargo bench --bench load                         the tables of docs/performance.md, in under three minutes
  cargo bench --bench load -- --quick              one short pair each: does everything still run?
  cargo bench --bench load -- --server PATH        another binary of unsecret, as it is shipped
  cargo bench --bench load -- --against http://127.0.0.1:3000/token --pid 4711 --body ask.json \\
      --header 'content-type: application/json'    another server beside the two, asked in its own way")]
struct Args {
    /// Pairs whose median is taken
    #[arg(long, default_value_t = 7)]
    pairs: usize,
    /// Seconds of one run; a pair has two of them
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Answers after which resident memory is looked at
    #[arg(long, default_value_t = 1_000_000)]
    answers: u64,
    /// One short pair of each, and few answers
    #[arg(long)]
    quick: bool,
    /// The unsecret to measure
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_unsecret"))]
    server: PathBuf,
    #[command(flatten)]
    peer: peer::Args,
    /// Plays the bare server: for the bench itself
    #[arg(long, hide = true, num_args = 2, value_names = ["BODY", "SOCKET"])]
    bare: Option<Vec<PathBuf>>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Outcome<()> {
    let mut args = Args::parse();
    if let Some([body, socket]) = args.bare.as_deref() {
        let body = Bytes::from(std::fs::read(body)?);
        return block_on(bare::serve(body, socket)).map(|never| match never {});
    }
    if args.quick {
        (args.pairs, args.seconds, args.answers) = (1, 0.2, 20_000);
    }
    block_on(measure(&args))
}

/// One server in a comparison.
struct Rival {
    name: String,
    pid: Option<u32>,
    request: Vec<u8>,
    tcp: Place,
    unix: Option<Place>,
}

impl Rival {
    fn place(&self, over: Over) -> Option<&Place> {
        match over {
            Over::Tcp => Some(&self.tcp),
            Over::Unix => self.unix.as_ref(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Over {
    Tcp,
    Unix,
}

/// What one run showed of one server.
struct Sample {
    rate: f64,
    /// Processor time of the server per answer, in µs; not a number where its process is unknown.
    cpu: f64,
    p50: f64,
    p99: f64,
}

async fn measure(args: &Args) -> Outcome<()> {
    let stage = Stage::set(&args.server, &[]).await?;
    let broker = stage.broker(1)?;
    let request = stage::imds(stage::RESOURCE);
    let door = broker.doors.first().copied().ok_or("no door")?;
    let mut connection = Connection::open(&Place::Tcp(door)).await?;
    let (head, body) = connection.ask(&request).await?;
    figures::say(&format!("An answer has {} bytes of head and {} of body.\n", head.len(), body.len()));
    let (file, socket) = (stage.folder.path().join("body"), stage.folder.path().join("bare.sock"));
    std::fs::write(&file, body)?;
    drop(connection);
    let floor = start_bare(&file, &socket)?;
    let floor_door = Place::Tcp(floor.word_after("door=http://")?.parse()?);
    let mut rivals = vec![
        Rival {
            name: "bare hyper".to_owned(),
            pid: Some(floor.pid()),
            request: request.clone(),
            tcp: floor_door,
            unix: Some(Place::Unix(socket)),
        },
        Rival {
            name: "unsecret".to_owned(),
            pid: Some(broker.server.pid()),
            request,
            tcp: Place::Tcp(door),
            unix: Some(Place::Unix(broker.unix.clone())),
        },
    ];
    if let Some(Peer { name, pid, request, place }) = args.peer.read()? {
        rivals.push(Rival { name, pid, request, tcp: place, unix: None });
    }
    for over in [Over::Tcp, Over::Unix] {
        for connections in [1, 64] {
            compare(&rivals, over, connections, args).await?;
        }
    }
    memory(&rivals, args.answers).await
}

fn start_bare(body: &Path, socket: &Path) -> Outcome<Server> {
    Server::start(Command::new(std::env::current_exe()?).arg("--bare").arg(body).arg(socket))
}

/// One table: every rival in turn, again and again.
async fn compare(rivals: &[Rival], over: Over, connections: usize, args: &Args) -> Outcome<()> {
    let there: Vec<_> = rivals.iter().filter_map(|rival| Some((rival, rival.place(over)?))).collect();
    let mut samples: Vec<Vec<Sample>> = there.iter().map(|_| Vec::new()).collect();
    // One round more than is counted: caches, clock rates and the servers' buffers settle in the first.
    for round in 0..=args.pairs {
        for ((rival, place), samples) in there.iter().zip(&mut samples) {
            let sample = sample(rival, place, connections, args.seconds).await?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    figures::say(&format!("{over:?}, {connections} connection(s), median (least–most) of {} runs:\n", args.pairs));
    figures::head(&["server", "CPU µs/answer", "× bare", "answers/s", "p50 µs", "p99 µs"]);
    let mut ratios = Vec::new();
    for ((rival, _), taken) in there.iter().zip(&samples) {
        let ratio = Median::of(taken.iter().zip(&samples[0]).map(|(one, floor)| one.cpu / floor.cpu));
        let of = |what: fn(&Sample) -> f64| Median::of(taken.iter().map(what));
        figures::row(&[
            rival.name.clone(),
            format!("{:.1}", of(|sample| sample.cpu)),
            format!("{ratio:.2}"),
            format!("{:.0}", of(|sample| sample.rate)),
            format!("{:.0}", of(|sample| sample.p50)),
            format!("{:.0}", of(|sample| sample.p99)),
        ]);
        ratios.push(ratio.value);
    }
    let ours = ratios.get(1).copied().unwrap_or(f64::NAN);
    figures::bar(&format!("CPU per answer {ours:.2} × bare, at most {CPU_BAR}"), ours <= CPU_BAR);
    figures::say("");
    Ok(())
}

async fn sample(rival: &Rival, place: &Place, connections: usize, seconds: f64) -> Outcome<Sample> {
    let cpu = || rival.pid.map(process::cpu).transpose();
    let crowd = Crowd::gather(place, &rival.request, connections).await?;
    let before = cpu()?;
    let run = crowd.press(&rival.request, Duration::from_secs_f64(seconds), u64::MAX).await?;
    let used = before.zip(cpu()?).map(|(before, after)| after.saturating_sub(before));
    let answers = figures::share(run.answers, 1);
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    Ok(Sample {
        rate: run.rate(),
        cpu: used.map_or(f64::NAN, |used| micros(used) / answers),
        p50: micros(run.percentile(50)),
        p99: micros(run.percentile(99)),
    })
}

/// Resident memory before, while and after so many answers over 64 TCP connections.
async fn memory(rivals: &[Rival], answers: u64) -> Outcome<()> {
    const STEPS: u64 = 4;
    figures::say(&format!(
        "Resident memory (KiB) after the runs above, and after every quarter of {answers} more answers:\n"
    ));
    figures::head(&["server", "before", "¼", "½", "¾", "1", "of it private"]);
    for rival in rivals {
        let Some(pid) = rival.pid else { continue };
        let mut seen = vec![process::resident(pid)?];
        for _ in 0..STEPS {
            let crowd = Crowd::gather(&rival.tcp, &rival.request, 64).await?;
            crowd.press(&rival.request, Duration::MAX, answers / STEPS).await?;
            seen.push(process::resident(pid)?);
        }
        let cells = seen.iter().chain([&process::private(pid)?]).map(u64::to_string).collect::<Vec<_>>();
        figures::row(&std::iter::once(rival.name.clone()).chain(cells).collect::<Vec<_>>());
        if rival.name == "unsecret" {
            let (first, last) = (seen[1], seen[seen.len() - 1]);
            figures::bar(&format!("{last} KiB after all of them, at most {MEMORY_BAR}"), last <= MEMORY_BAR);
            // A page or two of the allocator's own come and go.
            figures::bar(&format!("not growing: {first} KiB after a quarter, {last} at the end"), last <= first + 128);
        }
    }
    Ok(())
}
