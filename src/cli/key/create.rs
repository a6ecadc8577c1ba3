//! `unsecret key create`: a new key, where it is to stay.

use serde_json::json;

use super::error::Stop;
use super::machine::Machine;
use super::next::{quoted, unattended};
use crate::cli::terminal::ascii;
use crate::cli::{Exit, note, say};
use crate::signer::Found;

/// Make an RSA key that cannot leave its device.
///
/// A key in a token or TPM is made there and marked as one that cannot be read out. A key in a file is readable by its
/// owner only; whoever reads the file has the key. What is there already is never overwritten. Prints the URI for the
/// configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Where the key is to be: pkcs11:token=…;object=…, tpm:handle=0x81…, tpm:file=/… or file:/…
    #[arg(value_name = "KEYURI")]
    key: String,
    /// Length of the modulus; Entra needs no more than 2048, and many TPMs make no more
    #[arg(long, value_name = "N", default_value = "2048", value_parser = ["2048", "3072", "4096"])]
    bits: String,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret key create 'pkcs11:token=prod;object=billing?module-path=/usr/lib/softhsm/libsofthsm2.so'
  unsecret key create tpm:handle=0x81010042
  unsecret key create tpm:file=/etc/unsecret/billing.tss
  unsecret key create file:/etc/unsecret/billing.key --bits 3072

Without pin-source in the URI the PIN is asked for, if this is a terminal. A wrong PIN is tried
once, and never again until it changes.

Exit status: 0 the key is made, 1 it is not, 2 bad usage or configuration.";

pub(super) async fn run(args: &Args) -> Result<Exit, Stop> {
    let bits: u32 = args.bits.parse().unwrap_or(2_048);
    let (uri, found) = args
        .machine
        .with(&args.key, false, async |opened| {
            let made = opened.signers.device(&opened.uri)?.create(bits).await?;
            let found = opened.signers.device(&made)?.keys().await?;
            Ok((made.to_string(), found))
        })
        .await?;
    let one = found.first();
    if args.json {
        let (bits, extractable) = (one.and_then(|key| key.bits), one.and_then(|key| key.extractable));
        let object = json!({ "key": uri, "bits": bits, "extractable": extractable });
        return Ok(say(&format!("{}\n", ascii(&object.to_string()))));
    }
    note(&format!("made {}\n", described(&uri, bits, one)));
    let uri_word = quoted(&uri);
    note(&format!(
        "next: make a certificate for it, or a request to a CA of your company\n  \
         unsecret key certificate {uri_word} --subject CN=NAME --out NAME.pem\n  \
         unsecret key request {uri_word} --subject CN=NAME --out NAME.csr\n\
         {}the key's URI:\n",
        unattended(&uri)
    ));
    Ok(say(&format!("{uri}\n")))
}

fn described(uri: &str, wanted: u32, found: Option<&Found>) -> String {
    let bits = found.and_then(|key| key.bits).unwrap_or(wanted);
    let may_leave = match found.and_then(|key| key.extractable) {
        Some(true) if uri.starts_with("file:") => "readable by its owner only; whoever reads the file has the key",
        Some(true) => "which the device says CAN leave it",
        Some(false) => "which cannot leave the device",
        None => "of which the device does not say whether it can leave it",
    };
    format!("an RSA key of {bits} bits, {may_leave}")
}
