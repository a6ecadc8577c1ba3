//! What an assertion says of itself, and which of it belongs beside a fault of Entra's (contract C, common rules).
//!
//! Never the assertion, and no judgement of it (`assertion` reads and checks). Easy to get wrong: an operator compares character by character, so values are shown whole and
//! only where the fault is about them.

use std::fmt;

/// The claims and header fields that an operator compares with the federated credential. No secret: the signature is not
/// among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub issuer: Option<String>,
    pub subject: Option<String>,
    pub audience: Option<String>,
    /// Seconds since 1970.
    pub expires: Option<u64>,
    /// `kid`, or the thumbprint of our certificate.
    pub key_id: Option<String>,
    pub algorithm: Option<String>,
    pub kind: Option<String>,
}

/// Faults about what a federated credential is compared with, or about the issuer's documents.
const COMPARED: &[u32] = &[
    70_021, 70_022, 70_024, 700_211, 700_212, 700_213, 700_214, 700_221, 700_238, 7_002_131, 7_002_137, 7_002_138,
    7_002_241, 50_166, 90_061, 501_661, 900_610,
];
/// Faults about the signature and the header.
const SIGNED: &[u32] = &[700_027, 5_002_723, 5_002_727, 5_002_738, 7_000_272, 7_000_274];
/// Faults about the times.
const TIMED: &[u32] = &[70_023, 500_133, 700_024];

impl Facts {
    /// What of it belongs beside a fault with these numbers.
    #[must_use]
    pub fn beside(&self, numbers: &[u32]) -> Option<String> {
        let about = |list: &[u32]| numbers.iter().any(|number| list.contains(number));
        if about(COMPARED) {
            Some(self.to_string())
        } else if about(SIGNED) {
            let (key, algorithm, kind) =
                (shown(self.key_id.as_deref()), shown(self.algorithm.as_deref()), shown(self.kind.as_deref()));
            Some(format!("key {key}, `alg` {algorithm}, `typ` {kind}"))
        } else if about(TIMED) {
            let epoch = self.expires?;
            // Logs and people tell the time in UTC.
            let at = i64::try_from(epoch).ok().and_then(|epoch| jiff::Timestamp::from_second(epoch).ok());
            Some(at.map_or_else(|| format!("`exp` {epoch}"), |at| format!("`exp` {epoch} ({at})")))
        } else {
            None
        }
    }
}

/// The three values that a federated credential is compared with.
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (issuer, subject, audience) =
            (shown(self.issuer.as_deref()), shown(self.subject.as_deref()), shown(self.audience.as_deref()));
        write!(f, "issuer {issuer}, subject {subject}, audience {audience}")
    }
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(|| "(none)".to_owned(), |value| format!("`{value}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault;

    #[test]
    fn each_fault_shows_what_it_is_about() {
        let text = |text: &str| Some(text.to_owned());
        let facts = Facts {
            issuer: text("https://i/"),
            subject: text("s"),
            audience: text("a"),
            expires: Some(1_800),
            key_id: text("k"),
            algorithm: text("RS256"),
            kind: None,
        };
        let compared = Some("issuer `https://i/`, subject `s`, audience `a`".to_owned());
        assert_eq!(facts.beside(&[700_213]), compared);
        assert_eq!(facts.beside(&[501_661]), compared);
        assert_eq!(facts.beside(&[7_000_272]), text("key `k`, `alg` `RS256`, `typ` (none)"));
        assert_eq!(facts.beside(&[700_024]), text("`exp` 1800 (1970-01-01T00:30:00Z)"));
        assert_eq!(facts.beside(&[500_011]), None);
        assert_eq!(Facts::default().beside(&[700_024]), None);
    }

    #[test]
    fn every_number_here_is_in_the_table() {
        for number in [COMPARED, SIGNED, TIMED].concat() {
            assert!(fault::known(number).is_some(), "{number}");
        }
    }
}
