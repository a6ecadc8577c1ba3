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
