//! What an operator compares of a certificate: its thumbprints in the forms that others write them, and its time.
//!
//! Easy to get wrong: the portal shows SHA-1 in hexadecimal, AADSTS700027 says SHA-256 in base64url, and our log SHA-256
//! in hexadecimal; they name the same certificate.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::assertion::Leaf;

/// Lines about one certificate.
pub(in crate::cli) fn lines(leaf: &Leaf, now: u64) -> Vec<String> {
    vec![
        format!("certificate `{}`, {}", leaf.name, validity(leaf, now)),
        format!("thumbprint SHA-1 {} (as the portal shows it)", sha1(leaf)),
        format!(
            "thumbprint SHA-256 {} (as AADSTS700027 says it), {}",
            leaf.thumbprint.base64url(),
            leaf.thumbprint.hex()
        ),
    ]
}

/// How to make a certificate known to the application.
pub(in crate::cli) fn guidance(leaf: &Leaf, client_id: &str) -> Vec<String> {
    let path = leaf.name.replace('\'', r"'\''");
    vec![
        format!(
            "az ad app credential reset --id {client_id} --append --cert '@{path}'   adds it, as PEM without the key"
        ),
        format!(
            "Graph: PATCH applications(appId='{client_id}') replaces the whole list keyCredentials, so read it first; \
             customKeyIdentifier is {}",
            sha1(leaf)
        ),
    ]
}

/// In hexadecimal, upper case.
fn sha1(leaf: &Leaf) -> String {
    let mut text = String::new();
    for byte in URL_SAFE_NO_PAD.decode(&leaf.sha1).unwrap_or_default() {
        let _ = write!(text, "{byte:02X}");
    }
    text
}

fn validity(leaf: &Leaf, now: u64) -> String {
    let (from, until) = (moment(leaf.not_before), moment(leaf.not_after));
    match leaf.not_after.checked_sub(now) {
        Some(left) if leaf.not_before <= now => format!("valid from {from} until {until}, {} days more", left / 86_400),
        Some(_) => format!("valid only from {from}"),
        None => format!("valid until {until}, which is past"),
    }
}

/// In UTC, as logs and people tell the time.
pub(in crate::cli) fn moment(epoch: u64) -> String {
    let at = i64::try_from(epoch).ok().and_then(|epoch| jiff::Timestamp::from_second(epoch).ok());
    at.map_or_else(|| epoch.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Fingerprint;

    fn leaf() -> Leaf {
        Leaf {
            name: "/c.pem".to_owned(),
            thumbprint: Fingerprint::of(b"abc"),
            sha1: "qZk-NkcGgWq6PiVxeFDCbJzQ2J0".to_owned(),
            not_before: 1_000,
            not_after: 1_000 + 10 * 86_400,
            public_key: Vec::new(),
        }
    }

    #[test]
    fn thumbprints_are_written_as_others_write_them() {
        let text = lines(&leaf(), 2_000).join("\n");
        assert!(text.contains("SHA-1 A9993E364706816ABA3E25717850C26C9CD0D89D "), "{text}");
        assert!(text.contains("SHA-256 ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0 "), "{text}");
        assert!(text.contains("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), "{text}");
    }

    #[test]
    fn what_is_left_of_its_time_is_said() {
        assert!(validity(&leaf(), 1_000).ends_with("10 days more"));
        assert!(validity(&leaf(), 10).starts_with("valid only from 1970-01-01T00:16:40Z"));
        assert!(validity(&leaf(), 10_000_000).ends_with("which is past"));
    }
}
