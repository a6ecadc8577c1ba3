//! The lines of `/readyz?verbose`: one for each identity, certificate and sink.
//!
//! For people; nothing is decided on them. Easy to get wrong: one that holds a line break from elsewhere would look like two.

use std::fmt::Write as _;

use crate::assertion::CertificateStatus;
use crate::broker::{IdentityStatus, SlotStatus};
use crate::ids::IdentityName;
use crate::problem::Trouble;
use crate::sink::SinkStatus;

const DAY: u64 = 86_400;

/// One line: `billing: ready; https://graph.microsoft.com held for 3120 s (until 1798765432); …`.
pub(super) fn identity(text: &mut String, identity: &IdentityStatus, now: u64) {
    let ready = if identity.ready { "ready" } else { "not ready" };
    let optional = if identity.required { "" } else { " (not required)" };
    let _ = write!(text, "{}: {ready}{optional}", identity.name);
    for slot in &identity.slots {
        describe_slot(text, slot, now);
    }
    match &identity.probe_failure {
        Some(trouble) => describe_trouble(text, "; no assertion", trouble),
        None if identity.slots.is_empty() => text.push_str("; nothing held"),
        None => {}
    }
    text.push('\n');
}

fn describe_slot(text: &mut String, slot: &SlotStatus, now: u64) {
    let capable = if slot.capable { "(cp1) " } else { "" };
    let _ = write!(text, "; {} {capable}", slot.resource);
    let _ = match slot.held {
        Some(held) => write!(text, "held for {} s (until {})", held.expires.saturating_sub(now), held.expires),
        None => write!(text, "not held"),
    };
    if let Some(trouble) = &slot.trouble {
        describe_trouble(text, ", last failure", trouble);
        if let Some(next) = slot.next_try {
            let _ = write!(text, ", next try in {} s", next.saturating_sub(now));
        }
    }
}

fn describe_trouble(text: &mut String, what: &str, trouble: &Trouble) {
    let Trouble { code, chain, remedy, consecutive } = trouble;
    // One line per identity, certificate or sink, whatever an upstream text holds.
    let plain = |text: &str| text.replace(['\n', '\r'], " ");
    let _ = write!(text, "{what} ({consecutive} in a row): {} [{code}]", plain(chain));
    if let Some(remedy) = remedy {
        let _ = write!(text, ", remedy: {}", plain(remedy));
    }
}

/// One line: `certificate /etc/unsecret/billing.pem of billing: 42 days left (until 1798765432), signs with PS256`.
pub(super) fn certificate(text: &mut String, identity: &IdentityName, status: &CertificateStatus, now: u64) {
    let CertificateStatus { certificate, not_before, not_after, .. } = status;
    let _ = write!(text, "certificate {certificate} of {identity}: ");
    let _ = match not_after.checked_sub(now) {
        Some(_) if *not_before > now => write!(text, "not valid before {not_before}"),
        Some(left) => write!(text, "{} days left (until {not_after})", left / DAY),
        None => write!(text, "past since {not_after}"),
    };
    if let Some(algorithm) = status.algorithm {
        let _ = write!(text, ", signs with {algorithm}");
    }
    if let Some(trouble) = &status.trouble {
        describe_trouble(text, ", key not usable", trouble);
    }
    if let Some(until) = status.refused_until {
        let _ = write!(text, ", refused by Entra, tried again in {} s", until.saturating_sub(now));
    }
    if let Some(trouble) = &status.kept {
        describe_trouble(text, ", new files not taken", trouble);
    }
    text.push('\n');
}

/// One line: `sink /run/unsecret/pg.token of billing: good for 3120 s (until 1798765432)`.
pub(super) fn sink(text: &mut String, sink: &SinkStatus, now: u64) {
    let _ = write!(text, "sink {} of {}: ", sink.file.display(), sink.identity);
    let _ = match (sink.ready, sink.expires) {
        (true, Some(expires)) => write!(text, "good for {} s (until {expires})", expires.saturating_sub(now)),
        (true, None) => write!(text, "written"),
        (false, Some(expires)) => write!(text, "past since {expires}"),
        (false, None) => write!(text, "not written"),
    };
    if !sink.required {
        text.push_str(" (not required)");
    }
    if let Some(trouble) = &sink.trouble {
        describe_trouble(text, ", last failure", trouble);
    }
    text.push('\n');
}
