//! Certificates that we make for ourselves: a private CA, server certificates under it, server certificates under a CA
//! of their own that signs nothing else (`confined`), and self-signed RSA client certificates for tests and offline
//! development.
//!
//! Nothing here is meant to leave the machine that made it. Easy to get wrong: rcgen's own defaults are valid from 1975 to 4096 with an unset serial, which several clients refuse, so validity and serial are
//! always given; and a client keeps refusing a server certificate whose name is missing from the subject alternative
//! names, whatever its common name says.

mod confined;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SerialNumber, SigningKey,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::clock::Now;
use crate::problem::{Blame, Problem};
use crate::secret::Secret;

/// Clients whose clock is behind ours would refuse a certificate that starts now.
const HEAD_START: Duration = Duration::from_secs(3_600);

/// A private certificate authority with its key in memory.
pub struct LocalCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    certificate_pem: String,
}

impl LocalCa {
    /// Makes a new authority with a P-256 key, valid for `life` from an hour before `now`.
    pub fn create(name: &str, now: Now, life: Duration) -> Result<Self, LocalCaError> {
        let key = KeyPair::generate().map_err(LocalCaError::Make)?;
        let params = authority_params(name, now, life);
        let certificate = params.self_signed(&key).map_err(LocalCaError::Make)?;
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Ok(Self { issuer: Issuer::new(params, key), certificate: der, certificate_pem: pem })
    }

    /// Takes up an authority made earlier by [`LocalCa::create`], so that clients need not trust a new one.
    pub fn from_pem(certificate_pem: &str, key_pem: &Secret) -> Result<Self, LocalCaError> {
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem.as_bytes()).map_err(|_| LocalCaError::NotACertificate)?;
        let key = KeyPair::from_pem(key_pem.expose()).map_err(LocalCaError::Make)?;
        let name = authority_name(&certificate, &key)?;
        // Only the name and the key enter into what the authority signs; its own validity stays in its certificate.
        let params = authority_params(&name, Now { mono: Duration::ZERO, wall: HEAD_START }, Duration::ZERO);
        Ok(Self { issuer: Issuer::new(params, key), certificate, certificate_pem: certificate_pem.to_owned() })
    }

    /// The certificate that clients are to trust.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key, for keeping it in a file that only its owner reads.
    pub fn key_pem(&self) -> Secret {
        Secret::new(self.issuer.key().serialize_pem())
    }

    /// A server certificate for these DNS names and IP addresses, with its own P-256 key.
    pub fn leaf(&self, names: &[String], now: Now, life: Duration) -> Result<Leaf, LocalCaError> {
        sign(&self.issuer, &self.certificate, &self.certificate_pem, names, now, life)
    }
}

impl fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCa").finish_non_exhaustive()
    }
}

/// A server certificate with its chain and key.
pub struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    chain_pem: String,
    key: Zeroizing<Vec<u8>>,
    key_pem: Secret,
}

impl Leaf {
    /// Leaf first, then the authority.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// PKCS#8.
    pub fn key_pem(&self) -> &Secret {
        &self.key_pem
    }

    /// TLS 1.2 and 1.3 with this certificate, no client certificates, ALPN `http/1.1`.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, LocalCaError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.to_vec()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(LocalCaError::Tls)?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .map_err(LocalCaError::Tls)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").finish_non_exhaustive()
    }
}

/// A self-signed RSA 2048 certificate, as an administrator would upload to an app registration.
pub struct ClientCertificate {
    pub certificate_pem: String,
    /// PKCS#8.
    pub key_pem: Secret,
}

impl ClientCertificate {
    /// Entra takes only RSA keys for assertions (contract A6). Takes a noticeable fraction of a second.
    pub fn create(name: &str, now: Now, life: Duration) -> Result<Self, LocalCaError> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(LocalCaError::Make)?;
        let mut params = CertificateParams::default();
        stamp(&mut params, name, now, life);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(LocalCaError::Make)?;
        Ok(Self { certificate_pem: certificate.pem(), key_pem: Secret::new(key.serialize_pem()) })
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

/// Why a certificate could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum LocalCaError {
    #[error("make a local certificate")]
    Make(#[source] rcgen::Error),
    #[error("read the local CA: not a PEM certificate")]
    NotACertificate,
    #[error("read the local CA: the key does not belong to the certificate")]
    Mismatch,
    #[error("set up TLS with a local certificate")]
    Tls(#[source] rustls::Error),
}

impl Problem for LocalCaError {
    fn code(&self) -> &'static str {
        match self {
            Self::Make(_) => "local-certificate",
            Self::NotACertificate => "local-ca-unreadable",
            Self::Mismatch => "local-ca-mismatch",
            Self::Tls(_) => "local-tls",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Make(_) | Self::NotACertificate | Self::Mismatch => Blame::Configuration,
            Self::Tls(_) => Blame::Ourselves,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        let text = match self {
            Self::Make(_) => "give DNS names and IP addresses only, such as localhost and 127.0.0.1",
            Self::NotACertificate | Self::Mismatch => {
                "give the certificate and the key of one CA, both PEM, or let a new CA be made"
            }
            Self::Tls(_) => return None,
        };
        Some(text.into())
    }
}

/// A leaf with its own P-256 key, signed by `issuer`, whose certificate is `authority`.
fn sign<K: SigningKey>(
    issuer: &Issuer<'_, K>,
    authority: &CertificateDer<'static>,
    authority_pem: &str,
    names: &[String],
    now: Now,
    life: Duration,
) -> Result<Leaf, LocalCaError> {
    let key = KeyPair::generate().map_err(LocalCaError::Make)?;
    let mut params = CertificateParams::new(names).map_err(LocalCaError::Make)?;
    stamp(&mut params, names.first().map_or("localhost", String::as_str), now, life);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, issuer).map_err(LocalCaError::Make)?;
    Ok(Leaf {
        chain: vec![certificate.der().clone(), authority.clone()],
        chain_pem: certificate.pem() + authority_pem,
        key: Zeroizing::new(key.serialize_der()),
        key_pem: Secret::new(key.serialize_pem()),
    })
}

/// PEM, in lines of 64 (RFC 7468).
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let mut out = format!("-----BEGIN {label}-----\n");
    let text = STANDARD.encode(der);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out + &format!("-----END {label}-----\n")
}

fn authority_params(name: &str, now: Now, life: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    stamp(&mut params, name, now, life);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Name, validity and serial.
fn stamp(params: &mut CertificateParams, name: &str, now: Now, life: Duration) {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.wall.saturating_sub(HEAD_START);
    params.not_after = epoch + now.wall.saturating_add(life);
    params.serial_number = Some(serial());
}

/// A random positive serial of at most 20 bytes (RFC 5280, section 4.1.2.2).
pub(crate) fn serial() -> SerialNumber {
    let mut serial = *uuid::Uuid::new_v4().as_bytes();
    serial[0] = serial[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&serial)
}

fn authority_name(certificate: &CertificateDer<'_>, key: &KeyPair) -> Result<String, LocalCaError> {
    use rcgen::PublicKeyData as _;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| LocalCaError::NotACertificate)?;
    if parsed.public_key().raw != key.subject_public_key_info() {
        return Err(LocalCaError::Mismatch);
    }
    let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    name.map(str::to_owned).ok_or(LocalCaError::NotACertificate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { mono: Duration::ZERO, wall: Duration::from_secs(1_800_000_000) };
    const DAY: Duration = Duration::from_secs(86_400);

    fn validity(pem: &str) -> (i64, i64) {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        let validity = parsed.validity();
        (validity.not_before.timestamp(), validity.not_after.timestamp())
    }

    #[test]
    fn a_leaf_lasts_as_long_as_was_said_and_carries_its_names() {
        let ca = LocalCa::create("test CA", NOW, DAY).unwrap();
        let leaf = ca.leaf(&["localhost".into(), "127.0.0.1".into()], NOW, DAY).unwrap();
        assert_eq!(validity(leaf.chain_pem()), (1_800_000_000 - 3_600, 1_800_086_400));
        let (_, parsed) = x509_parser::parse_x509_certificate(&leaf.chain[0]).unwrap();
        let names = &parsed.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(names.len(), 2);
        assert!(leaf.server_config().is_ok());
    }

    #[test]
    fn an_authority_read_back_signs_under_the_same_name_and_key() {
        let ca = LocalCa::create("test CA", NOW, DAY).unwrap();
        let again = LocalCa::from_pem(ca.certificate_pem(), &ca.key_pem()).unwrap();
        let leaf = again.leaf(&["localhost".into()], NOW, DAY).unwrap();
        let (_, authority) = x509_parser::parse_x509_certificate(&ca.certificate).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&leaf.chain[0]).unwrap();
        assert_eq!(parsed.issuer(), authority.subject());
        assert!(again.leaf(&["no name".into(), "ä".into()], NOW, DAY).is_err());
    }

    #[test]
    fn a_key_of_another_authority_is_refused() {
        let (one, other) = (LocalCa::create("a", NOW, DAY).unwrap(), LocalCa::create("a", NOW, DAY).unwrap());
        let refused = LocalCa::from_pem(one.certificate_pem(), &other.key_pem()).unwrap_err();
        assert_eq!(refused.code(), "local-ca-mismatch");
    }

    #[test]
    fn no_key_shows_in_debug() {
        let ca = LocalCa::create("a", NOW, DAY).unwrap();
        let leaf = ca.leaf(&["localhost".into()], NOW, DAY).unwrap();
        assert_eq!(format!("{ca:?} {leaf:?}"), "LocalCa { .. } Leaf { .. }");
    }

    #[test]
    fn lines_are_of_64_letters() {
        let text = pem("CERTIFICATE", &[7; 100]);
        assert!(text.lines().all(|line| line.len() <= 64) && text.ends_with("-----END CERTIFICATE-----\n"), "{text}");
        assert_eq!(text.lines().count(), 5);
    }
}
