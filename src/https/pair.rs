//! A certificate chain with its key, which fit, and what is to be known of it.
//!
//! Easy to get wrong: whether key and certificate belong together shows only when somebody compares them; a server that
//! does not fails in every handshake.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::secret::Fingerprint;

/// Ready to be shown in a handshake.
#[derive(Debug)]
pub struct Pair {
    pub certified: Arc<CertifiedKey>,
    /// Lower-case DNS names, some with a leading `*.`, and IP addresses.
    pub(super) names: Vec<String>,
    /// Seconds since 1970.
    pub not_before: u64,
    /// Seconds since 1970.
    pub not_after: u64,
    /// SHA-256 over the leaf's DER.
    pub mark: Fingerprint,
}

/// Which of the two is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    Certificate(&'static str),
    Key(&'static str),
    Mismatch,
}

impl Pair {
    /// Of PEM texts; they may be one and the same.
    pub fn of_pem(chain: &[u8], key: &[u8]) -> Result<Self, Unfit> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| Unfit::Certificate("broken PEM"))?;
        let leaf = chain.first().ok_or(Unfit::Certificate("no PEM certificate in it"))?;
        let (_, parsed) =
            X509Certificate::from_der(leaf).map_err(|_| Unfit::Certificate("its certificate cannot be parsed"))?;
        let names = names(&parsed);
        if names.is_empty() {
            return Err(Unfit::Certificate("its certificate names no host (subject alternative name)"));
        }
        let seconds = |time: i64| u64::try_from(time).unwrap_or_default();
        let (not_before, not_after) = (parsed.validity().not_before, parsed.validity().not_after);
        let (not_before, not_after) = (seconds(not_before.timestamp()), seconds(not_after.timestamp()));
        let mark = Fingerprint::of(leaf);
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Unfit::Key("no PEM private key in it"))?;
        let certified = CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider());
        let certified = Arc::new(certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => Unfit::Mismatch,
            rustls::Error::InvalidCertificate(_) => Unfit::Certificate("its certificate cannot be parsed"),
            _ => Unfit::Key("its key is none that TLS can use, or it is encrypted"),
        })?);
        Ok(Self { certified, names, not_before, not_after, mark })
    }

    /// Whether a client that wants this host would find it in the certificate.
    pub(super) fn is_for(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            // One label and no more (RFC 9525, section 6.3).
            Some(domain) => {
                host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain))
            }
            None => same_host(name, host),
        })
    }

    /// Its IP addresses: a handshake does not say which of them was wanted.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| name.parse::<IpAddr>().is_ok())
    }
}

/// Addresses have many spellings.
pub(super) fn same_host(one: &str, other: &str) -> bool {
    match (one.parse::<IpAddr>(), other.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one.eq_ignore_ascii_case(other),
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(listed)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok().map(|ip| ip.to_string())
        }
        _ => None,
    };
    listed.value.general_names.iter().filter_map(name).collect()
}
