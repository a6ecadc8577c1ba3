//! `unsecret key request`: a request by which a company's CA certifies a key that stays where it is.

use std::path::PathBuf;

use serde_json::json;

use super::error::{KeyError, Stop};
use super::machine::{Machine, Opened};
use super::next::quoted;
use super::{issue, output, subject};
use crate::cli::terminal::ascii;
use crate::cli::{Exit, note, say};
use crate::local_ca;

/// Make a certificate signing request (PKCS#10) for a key, for a CA of your company.
///
/// For tenants that refuse self-signed certificates. What the CA returns is put in place with `import-certificate`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The key: pkcs11:…, tpm:… or file:/…
    #[arg(value_name = "KEYURI")]
    key: String,
    /// Whom it names, such as CN=billing,O=Contoso
    #[arg(long, value_name = "NAME")]
    subject: String,
    /// A subject alternative name, such as DNS:billing.example; may be repeated; Entra asks for none, some CAs do
    #[arg(long, value_name = "NAME")]
    san: Vec<String>,
    /// Write it to this file, as PEM; the file must not be there
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machine: Machine,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret key request file:/etc/unsecret/billing.key --subject CN=billing --out billing.csr
  unsecret key request tpm:handle=0x81010042 --subject CN=billing --san billing.example --out b.csr

Exit status: 0 the request is written, 1 it is not, 2 bad usage or configuration.";

pub(super) async fn run(args: &Args) -> Result<Exit, Stop> {
    let subject = subject::parse(&args.subject)?;
    let names = args.san.iter().map(|text| subject::alternative(text)).collect::<Result<Vec<_>, KeyError>>()?;
    let path = output::vacant(&args.out)?;
    let work = async |opened: &Opened| {
        let signer = opened.signers.open(&opened.uri, None)?;
        let der = issue::request(&*signer, subject.clone(), names.clone()).await?;
        Ok((opened.uri.to_string(), der))
    };
    let (uri, der) = args.machine.with(&args.key, false, work).await?;
    output::create(&path, &local_ca::pem("CERTIFICATE REQUEST", &der))?;
    let next = format!("unsecret key import-certificate {} --certificate NEW.pem --into FILE.pem", quoted(&uri));
    if args.json {
        let object = json!({ "request": path, "key": uri, "next": next });
        return Ok(say(&format!("{}\n", ascii(&object.to_string()))));
    }
    note(&format!(
        "wrote {}\nnext: have your CA sign it for client authentication, then put in place what it returns\n  {next}\n",
        path.display()
    ));
    Ok(Exit::Done)
}
