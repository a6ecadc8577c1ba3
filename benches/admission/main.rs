//! `cargo bench --bench admission`: what a review of a new pod costs beside the TLS and HTTP that carry it.
//!
//! The webhook with warm caches in one process, a handler that only reads the body in another, with the same sockets and TLS, in
//! pairs. Not for how long the API server waits altogether. Easy to get wrong: the webhook logs one line a review in its verb;
//! here nobody listens to the log.

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what only other benches use")]
mod support;

mod served;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use support::client::{Crowd, Place};
use support::figures::{self, Median};
use support::process::{self, Server};
use support::{Outcome, block_on};

/// What section 2.3 of the design allows a review, in milliseconds.
const BAR: f64 = 5.0;

/// Time and processor time of an admission review, in pairs with a handler that does nothing.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  cargo bench --bench admission                    the table
  cargo bench --bench admission -- --quick         two short pairs: does everything still run?")]
struct Args {
    /// Pairs whose median is taken
    #[arg(long, default_value_t = 21)]
    pairs: usize,
    /// Reviews of one run
    #[arg(long, default_value_t = 2_000)]
    reviews: u64,
    /// Two short pairs
    #[arg(long)]
    quick: bool,
    /// Plays one of the servers: for the bench itself
    #[arg(long, hide = true, num_args = 2, value_names = ["HANDLER", "FOLDER"])]
    serve: Option<Vec<PathBuf>>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Outcome<()> {
    let args = Args::parse();
    if let Some([handler, folder]) = args.serve.as_deref() {
        return block_on(served::serve(handler == Path::new("webhook"), folder));
    }
    block_on(measure(&args))
}

/// One run, in milliseconds a review.
struct Run {
    median: f64,
    late: f64,
    cpu: f64,
}

/// One of the figures of a run.
type Figure = fn(&Run) -> f64;

async fn measure(args: &Args) -> Outcome<()> {
    let folder = tempfile::Builder::new().prefix("unsecret-bench").tempdir()?;
    let roots = served::certificate(folder.path())?;
    let (pairs, reviews) = if args.quick { (2, 100) } else { (args.pairs, args.reviews) };
    let (empty, webhook) = (start("empty", folder.path(), &roots)?, start("webhook", folder.path(), &roots)?);
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..pairs {
        floors.push(run(&empty, reviews).await?);
        ours.push(run(&webhook, reviews).await?);
    }
    let of = |runs: &[Run], what: Figure| Median::of(runs.iter().map(what));
    let ratio = |what: Figure| Median::of(ours.iter().zip(&floors).map(|(one, floor)| what(one) / what(floor)));
    figures::say(&format!("Milliseconds a review, median (least–most) of {pairs} runs of {reviews}:\n"));
    figures::head(&["a review", "empty handler", "unsecret", "× empty"]);
    let rows: [(&str, Figure); 3] =
        [("median", |run| run.median), ("99 of 100 within", |run| run.late), ("processor time", |run| run.cpu)];
    for (name, what) in rows {
        let cells = [of(&floors, what), of(&ours, what), ratio(what)].map(|cell| format!("{cell:.3}"));
        figures::row(&[&[name.to_owned()][..], &cells].concat());
    }
    let late = of(&ours, |run| run.late).value;
    figures::bar(&format!("99 of 100 reviews within {late:.2} ms, at most {BAR}"), late <= BAR);
    Ok(())
}

fn start(handler: &str, folder: &Path, roots: &str) -> Outcome<(Server, Place)> {
    let server = Server::start(Command::new(std::env::current_exe()?).arg("--serve").arg(handler).arg(folder))?;
    let mut store = rustls::RootCertStore::empty();
    store.add(CertificateDer::from_pem_slice(roots.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
    let config = Arc::new(config.with_root_certificates(store).with_no_client_auth());
    let place = Place::Tls(server.word_after("door=https://")?.parse()?, config);
    Ok((server, place))
}

async fn run((server, place): &(Server, Place), reviews: u64) -> Outcome<Run> {
    let request = served::request();
    let crowd = Crowd::gather(place, &request, 1).await?;
    let before = process::cpu(server.pid())?;
    let run = crowd.press(&request, Duration::from_secs(60), reviews).await?;
    let cpu = process::cpu(server.pid())?.saturating_sub(before);
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    let cpu = millis(cpu) / figures::share(run.answers, 1);
    Ok(Run { median: millis(run.percentile(50)), late: millis(run.percentile(99)), cpu })
}
