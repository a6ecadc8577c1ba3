//! What there is to say about the keys of certificates: what was found in the hardware, what does not sign, what ends.
//!
//! Easy to get wrong: looking around a token logs in to it, so that is done only after a signature has shown that the PIN is
//! right.

use std::fmt::Write as _;
use std::time::Duration;

use crate::app::{Opened, Parts};
use crate::assertion::{CertificateStatus, Leaf};
use crate::config::{AssertionSettings, Identity};
use crate::problem::{Trouble, chain};
use crate::signer::{Found, KeyUri};

/// How long a device may take to say what is in it.
const PATIENCE: Duration = Duration::from_secs(15);
const DAY: u64 = 86_400;
/// With fewer days left, the next certificate should be under way.
const SOON: u64 = 30;
/// With fewer, it should be there.
const NEAR: u64 = 7;

/// Something that is not broken yet, and what to do.
pub(super) struct Doubt {
    pub(super) what: String,
    pub(super) remedy: Option<String>,
}

pub(super) fn doubts(opened: &Opened, now: u64) -> Vec<Doubt> {
    let warnings = opened.warnings().into_iter().map(|what| Doubt { what, remedy: None });
    let status = opened.signing.as_ref().map(|signing| signing.status()).unwrap_or_default();
    warnings.chain(status.into_iter().filter_map(silent)).chain(ending(&opened.leaves(), now)).collect()
}

/// A key that does not sign, while another does.
fn silent(status: CertificateStatus) -> Option<Doubt> {
    let Trouble { code, chain, remedy, .. } = status.trouble?;
    Some(Doubt { what: format!("the key of `{}` does not sign: {chain} [{code}]", status.certificate), remedy })
}

/// Told of the certificate that lasts longest: the older ones are there to end.
fn ending(leaves: &[Leaf], now: u64) -> Option<Doubt> {
    let last = leaves.iter().max_by_key(|leaf| leaf.not_after)?;
    let days = last.not_after.saturating_sub(now) / DAY;
    if days >= SOON {
        return None;
    }
    let haste = if days < NEAR { "in a few days" } else { "soon" };
    let what = format!("the last certificate ends {haste}: `{}` has {days} days more", last.name);
    let remedy = "make the next certificate and name it before this one, which serves until Entra knows the new one";
    Some(Doubt { what, remedy: Some(remedy.to_owned()) })
}

/// The keys that the hardware shows where the configuration points; nothing for keys in files.
pub(super) async fn found(identity: &Identity, parts: &Parts) -> Vec<String> {
    let AssertionSettings::Certificates { certificates, .. } = &identity.assertion else { return Vec::new() };
    let mut lines = Vec::new();
    for one in certificates.iter().filter(|one| !matches!(one.key, KeyUri::File { .. })) {
        let Ok(device) = parts.device(&one.key) else { continue };
        match tokio::time::timeout(PATIENCE, device.keys()).await {
            Ok(Ok(keys)) => lines.extend(keys.iter().map(line)),
            Ok(Err(problem)) => lines.push(format!("what else is there cannot be listed: {}", chain(&problem))),
            Err(_) => lines.push(format!("what else is there cannot be listed: no answer within {PATIENCE:?}")),
        }
    }
    lines
}

fn line(key: &Found) -> String {
    let mut line = format!("found in `{}`: {}", key.place, key.uri);
    if let Some(bits) = key.bits {
        let _ = write!(line, ", RSA {bits}");
    }
    match key.extractable {
        Some(true) => line.push_str(", which can leave the device"),
        Some(false) => line.push_str(", which cannot leave the device"),
        None => {}
    }
    if !key.mechanisms.is_empty() {
        let _ = write!(line, "; signs with {}", key.mechanisms.join(", "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Fingerprint;

    fn leaf(name: &str, days: u64) -> Leaf {
        Leaf {
            name: name.to_owned(),
            thumbprint: Fingerprint::of(name.as_bytes()),
            sha1: String::new(),
            not_before: 0,
            not_after: days * DAY,
            public_key: Vec::new(),
        }
    }

    #[test]
    fn the_end_of_the_last_certificate_is_told_at_30_and_at_7_days() {
        let told = |leaves: &[Leaf]| ending(leaves, 0).map(|doubt| doubt.what);
        assert_eq!(told(&[leaf("new", 30), leaf("old", 3)]), None, "the older one is there to end");
        assert_eq!(told(&[leaf("new", 29)]).unwrap(), "the last certificate ends soon: `new` has 29 days more");
        assert!(told(&[leaf("new", 6)]).unwrap().contains("ends in a few days: `new` has 6 days more"));
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn a_found_key_is_told_with_what_matters_to_its_owner() {
        let key = Found {
            uri: "pkcs11:token=prod;object=billing".to_owned(),
            place: "prod".to_owned(),
            label: Some("billing".to_owned()),
            id: None,
            bits: Some(2048),
            extractable: Some(false),
            mechanisms: vec!["RSA-PKCS-PSS".to_owned()],
        };
        let told = "found in `prod`: pkcs11:token=prod;object=billing, RSA 2048, which cannot leave the device; signs with \
                    RSA-PKCS-PSS";
        assert_eq!(line(&key), told);
    }
}
