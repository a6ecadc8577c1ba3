//! `unsecret key roll`: the next key and certificate of an identity, and how they are taken into use without a gap.
//!
//! What is there is taken up, so that a roll that stopped half way is gone on with by the same command. Nothing of the
//! current pair is touched: it signs the proof, and goes on signing assertions until Entra knows the next one
//! everywhere. Easy to get wrong: the new pair goes before the old one in the configuration, and the old one stays.

mod apply;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::error::{KeyError, Stop};
use super::machine::{Machine, Opened};
use super::next::{Whom, pairs};
use super::{issue, output, subject};
use crate::assertion::Leaf;
use crate::cli::doctor::certificate;
use crate::cli::private::Which;
use crate::cli::terminal::ascii;
use crate::cli::{Exit, note, say};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{AssertionSettings, CertificateSettings, Config};
use crate::local_ca;
use crate::signer::SignError;

/// Make the next key and certificate of an identity, and let its application know.
///
/// Makes the key where it is not there yet, and a self-signed certificate over it. With --apply the certificate is added to the
/// application through Microsoft Graph, with a proof that the current key signs: this needs no permission in the
/// directory. Then both pairs are to stand in the configuration, the new one first. The same command goes on where
/// an earlier one stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The next key: pkcs11:…, tpm:… or file:/…; made if it is not there
    #[arg(value_name = "KEYURI")]
    key: String,
    /// Write its certificate to this file, as PEM; one that is there must be of this key
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Whom the certificate names [default: CN= and the identity's name]
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// How long the certificate is valid
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// Length of the modulus of a key that is made
    #[arg(long, value_name = "N", default_value = "2048", value_parser = ["2048", "3072", "4096"])]
    bits: String,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    apply: apply::Apply,
    #[command(flatten)]
    whom: Whom,
    #[command(flatten)]
    machine: Machine,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret key roll tpm:handle=0x81010043 --out /etc/unsecret/billing-2.pem \\
    --config /etc/unsecret/config.toml --identity billing
  unsecret key roll 'pkcs11:token=prod;object=billing-2?module-name=softhsm2' \\
    --out /etc/unsecret/billing-2.pem --config /etc/unsecret/config.toml \\
    --apply --object-id 77777777-dddd-4eee-8fff-888888888888

The object id: az ad app show --id CLIENT_ID --query id --output tsv

Where a policy of the tenant refuses self-signed certificates or long lives, Graph's refusal says
which: make it with fewer --days, or have a CA issue it (unsecret key request, then
unsecret key import-certificate).

Exit status: 0 the pair is made (and, with --apply, the application knows it), 1 it is not,
2 bad usage or configuration.";

pub(super) async fn run(args: &Args) -> Result<Exit, Stop> {
    let config =
        Which { config: args.machine.config.clone(), identity: args.whom.name() }.load().map_err(Stop::Told)?;
    let current = current(&config)?;
    let registration = args.whom.registration(&args.machine)?;
    let (next, key) = pair(args, &config).await?;
    if args.apply.wanted {
        apply::apply(&args.apply, &config, current, &args.machine, &next.der).await?;
    }
    let mut all = vec![(next.path.display().to_string(), key.clone())];
    all.extend(current.iter().map(|one| (one.certificate.display().to_string(), one.key.to_string())));
    if args.json {
        let object = json!({
            "key": key, "certificate": next.path, "sha256": next.leaf.thumbprint.hex(), "not_after": next.leaf.not_after,
            "applied": args.apply.wanted, "next": registration.json(&next.path, &next.der),
            "certificates": all.iter().map(|(certificate, key)| json!({ "certificate": certificate, "key": key })).collect::<Vec<_>>(),
        });
        return Ok(say(&format!("{}\n", ascii(&object.to_string()))));
    }
    if args.apply.wanted {
        note(
            "the application knows the certificate; it takes minutes until all of Entra does, and until then the old one signs\n",
        );
    } else {
        note(&registration.text(&next.path));
    }
    note(&format!("then configure both pairs, the new one first, and reload:\n{}", pairs(&all)));
    note(
        "when every token has been minted with the new one, take the old pair out, and its certificate out of the application\n",
    );
    Ok(Exit::Done)
}

/// The pairs that the identity signs with today.
fn current(config: &Config) -> Result<&[CertificateSettings], KeyError> {
    match config.identities.first().map(|identity| &identity.assertion) {
        Some(AssertionSettings::Certificates { certificates, .. }) => Ok(certificates),
        _ => Err(KeyError::NothingToRoll),
    }
}

/// A certificate and the file it is in.
struct Issued {
    path: PathBuf,
    der: Vec<u8>,
    leaf: Leaf,
}

/// The next key, made if need be, and its certificate.
async fn pair(args: &Args, config: &Config) -> Result<(Issued, String), Stop> {
    let name = config.identities.first().map(|identity| identity.entry.name.to_string()).unwrap_or_default();
    let subject = subject::parse(args.subject.as_deref().unwrap_or(&format!("CN={name}")))?;
    let path = output::whole(&args.out)?;
    let now = SystemClock::new().now();
    let bits = args.bits.parse().unwrap_or(2_048);
    let work = async |opened: &Opened| {
        let made = match opened.signers.device(&opened.uri)?.create(bits).await {
            Ok(uri) => Some(uri),
            Err(SignError::KeyExists { .. }) => None,
            Err(problem) => return Err(problem.into()),
        };
        let uri = made.as_ref().unwrap_or(&opened.uri);
        let signer = opened.signers.open(uri, None)?;
        let (der, is_new) = match held(&path, &issue::Public::of(&*signer).await?.key)? {
            Some(der) => (der, false),
            None => (issue::certificate(&*signer, subject.clone(), args.days, now).await?, true),
        };
        Ok((uri.to_string(), made.is_some(), der, is_new))
    };
    let (uri, key_is_new, der, is_new) = args.machine.with(&args.key, false, work).await?;
    let leaf = Leaf::of(&path, &der)?;
    if is_new {
        output::create(&path, &local_ca::pem("CERTIFICATE", &der))?;
    }
    let did = |new| if new { "made" } else { "found" };
    let mut text = format!("{} {uri}\n{} {}\n", did(key_is_new), did(is_new), path.display());
    for line in certificate::lines(&leaf, now.epoch()) {
        let _ = writeln!(text, "  {line}");
    }
    note(&text);
    Ok((Issued { path, der, leaf }, uri))
}

/// The certificate that an earlier run has written; refused where it is another key's.
fn held(path: &Path, key: &[u8]) -> Result<Option<Vec<u8>>, Stop> {
    if std::fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    if Leaf::open(path, None)?.public_key != key {
        return Err(KeyError::OutputExists(path.to_owned()).into());
    }
    Ok(Some(output::der(path)?))
}
