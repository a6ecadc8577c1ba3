//! The certificate that the webhook shows, as it lies in its Secret: read, judged, made anew. Pure but for randomness.
//!
//! | key | content, PEM |
//! | --- | --- |
//! | `ca.crt` | what the API server has to trust: the CA in use, then the one before it, if that was in use lately |
//! | `ca.key` | of the CA in use |
//! | `tls.crt`, `tls.key` | the serving certificate with its CA, and its key |
//!
//! Easy to get wrong: what cannot be used is no reason to fail, since it can be made anew; and a CA that is replaced stays
//! trusted until the next serving certificate is made, because other replicas still show what it signed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::clock::Now;
use crate::https::Pair;
use crate::local_ca::{LocalCa, LocalCaError};
use crate::secret::Secret;

const DAY: Duration = Duration::from_secs(86_400);
const CA_LIFE: Duration = Duration::from_secs(5 * 365 * 86_400);
/// A CA with less left signs no more: what it signed last must not outlive it.
const CA_LEFT: Duration = Duration::from_secs(180 * 86_400);
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// With less left there is a new one: at two thirds of its life.
const LEFT: Duration = Duration::from_secs(30 * 86_400);

/// A serving certificate with all that belongs to it.
#[derive(Debug)]
pub(super) struct Kept {
    /// What is to be trusted, the CA in use first.
    pub(super) bundle: String,
    pub(super) pair: Arc<Pair>,
    ca_key: Secret,
    chain: String,
    key: Secret,
}

impl Kept {
    /// Of a Secret's `data`. `None` where a part is missing or does not fit the others.
    pub(super) fn read(data: &Value) -> Option<Self> {
        let text = |key: &str| String::from_utf8(STANDARD.decode(data[key].as_str()?).ok()?).ok();
        let secret = |key: &str| text(key).map(Secret::new);
        let (bundle, chain) = (text("ca.crt")?, text("tls.crt")?);
        let (ca_key, key) = (secret("ca.key")?, secret("tls.key")?);
        LocalCa::from_pem(&bundle, &ca_key).ok()?;
        let pair = Arc::new(Pair::of_pem(chain.as_bytes(), key.expose().as_bytes()).ok()?);
        Some(Self { bundle, pair, ca_key, chain, key })
    }

    /// A new one for these names: under the CA of the old one, or under a new CA where that has come to its end.
    pub(super) fn make(before: Option<&Self>, names: &[String], now: Now) -> Result<Self, LocalCaError> {
        let old = before.filter(|before| before.ca_lasts(now, CA_LEFT));
        let (ca, bundle) = if let Some(old) = old {
            let bundle = old.authority_pem();
            (LocalCa::from_pem(&bundle, &old.ca_key)?, bundle)
        } else {
            let ca = LocalCa::create("unsecret injector CA", now, CA_LIFE)?;
            let mut bundle = ca.certificate_pem().to_owned();
            bundle.extend(before.filter(|before| before.ca_lasts(now, Duration::ZERO)).map(Self::authority_pem));
            (ca, bundle)
        };
        let leaf = ca.leaf(names, now, LIFE)?;
        let (chain, key) = (leaf.chain_pem().to_owned(), Secret::new(leaf.key_pem().expose()));
        let pair = Pair::of_pem(chain.as_bytes(), key.expose().as_bytes()).map_err(|_| LocalCaError::Mismatch)?;
        Ok(Self { bundle, pair: Arc::new(pair), ca_key: ca.key_pem(), chain, key })
    }

    /// Whether there has to be a new one.
    pub(super) fn is_due(&self, names: &[String], now: Now) -> bool {
        let left = self.pair.not_after.saturating_sub(now.epoch());
        left < LEFT.as_secs() || !self.ca_lasts(now, CA_LEFT) || !self.is_good(names, now)
    }

    /// Whether the API server would take it today, under all of these names.
    pub(super) fn is_good(&self, names: &[String], now: Now) -> bool {
        names.iter().all(|name| self.is_trusted_for(name, now))
    }

    /// As the API server would judge it.
    fn is_trusted_for(&self, name: &str, now: Now) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&self.bundle));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
            return false;
        };
        let chain: Vec<_> = certificates(&self.chain).collect();
        let (Some((leaf, rest)), Ok(name)) = (chain.split_first(), ServerName::try_from(name)) else { return false };
        verifier.verify_server_cert(leaf, rest, &name, &[], UnixTime::since_unix_epoch(now.wall)).is_ok()
    }

    fn ca_lasts(&self, now: Now, more: Duration) -> bool {
        certificates(&self.bundle).next().is_some_and(|der| {
            let end = X509Certificate::from_der(&der).map(|(_, parsed)| parsed.validity().not_after.timestamp());
            end.is_ok_and(|end| u64::try_from(end).is_ok_and(|end| now.epoch() + more.as_secs() < end))
        })
    }

    /// The CA in use alone.
    pub(super) fn authority_pem(&self) -> String {
        certificates(&self.bundle).next().map(|der| crate::local_ca::pem("CERTIFICATE", &der)).unwrap_or_default()
    }

    /// For the Secret's `data`.
    pub(super) fn data(&self) -> Value {
        let text = |text: &str| STANDARD.encode(text);
        json!({
            "ca.crt": text(&self.bundle),
            "ca.key": text(self.ca_key.expose()),
            "tls.crt": text(&self.chain),
            "tls.key": text(self.key.expose()),
        })
    }
}

/// Whether what the API server trusts has this CA in it.
pub(super) fn has_authority(bundle: &str, authority: &str) -> bool {
    certificates(authority).next().is_some_and(|wanted| certificates(bundle).any(|one| one == wanted))
}

/// What can be read of a PEM text.
fn certificates(pem: &str) -> impl Iterator<Item = CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map_while(Result::ok).collect::<Vec<_>>().into_iter()
}

/// How long nothing has to be done about a certificate that ends then.
pub(super) fn rest(not_after: u64, now: Now) -> Duration {
    Duration::from_secs(not_after.saturating_sub(now.epoch())).saturating_sub(LEFT).min(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { mono: Duration::ZERO, wall: Duration::from_secs(1_800_000_000) };

    fn names() -> Vec<String> {
        vec!["unsecret-injector.unsecret.svc".to_owned(), "unsecret-injector.unsecret.svc.cluster.local".to_owned()]
    }

    fn later(days: u32) -> Now {
        Now { mono: NOW.mono, wall: NOW.wall + DAY * days }
    }

    fn count(bundle: &str) -> usize {
        certificates(bundle).count()
    }

    #[test]
    fn what_was_made_is_read_back_and_good_for_sixty_days() {
        let made = Kept::make(None, &names(), NOW).unwrap();
        let read = Kept::read(&made.data()).unwrap();
        assert_eq!(read.pair.mark, made.pair.mark);
        assert!(!read.is_due(&names(), NOW) && !read.is_due(&names(), later(59)));
        assert!(read.is_due(&names(), later(61)));
    }

    #[test]
    fn the_next_one_is_under_the_same_authority() {
        let first = Kept::make(None, &names(), NOW).unwrap();
        let next = Kept::make(Some(&first), &names(), later(61)).unwrap();
        assert_eq!(next.bundle, first.bundle);
        assert_ne!(next.pair.mark, first.pair.mark);
        assert!(!next.is_due(&names(), later(61)));
    }

    #[test]
    fn an_authority_near_its_end_is_replaced_and_stays_trusted_until_the_next_certificate() {
        let first = Kept::make(None, &names(), NOW).unwrap();
        let end = later(5 * 365 - 100);
        assert!(first.is_due(&names(), end));
        let next = Kept::make(Some(&first), &names(), end).unwrap();
        assert_eq!(count(&next.bundle), 2);
        assert!(has_authority(&next.bundle, &first.authority_pem()) && next.authority_pem() != first.authority_pem());
        let after = Kept::make(Some(&next), &names(), end).unwrap();
        assert_eq!((count(&after.bundle), after.authority_pem()), (1, next.authority_pem()));
    }

    #[test]
    fn an_authority_that_has_ended_is_trusted_no_longer() {
        let first = Kept::make(None, &names(), NOW).unwrap();
        let next = Kept::make(Some(&first), &names(), later(6 * 365)).unwrap();
        assert_eq!(count(&next.bundle), 1);
    }

    #[test]
    fn parts_that_do_not_fit_are_none() {
        let (one, other) = (Kept::make(None, &names(), NOW).unwrap(), Kept::make(None, &names(), NOW).unwrap());
        let mixed = |keys: &[&str]| {
            let (mut data, others) = (one.data(), other.data());
            for key in keys {
                data[*key] = others[*key].clone();
            }
            data
        };
        assert!(Kept::read(&mixed(&["ca.key"])).is_none());
        assert!(Kept::read(&mixed(&["tls.key"])).is_none());
        // Each pair fits; that the one did not sign the other shows when it is tried.
        assert!(Kept::read(&mixed(&["tls.crt", "tls.key"])).unwrap().is_due(&names(), NOW));
        assert!(Kept::read(&json!({})).is_none() && Kept::read(&Value::Null).is_none());
        assert!(Kept::read(&json!({"ca.crt": "%", "ca.key": "", "tls.crt": 1, "tls.key": []})).is_none());
    }

    #[test]
    fn a_certificate_for_other_names_is_due() {
        let kept = Kept::make(None, &names(), NOW).unwrap();
        assert!(kept.is_due(&["other.unsecret.svc".to_owned()], NOW));
    }

    #[test]
    fn no_key_shows_in_debug() {
        let kept = Kept::make(None, &names(), NOW).unwrap();
        let shown = format!("{kept:?}");
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    }
}
