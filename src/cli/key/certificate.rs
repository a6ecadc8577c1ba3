//! `unsecret key certificate`: a self-signed certificate for a key that stays where it is.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::json;

use super::error::Stop;
use super::machine::{Machine, Opened};
use super::next::{Whom, configuration};
use super::{issue, output, subject};
use crate::assertion::Leaf;
use crate::cli::doctor::certificate;
use crate::cli::terminal::ascii;
use crate::cli::{Exit, note, say};
use crate::clock::{Clock as _, SystemClock};
use crate::local_ca;

/// Make a self-signed certificate for a key, which Entra takes as it is.
///
/// The key signs it where it is. The certificate is for client assertions and nothing else: no CA, key usage
/// digitalSignature. Where a tenant wants certificates of its own CA, make a request instead.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The key: pkcs11:…, tpm:… or file:/…
    #[arg(value_name = "KEYURI")]
    key: String,
    /// Whom it names, such as CN=billing,O=Contoso; Entra shows it and does not read it
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// How long it is valid; many tenants allow no more than a year
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// Write it to this file, as PEM; the file must not be there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    machine: Machine,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret key certificate file:/etc/unsecret/billing.key --subject CN=billing --out billing.pem
  unsecret key certificate tpm:handle=0x81010042 --subject CN=billing --days 180 --out billing.pem
  unsecret key certificate file:/etc/unsecret/billing.key --subject CN=billing --out billing.pem \\
    --config /etc/unsecret/config.toml --identity billing   with the client id in the next step

Exit status: 0 the certificate is written, 1 it is not, 2 bad usage or configuration.";

pub(super) async fn run(args: &Args) -> Result<Exit, Stop> {
    let subject = subject::parse(&args.subject)?;
    let registration = args.whom.registration(&args.machine)?;
    let path = output::vacant(&args.out)?;
    let now = SystemClock::new().now();
    let work = async |opened: &Opened| {
        let signer = opened.signers.open(&opened.uri, None)?;
        let der = issue::certificate(&*signer, subject.clone(), args.days, now).await?;
        Ok((opened.uri.to_string(), der))
    };
    let (uri, der) = args.machine.with(&args.key, false, work).await?;
    let leaf = Leaf::of(&path, &der)?;
    output::create(&path, &local_ca::pem("CERTIFICATE", &der))?;
    if args.json {
        let object = json!({
            "certificate": path, "key": uri, "sha256": leaf.thumbprint.hex(), "not_before": leaf.not_before,
            "not_after": leaf.not_after, "next": registration.json(&path, &der),
        });
        return Ok(say(&format!("{}\n", ascii(&object.to_string()))));
    }
    let mut text = format!("wrote {}\n", path.display());
    for line in certificate::lines(&leaf, now.epoch()) {
        let _ = writeln!(text, "  {line}");
    }
    note(&format!("{text}{}{}", registration.text(&path), configuration(&path, &uri)));
    Ok(Exit::Done)
}
