//! `cargo bench --bench sign`: what it costs that a PKCS#11 module lives in a process of its own, in time and in memory.
//!
//! The broker's signer beside a bare loop over the same module, SoftHSM, with the same key, in turn. Not for how fast a
//! device is. Easy to get wrong: SoftHSM finds its tokens by a variable, which a process cannot safely change for
//! itself, so the bench starts itself again with it.

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "what only other benches use")]
mod support;

mod store;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use unsecret::clock::SystemClock;
use unsecret::signer::{Algorithm, KeyUri, Settings, Signer, Signers, Surroundings};

use self::store::{BareKey, Store, VARIABLE};
use support::figures::{self, Median};
use support::{Outcome, block_on, process, stage};

/// The bar on signatures per second, as a part of the bare loop's.
const RATE_BAR: f64 = 0.9;
/// The bar on what the child costs, KiB: its resident memory less what the module takes in any process.
const MEMORY_BAR: u64 = 6 * 1024;
/// About as long as what is signed of an assertion.
const MESSAGE: [u8; 700] = [b'x'; 700];

/// Signatures per second through the broker's signer, in pairs with a bare loop over the same module; memory of its child.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  cargo bench --bench sign                         the table of docs/performance.md; needs softhsm2
  cargo bench --bench sign -- --quick              two short pairs: does everything still run?
  cargo bench --bench sign -- --server PATH        another binary of unsecret, as it is shipped")]
struct Args {
    /// Pairs whose median is taken
    #[arg(long, default_value_t = 21)]
    pairs: usize,
    /// Signatures of one run; a pair has two of them
    #[arg(long, default_value_t = 300)]
    signatures: u64,
    /// Two short pairs
    #[arg(long)]
    quick: bool,
    /// The unsecret whose child is measured
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_unsecret"))]
    server: PathBuf,
    /// Measures, with the variable set: for the bench itself
    #[arg(long, hide = true, num_args = 2, value_names = ["FOLDER", "MODULE"])]
    inside: Option<Vec<PathBuf>>,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Outcome<()> {
    let mut args = Args::parse();
    if let Some([folder, module]) = args.inside.as_deref() {
        if args.quick {
            (args.pairs, args.signatures) = (2, 20);
        }
        return block_on(measure(&args, folder, module));
    }
    let Some(store) = Store::make()? else {
        figures::say("SKIPPED: needs the Debian package softhsm2");
        return Ok(());
    };
    let mut again = Command::new(std::env::current_exe()?);
    again.args(std::env::args_os().skip(1)).arg("--inside").arg(store.folder()).arg(&store.module);
    let status = again.env(VARIABLE, store.configuration()).status()?;
    if status.success() { Ok(()) } else { Err(format!("the bench inside: {status}").into()) }
}

async fn measure(args: &Args, folder: &Path, module: &Path) -> Outcome<()> {
    let signers = Signers::new(settings(&args.server, folder), Arc::new(SystemClock::new()));
    let uri = format!(
        "pkcs11:token=bench;object=bench?module-path={}&pin-source=file:{}/pin",
        module.display(),
        folder.display()
    );
    let uri = KeyUri::parse(&uri, Surroundings::default())?;
    let uri = signers.device(&uri)?.create(2048).await?;
    let ours = signers.open(&uri, None)?;
    // The first opens the session, finds the key and fills caches.
    ours.sign(Algorithm::Ps256, &MESSAGE).await?;
    let before = process::mapped(std::process::id(), "Rss:")?;
    let bare = BareKey::find(module)?;
    bare.sign(&MESSAGE)?;
    memory(process::mapped(std::process::id(), "Rss:")?.saturating_sub(before))?;
    let (mut bare_rates, mut our_rates) = (Vec::new(), Vec::new());
    for _ in 0..args.pairs {
        bare_rates.push(bare_rate(&bare, args.signatures)?);
        our_rates.push(our_rate(&*ours, args.signatures).await?);
    }
    say_rates(&bare_rates, &our_rates, args.signatures);
    Ok(())
}

fn settings(program: &Path, folder: &Path) -> Settings {
    Settings {
        program: program.to_owned(),
        // The child inherits the variable from us.
        environment: std::collections::BTreeMap::new(),
        state: folder.join("state"),
        limit: Duration::from_secs(60),
        withheld: Vec::new(),
        tcti: String::new(),
        force: false,
    }
}

fn bare_rate(key: &BareKey, signatures: u64) -> Outcome<f64> {
    let begin = stage::now();
    for _ in 0..signatures {
        key.sign(&MESSAGE)?;
    }
    Ok(rate(signatures, begin.elapsed()))
}

async fn our_rate(signer: &dyn Signer, signatures: u64) -> Outcome<f64> {
    let begin = stage::now();
    for _ in 0..signatures {
        signer.sign(Algorithm::Ps256, &MESSAGE).await?;
    }
    Ok(rate(signatures, begin.elapsed()))
}

fn rate(signatures: u64, time: Duration) -> f64 {
    figures::share(signatures, 1) / time.as_secs_f64()
}

fn say_rates(bare: &[f64], ours: &[f64], signatures: u64) {
    let pairs = bare.len();
    figures::say(&format!(
        "Signatures per second (PS256, RSA 2048), median (least–most) of {pairs} runs of {signatures}:\n"
    ));
    figures::head(&["", "signatures/s", "× bare"]);
    let of = |rates: &[f64]| Median::of(rates.iter().copied());
    let ratio = Median::of(ours.iter().zip(bare).map(|(one, floor)| one / floor));
    figures::row(&["bare loop".to_owned(), format!("{:.0}", of(bare)), "1".to_owned()]);
    figures::row(&["unsecret's signer".to_owned(), format!("{:.0}", of(ours)), format!("{ratio:.2}")]);
    figures::bar(
        &format!("signatures per second {:.2} × bare, at least {RATE_BAR}", ratio.value),
        ratio.value >= RATE_BAR,
    );
}

/// What the child takes once it has signed; `module` is what the module took in this process, for the same work.
fn memory(module: u64) -> Outcome<()> {
    let child = process::child_with("pkcs11-module")?.ok_or("the module has no process of its own")?;
    figures::say(
        "Memory of the module's process, KiB. Its share: what several processes have mapped counts in parts.\n",
    );
    figures::head(&["", "resident", "its share", "its own"]);
    let [resident, share] = ["Rss:", "Pss:"].map(|field| process::mapped(child, field));
    let (resident, share, own) = (resident?, share?, process::private(child)?);
    figures::row(&["child".to_owned(), resident.to_string(), share.to_string(), own.to_string()]);
    figures::row(&["module, in a bare process".to_owned(), module.to_string(), String::new(), String::new()]);
    let cost = resident.saturating_sub(module);
    figures::bar(&format!("the process costs {cost} KiB beside its module, at most {MEMORY_BAR}"), cost <= MEMORY_BAR);
    figures::say("");
    Ok(())
}
