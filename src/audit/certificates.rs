//! The lines about certificates and their keys.
//!
//! The source tells most of it once. Easy to get wrong: a reload makes a new source, which warns of the same end again.

use tracing::{debug, error, info, warn};

use super::milliseconds;
use crate::observe::{Certificate, Event};

/// Whatever is not about certificates and keys is left alone.
pub(super) fn tell(event: &Event<'_>) {
    match *event {
        Event::Certificates { identity, in_use } => {
            for Certificate { thumbprint, not_before, not_after } in in_use {
                info!(identity = identity.as_str(), thumbprint, not_before, not_after, "certificate in use");
            }
        }
        Event::Signed { identity, backend, outcome, took, resets } => {
            let (identity, duration_ms) = (identity.as_str(), milliseconds(took));
            debug!(identity, backend, outcome, duration_ms, resets, "key asked for a signature");
        }
        Event::KeyProven { identity, certificate, backend, algorithm, fell_back, recovered } => {
            let identity = identity.as_str();
            if fell_back {
                let why = "the key cannot do PSS with a 32-byte salt, so it signs as older libraries do";
                info!(identity, certificate, backend, algorithm, recovered, "key proven: {why}");
            } else {
                info!(identity, certificate, backend, algorithm, recovered, "key proven");
            }
        }
        Event::KeyFailed { identity, certificate, backend, code, chain, remedy } => {
            warn!(identity = identity.as_str(), certificate, backend, code, remedy, "key not usable: {chain}");
        }
        Event::CertificatePassedOver { identity, passed, instead, reason } => {
            warn!(
                identity = identity.as_str(),
                passed, instead, reason, "an older certificate signs; the newer one is tried again by itself"
            );
        }
        Event::CertificateAccepted { identity, thumbprint } => {
            info!(identity = identity.as_str(), thumbprint, "Entra takes the certificate now");
        }
        Event::CertificateKept { identity, file, thumbprint, code, chain, remedy } => {
            let (identity, file) = (identity.as_str(), file.display());
            warn!(identity, %file, code, remedy, "certificate {thumbprint} goes on, the new file is not taken: {chain}");
        }
        _ => {}
    }
}

/// A certificate that ends.
pub(super) fn ending(event: &Event<'_>) {
    let Event::CertificateEnding { identity, certificate, thumbprint, not_after, days_left, warned_at } = *event else {
        return;
    };
    let identity = identity.as_str();
    if warned_at > 7 {
        warn!(identity, certificate, thumbprint, not_after, days_left, "certificate ends soon");
    } else {
        error!(identity, certificate, thumbprint, not_after, days_left, "certificate ends in a few days");
    }
}

#[cfg(test)]
mod tests {
    use super::super::Audit;
    use super::super::tests::written;
    use super::*;
    use crate::ids::IdentityName;
    use crate::observe::Observer as _;

    #[test]
    fn an_end_is_told_once_though_a_reload_forgets_it() {
        let identity = &IdentityName::parse("billing").unwrap();
        let lines = written(|audit: &Audit| {
            for (days_left, warned_at) in [(29, 30), (28, 30), (6, 7), (5, 7)] {
                let (certificate, thumbprint, not_after) = ("/billing.pem", "f00d", 1_800_000_000);
                audit.on(&Event::CertificateEnding {
                    identity,
                    certificate,
                    thumbprint,
                    not_after,
                    days_left,
                    warned_at,
                });
            }
        });
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines[0].contains("WARN") && lines[0].contains("days_left=29"), "{}", lines[0]);
        assert!(lines[1].contains("ERROR") && lines[1].contains("days_left=6"), "{}", lines[1]);
    }

    #[test]
    fn a_certificate_that_is_passed_over_is_named_with_the_one_that_signs() {
        let identity = &IdentityName::parse("billing").unwrap();
        let (passed, instead, reason) = ("f00d", "beef", "refused-by-entra");
        let lines =
            written(|audit: &Audit| audit.on(&Event::CertificatePassedOver { identity, passed, instead, reason }));
        for part in [r#"passed="f00d""#, r#"instead="beef""#, r#"reason="refused-by-entra""#] {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
    }
}
