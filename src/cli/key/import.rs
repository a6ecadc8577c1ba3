//! `unsecret key import-certificate`: puts a certificate in place that belongs to a key, and no other.
//!
//! Easy to get wrong: a running broker takes up the file within a moment, so it is judged whole before anything moves, and
//! what was there stays beside it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::error::{KeyError, Stop};
use super::issue::Public;
use super::machine::{Machine, Opened};
use super::next::{Registration, Whom, configuration};
use super::{output, test};
use crate::assertion::{AssertionError, Leaf};
use crate::cli::doctor::certificate;
use crate::cli::terminal::{Paint, ascii};
use crate::cli::{Exit, note, say};
use crate::clock::{Clock as _, SystemClock};
use crate::ids::Guid;
use crate::local_ca;
use crate::signer::{Algorithm, pkcs12};

/// Check that a certificate belongs to a key, and put it in place.
///
/// The key must have the certificate's public half and sign what it verifies; the certificate must not have expired. With
/// --into it is moved there in one step, and what was there stays beside it with .previous at its name. A running broker
/// takes it up by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The key: pkcs11:…, tpm:… or file:/…
    #[arg(value_name = "KEYURI")]
    key: String,
    /// The new certificate, PEM or DER; in PEM those of its CAs may follow
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// The file that the configuration names; without it the certificate is only checked
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
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
  unsecret key import-certificate file:/etc/unsecret/billing.key --certificate new.pem
  unsecret key import-certificate tpm:handle=0x81010042 --certificate new.pem \\
    --into /etc/unsecret/billing.pem

Entra must know the new certificate too. Until it does, keep the old one configured as the second of
the identity's certificates.

Exit status: 0 it belongs (and is in place), 1 it does not, 2 bad usage or configuration.";

/// What was done.
struct Imported {
    uri: String,
    leaf: Leaf,
    /// Leaf first.
    chain: Vec<Vec<u8>>,
    /// Where it was put.
    into: Option<PathBuf>,
    /// Where the one before it is now.
    previous: Option<PathBuf>,
}

pub(super) async fn run(args: &Args) -> Result<Exit, Stop> {
    let registration = args.whom.registration(&args.machine)?;
    let chain = read(&args.certificate)?;
    let leaf = Leaf::of(&args.certificate, &chain[0])?;
    let now = SystemClock::new().now().epoch();
    if now > leaf.not_after {
        let Leaf { name: certificate, not_before, not_after, .. } = leaf;
        return Err(AssertionError::CertificateNotValid { certificate, not_before, not_after, now }.into());
    }
    let work = async |opened: &Opened| proven(opened, &args.certificate, &leaf, &chain).await;
    let uri = args.machine.with(&args.key, false, work).await?;
    let into = args.into.as_deref().map(output::whole).transpose()?;
    let text: String = chain.iter().map(|der| local_ca::pem("CERTIFICATE", der)).collect();
    let previous = into.as_deref().map(|path| output::replace(path, &text)).transpose()?.flatten();
    // The next step is about the file that stays.
    let path = into.clone().map_or_else(|| output::whole(&args.certificate), Ok)?;
    let done = Imported { uri, leaf, chain, into, previous };
    if args.json {
        return Ok(say(&format!("{}\n", ascii(&done.object(&path, &registration, now).to_string()))));
    }
    note(&format!("{}{}{}", done.text(now), registration.text(&path), configuration(&path, &done.uri)));
    Ok(Exit::Done)
}

impl Imported {
    fn text(&self, now: u64) -> String {
        let mut said = match &self.into {
            Some(path) => format!("the certificate belongs to the key, and is in place as {}\n", path.display()),
            None => "the certificate belongs to the key; with --into FILE it is put in place\n".to_owned(),
        };
        if let Some(previous) = &self.previous {
            let _ = writeln!(said, "  what was there before: {}", previous.display());
        }
        for line in certificate::lines(&self.leaf, now) {
            let _ = writeln!(said, "  {line}");
        }
        for warning in warnings(&self.chain[0], &self.leaf, now) {
            let _ = writeln!(said, "{} {warning}", Paint::stderr().doubtful("warning:"));
        }
        said
    }

    fn object(&self, path: &Path, registration: &Registration, now: u64) -> Value {
        let Self { uri, leaf, chain, into, previous } = self;
        json!({
            "certificate": path, "imported": into.is_some(), "previous": previous, "key": uri,
            "sha256": leaf.thumbprint.hex(), "not_before": leaf.not_before, "not_after": leaf.not_after,
            "warnings": warnings(&chain[0], leaf, now), "next": registration.json(path, &chain[0]),
        })
    }
}

/// The certificates of a file as DER, at least one.
fn read(path: &Path) -> Result<Vec<Vec<u8>>, AssertionError> {
    let unreadable = |source| AssertionError::CertificateUnreadable { path: path.to_owned(), source };
    let invalid = |why| AssertionError::CertificateInvalid { path: path.to_owned(), why };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    if pkcs12::is_der(&bytes) {
        return Ok(vec![bytes]);
    }
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|_| invalid("its PEM is damaged"))?;
    if all.is_empty() {
        return Err(invalid("no PEM certificate in it"));
    }
    Ok(all.into_iter().map(|der| der.to_vec()).collect())
}

/// The certificate has the key's public half, and verifies what the key signs; gives the key's URI.
async fn proven(opened: &Opened, path: &Path, leaf: &Leaf, chain: &[Vec<u8>]) -> Result<String, Stop> {
    let signer = opened.signers.open(&opened.uri, Some(&leaf.public_key))?;
    let public = Public::of(&*signer).await?;
    if let Err(other) = test::same(leaf, &public) {
        let theirs = |der: &&Vec<u8>| Leaf::of(path, der).is_ok_and(|leaf| leaf.public_key == public.key);
        let at = chain.iter().position(|der| theirs(&der));
        return Err(match at {
            Some(at) => KeyError::NotFirst { path: path.to_owned(), place: at + 1 }.into(),
            None => other.into(),
        });
    }
    let message = format!("unsecret key import-certificate {}", Guid::random());
    for algorithm in [Algorithm::Ps256, Algorithm::Rs256] {
        if public.signed(&*signer, algorithm, message.as_bytes()).await?.is_some() {
            return Ok(opened.uri.to_string());
        }
    }
    Err(KeyError::SignsNothing.into())
}

/// What is odd about a certificate and stops nobody: Entra looks at neither.
fn warnings(der: &[u8], leaf: &Leaf, now: u64) -> Vec<String> {
    let mut warnings = Vec::new();
    if now < leaf.not_before {
        let from = certificate::moment(leaf.not_before);
        warnings.push(format!("it is valid only from {from}; until then an older one is needed"));
    }
    if let Ok((_, parsed)) = X509Certificate::from_der(der) {
        if matches!(parsed.key_usage(), Ok(Some(usage)) if !usage.value.digital_signature()) {
            warnings.push("its key usage does not name digitalSignature, which assertions are".to_owned());
        }
        if parsed.is_ca() {
            warnings.push("it is the certificate of a CA; ask for one that is not".to_owned());
        }
    }
    warnings
}
