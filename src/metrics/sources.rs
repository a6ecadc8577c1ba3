//! What is known of each identity's assertions and certificates, remembered from events until the next scrape.
//!
//! Easy to get wrong: an identity that left the configuration must leave no series behind, so only those in the broker's
//! status are shown. The others are not forgotten: during a reload, events come before the new status does.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;

use super::family::{self, signed};
use crate::broker::Status;
use crate::ids::IdentityName;
use crate::observe::Certificate;

#[derive(Debug, Default)]
pub(super) struct Sources(Mutex<BTreeMap<IdentityName, Source>>);

#[derive(Debug, Default)]
struct Source {
    expires: Option<u64>,
    /// When the source itself dies.
    ends: Option<u64>,
    certificates: Vec<Certificate>,
}

impl Sources {
    pub(super) fn asserted(&self, identity: &IdentityName, expires: Option<u64>, source_expires: Option<u64>) {
        let mut known = self.known();
        let source = known.entry(identity.clone()).or_default();
        source.expires = expires.or(source.expires);
        source.ends = source_expires;
    }

    pub(super) fn certificates(&self, identity: &IdentityName, in_use: &[Certificate]) {
        self.known().entry(identity.clone()).or_default().certificates = in_use.to_vec();
    }

    pub(super) fn families(&self, status: &Status) -> Vec<MetricFamily> {
        let expiry = family::gauges("unsecret_assertion_expiry_timestamp_seconds");
        let source_expiry = family::gauges("unsecret_assertion_source_expiry_timestamp_seconds");
        let not_before = family::gauges("unsecret_certificate_not_before_timestamp_seconds");
        let not_after = family::gauges("unsecret_certificate_not_after_timestamp_seconds");
        let info = family::gauges("unsecret_certificate_info");
        let known = self.known();
        for (name, source) in status.identities.iter().filter_map(|identity| known.get_key_value(&identity.name)) {
            let labels = [name.as_str()];
            let longest = source.certificates.iter().max_by_key(|certificate| certificate.not_after);
            for (gauge, time) in [
                (&expiry, source.expires),
                (&source_expiry, source.ends),
                (&not_before, longest.map(|certificate| certificate.not_before)),
                (&not_after, longest.map(|certificate| certificate.not_after)),
            ] {
                if let Some(time) = time {
                    gauge.with_label_values(&labels).set(signed(time));
                }
            }
            for certificate in &source.certificates {
                info.with_label_values(&[name.as_str(), &certificate.thumbprint]).set(1);
            }
        }
        [expiry, source_expiry, not_before, not_after, info].iter().flat_map(Collector::collect).collect()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<IdentityName, Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
