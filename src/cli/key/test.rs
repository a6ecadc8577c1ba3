//! `unsecret key test`: does the key sign, with what, how fast, and is it the certificate's?
//!
//! Easy to get wrong: a device may claim PSS and salt it in a way that JWA forbids (some TPMs), so every signature is
//! verified with the key's public half, strictly.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::error::{KeyError, Stop};
use super::issue::Public;
use super::machine::{Machine, Opened};
use crate::assertion::{AssertionError, Leaf};
use crate::cli::doctor::certificate;
use crate::cli::terminal::{Paint, ascii};
use crate::cli::{Exit, say};
use crate::clock::{Clock as _, SystemClock};
use crate::ids::Guid;
use crate::secret::Fingerprint;
use crate::signer::{Algorithm, Signer};

/// Sign with a key, verify, and say what it can do and how fast.
///
/// What is signed is a text of this program's own, which proves nothing to anybody. With --certificate the key is
/// compared with it, as `unsecret run` does at its start.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The key: pkcs11:…, tpm:… or file:/…
    #[arg(value_name = "KEYURI")]
    key: String,
    /// How many signatures to time
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// The certificate that the key should belong to
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Try the PIN although the token counts failed attempts, or an earlier attempt ended without a verdict
    #[arg(long)]
    force: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret key test 'pkcs11:token=prod;object=billing?module-path=/usr/lib/softhsm/libsofthsm2.so'
  unsecret key test file:/etc/unsecret/billing.key --certificate /etc/unsecret/billing.pem
  unsecret key test tpm:handle=0x81010042 --count 20

--force never repeats a PIN that was refused, and never takes the last try before a token locks.

Exit status: 0 it signs (and is the certificate's), 1 it does not, 2 bad usage or configuration.";

/// What was found out.
struct Outcome {
    uri: String,
    kind: &'static str,
    bits: usize,
    public_key: Fingerprint,
    mechanisms: Vec<String>,
    ps256: bool,
    rs256: bool,
    /// Shortest first.
    times: Vec<Duration>,
    leaf: Option<Leaf>,
    warning: Option<String>,
}

pub(super) async fn run(args: &Args) -> Result<Exit, Stop> {
    let leaf = args.certificate.as_deref().map(|path| Leaf::open(path, None)).transpose()?;
    let work = async |opened: &Opened| tried(opened, leaf.clone(), args.count).await;
    let outcome = args.machine.with(&args.key, args.force, work).await?;
    let now = SystemClock::new().now().epoch();
    let printed = if args.json {
        say(&format!("{}\n", ascii(&object(&outcome).to_string())))
    } else {
        say(&text(&outcome, now, Paint::stdout()))
    };
    match outcome.leaf {
        Some(leaf) if !leaf.is_valid_at(now) => Err(AssertionError::CertificateNotValid {
            certificate: leaf.name,
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            now,
        }
        .into()),
        _ => Ok(printed),
    }
}

async fn tried(opened: &Opened, leaf: Option<Leaf>, count: u32) -> Result<Outcome, Stop> {
    let signer = opened.signers.open(&opened.uri, leaf.as_ref().map(|leaf| &leaf.public_key[..]))?;
    let public = Public::of(&*signer).await?;
    if let Some(leaf) = &leaf {
        same(leaf, &public)?;
    }
    let message = message();
    let ps256 = public.signed(&*signer, Algorithm::Ps256, &message).await?.is_some();
    let rs256 = public.signed(&*signer, Algorithm::Rs256, &message).await?.is_some();
    let algorithm = match (ps256, rs256) {
        (true, _) => Algorithm::Ps256,
        (false, true) => Algorithm::Rs256,
        (false, false) => return Err(KeyError::SignsNothing.into()),
    };
    let found = opened.signers.device(&opened.uri)?.keys().await?;
    Ok(Outcome {
        uri: opened.uri.to_string(),
        kind: signer.kind(),
        bits: public.bits,
        public_key: Fingerprint::of(&public.key),
        // Of the device's keys that the URI fits, all sign alike.
        mechanisms: found.into_iter().next().map(|key| key.mechanisms).unwrap_or_default(),
        ps256,
        rs256,
        times: times(&*signer, algorithm, &message, count).await?,
        leaf,
        warning: signer.warning(),
    })
}

/// Told apart from everything that somebody could use: no assertion, no challenge of a protocol.
fn message() -> Vec<u8> {
    format!("unsecret key test {}", Guid::random()).into_bytes()
}

/// The certificate must be the key's.
pub(super) fn same(leaf: &Leaf, public: &Public) -> Result<(), AssertionError> {
    if leaf.public_key == public.key {
        return Ok(());
    }
    Err(AssertionError::KeyMismatch {
        certificate: leaf.name.clone(),
        thumbprint: leaf.thumbprint.hex(),
        wanted: Fingerprint::of(&leaf.public_key).hex(),
        found: Fingerprint::of(&public.key).hex(),
    })
}

async fn times(signer: &dyn Signer, algorithm: Algorithm, message: &[u8], count: u32) -> Result<Vec<Duration>, Stop> {
    let clock = SystemClock::new();
    let mut times = Vec::new();
    for _ in 0..count {
        let start = clock.now().mono;
        signer.sign(algorithm, message).await?;
        times.push(clock.now().mono.saturating_sub(start));
    }
    times.sort();
    Ok(times)
}

impl Outcome {
    fn algorithm(&self) -> &'static str {
        if self.ps256 { "PS256" } else { "RS256" }
    }

    fn why(&self) -> &'static str {
        match (self.ps256, self.rs256) {
            (true, true) => "which Entra recommends; RS256 works too",
            (true, false) => "which Entra recommends; RS256 does not work",
            (false, _) => "since PSS with a 32-byte salt is not to be had here",
        }
    }

    fn median(&self) -> Duration {
        self.times.get(self.times.len() / 2).copied().unwrap_or_default()
    }
}

fn text(outcome: &Outcome, now: u64, paint: Paint) -> String {
    let mut out = String::new();
    let mut row = |name: &str, text: &str| {
        let _ = writeln!(out, "{} {text}", paint.faint(&format!("{name:<12}")));
    };
    row("key", &outcome.uri);
    row("public key", &format!("RSA, {} bits, SHA-256 {}", outcome.bits, outcome.public_key.hex()));
    if !outcome.mechanisms.is_empty() {
        row("mechanisms", &outcome.mechanisms.join(", "));
    }
    row("algorithm", &format!("{}, {}", paint.good(outcome.algorithm()), outcome.why()));
    let (fastest, slowest) = (outcome.times.first().copied(), outcome.times.last().copied());
    let (fastest, slowest) = (fastest.unwrap_or_default(), slowest.unwrap_or_default());
    let count = outcome.times.len();
    row("time", &format!("{:.1?} (median of {count}; {fastest:.1?} to {slowest:.1?})", outcome.median()));
    if let Some(leaf) = &outcome.leaf {
        row("certificate", &paint.good("belongs to this key"));
        for line in certificate::lines(leaf, now) {
            row("", &line);
        }
    }
    if let Some(warning) = &outcome.warning {
        row("warning", &paint.doubtful(warning));
    }
    out
}

fn object(outcome: &Outcome) -> Value {
    let leaf = outcome.leaf.as_ref().map(
        |leaf| json!({ "sha256": leaf.thumbprint.hex(), "not_before": leaf.not_before, "not_after": leaf.not_after }),
    );
    json!({
        "key": outcome.uri, "kind": outcome.kind, "bits": outcome.bits, "public_key_sha256": outcome.public_key.hex(),
        "mechanisms": outcome.mechanisms, "ps256": outcome.ps256, "rs256": outcome.rs256,
        "algorithm": outcome.algorithm(), "signatures": outcome.times.len(),
        "median_seconds": outcome.median().as_secs_f64(), "certificate": leaf, "warning": outcome.warning,
    })
}
