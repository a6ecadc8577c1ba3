//! Certificates and requests over a key that stays where it is.
//!
//! rcgen lays out what is to be signed; the signature comes from the key, and the two are joined here, because rcgen
//! signs at once and a token takes its time. Signed with PKCS#1 v1.5 (`sha256WithRSAEncryption`) where the key can,
//! since `az`, the portal and company CAs all know it and Entra does not look at a certificate's own signature; a key
//! that may only do PSS signs with that. Easy to get wrong: a certificate names its algorithm twice, inside what is signed
//! and beside it, and both must agree.

use std::cell::RefCell;
use std::time::Duration;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use rcgen::{
    CertificateParams, DistinguishedName, IsCa, KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData, SanType,
    SignatureAlgorithm, SigningKey,
};
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo};
use x509_parser::public_key::PublicKey;

use super::error::{KeyError, Stop};
use crate::clock::Now;
use crate::local_ca;
use crate::signer::{Algorithm, SignError, Signer};

/// `sha256WithRSAEncryption` as an AlgorithmIdentifier (RFC 4055).
const PKCS1: &[u8] = &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
/// `id-RSASSA-PSS` with SHA-256, MGF1 over SHA-256 and a salt of 32 bytes.
const PSS: &[u8] = &[
    0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d,
    0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09,
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
    0x04, 0x02, 0x01, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x20,
];

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const DAY: Duration = Duration::from_secs(86_400);
/// Entra's clock may be behind ours.
const HEAD_START: Duration = Duration::from_secs(3_600);

/// The public half of a key.
pub(super) struct Public {
    /// DER `RSAPublicKey`.
    pub(super) key: Vec<u8>,
    pub(super) bits: usize,
}

impl Public {
    /// Asks the key for it.
    pub(super) async fn of(signer: &dyn Signer) -> Result<Self, Stop> {
        let der = signer.public_key().await?;
        let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| KeyError::NotRsa)?;
        match info.parsed() {
            Ok(PublicKey::RSA(key)) => Ok(Self { key: info.subject_public_key.data.to_vec(), bits: key.key_size() }),
            _ => Err(KeyError::NotRsa.into()),
        }
    }

    /// Signs, and verifies what came out: `None` where the key has not this algorithm, or salts it in a way that JWA forbids.
    pub(super) async fn signed(
        &self,
        signer: &dyn Signer,
        algorithm: Algorithm,
        message: &[u8],
    ) -> Result<Option<Vec<u8>>, SignError> {
        let signature = match signer.sign(algorithm, message).await {
            Err(SignError::Unsupported { .. }) => return Ok(None),
            signature => signature?,
        };
        let by: &dyn VerificationAlgorithm = match algorithm {
            Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        Ok(UnparsedPublicKey::new(by, &self.key).verify(message, &signature).is_ok().then_some(signature))
    }
}

/// A self-signed certificate for client assertions, as DER, valid for so many days.
pub(super) async fn certificate(
    signer: &dyn Signer,
    subject: DistinguishedName,
    days: u32,
    now: Now,
) -> Result<Vec<u8>, Stop> {
    let public = Public::of(signer).await?;
    let mut params = common(subject);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let start = now.wall.saturating_sub(HEAD_START);
    params.not_before = epoch + start;
    // From the start, not from now: tenant policies measure the whole life.
    params.not_after = epoch + start.saturating_add(DAY.saturating_mul(days));
    params.serial_number = Some(local_ca::serial());
    let draft = Draft::of(&public, |key| params.self_signed(key).map(drop))?;
    draft.sign(signer, &public).await
}

/// A request to a company's CA (PKCS#10), as DER.
pub(super) async fn request(
    signer: &dyn Signer,
    subject: DistinguishedName,
    names: Vec<SanType>,
) -> Result<Vec<u8>, Stop> {
    let public = Public::of(signer).await?;
    let mut params = common(subject);
    params.subject_alt_names = names;
    let draft = Draft::of(&public, |key| params.serialize_request(key).map(drop))?;
    draft.sign(signer, &public).await
}

fn common(subject: DistinguishedName) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

/// What is to be signed, naming PKCS#1 as its algorithm.
struct Draft(Vec<u8>);

/// Stands in for the key, and keeps what it would have to sign.
struct StandIn<'a> {
    public_key: &'a [u8],
    message: RefCell<Vec<u8>>,
}

impl PublicKeyData for StandIn<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public_key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

impl SigningKey for StandIn<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.message.replace(message.to_vec());
        Ok(Vec::new())
    }
}

impl Draft {
    fn of(public: &Public, lay_out: impl FnOnce(&StandIn<'_>) -> Result<(), rcgen::Error>) -> Result<Self, KeyError> {
        let stand_in = StandIn { public_key: &public.key, message: RefCell::default() };
        lay_out(&stand_in).map_err(KeyError::Make)?;
        Ok(Self(stand_in.message.into_inner()))
    }

    async fn sign(self, signer: &dyn Signer, public: &Public) -> Result<Vec<u8>, Stop> {
        for (algorithm, identifier) in [(Algorithm::Rs256, PKCS1), (Algorithm::Ps256, PSS)] {
            let message = self.naming(identifier);
            if let Some(signature) = public.signed(signer, algorithm, &message).await? {
                // No bits of the last byte are unused.
                let signature = element(BIT_STRING, &[&[0], &signature[..]].concat());
                return Ok(element(SEQUENCE, &[&message, identifier, &signature].concat()));
            }
        }
        Err(KeyError::SignsNothing.into())
    }

    /// With this algorithm where it names one: a certificate does, a request does not.
    fn naming(&self, identifier: &[u8]) -> Vec<u8> {
        let at = self.0.windows(PKCS1.len()).position(|window| window == PKCS1);
        let (Some(at), true) = (at, identifier != PKCS1) else { return self.0.clone() };
        let header = match self.0.get(1) {
            Some(long) if *long > 0x80 => 2 + usize::from(long & 0x7f),
            _ => 2,
        };
        element(SEQUENCE, &[&self.0[header..at], identifier, &self.0[at + PKCS1.len()..]].concat())
    }
}

/// DER: tag, length, content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let size = content.len().to_be_bytes();
    let mut out = vec![tag];
    match &size[size.iter().take_while(|byte| **byte == 0).count()..] {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(u8::try_from(long.len()).map_or(0xff, |count| 0x80 | count));
            out.extend(long);
        }
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, ManualClock};
    use crate::signer::FileSigner;
    use futures_core::future::BoxFuture;
    use std::sync::LazyLock;
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::prelude::X509Certificate;

    /// Made once: an RSA key costs a good part of a second.
    static KEY: LazyLock<FileSigner> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        std::fs::write(&path, key.serialize_pem()).unwrap();
        FileSigner::open(&path, None).unwrap()
    });

    /// A key that has only these algorithms.
    #[derive(Debug)]
    struct Only(&'static [Algorithm]);

    impl Signer for Only {
        fn sign<'a>(&'a self, algorithm: Algorithm, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
            if self.0.contains(&algorithm) {
                return KEY.sign(algorithm, message);
            }
            Box::pin(async move { Err(SignError::Unsupported { algorithm }) })
        }

        fn public_key(&self) -> BoxFuture<'_, Result<Vec<u8>, SignError>> {
            KEY.public_key()
        }

        fn kind(&self) -> &'static str {
            "scripted"
        }
    }

    fn subject() -> DistinguishedName {
        super::super::subject::parse("CN=billing").unwrap()
    }

    async fn made(signer: &Only) -> Result<Vec<u8>, Stop> {
        certificate(signer, subject(), 90, ManualClock::standing(1_800_000_000).now()).await
    }

    #[tokio::test]
    async fn a_certificate_names_its_algorithm_twice_alike_and_is_signed_with_it() {
        let cases: [(&[Algorithm], &[u8], &dyn VerificationAlgorithm); 3] = [
            (&[Algorithm::Ps256, Algorithm::Rs256], PKCS1, &RSA_PKCS1_2048_8192_SHA256),
            (&[Algorithm::Rs256], PKCS1, &RSA_PKCS1_2048_8192_SHA256),
            (&[Algorithm::Ps256], PSS, &RSA_PSS_2048_8192_SHA256),
        ];
        for (has, identifier, by) in cases {
            let Ok(der) = made(&Only(has)).await else { panic!("{has:?}") };
            let (rest, parsed) = X509Certificate::from_der(&der).unwrap();
            assert!(rest.is_empty() && parsed.tbs_certificate.signature == parsed.signature_algorithm, "{has:?}");
            assert_eq!(der.windows(identifier.len()).filter(|window| *window == identifier).count(), 2, "{has:?}");
            let key = UnparsedPublicKey::new(by, &*parsed.public_key().subject_public_key.data);
            key.verify(parsed.tbs_certificate.as_ref(), &parsed.signature_value.data).unwrap();
        }
    }

    #[tokio::test]
    async fn a_certificate_lives_as_long_as_was_said_and_is_for_signing_only() {
        let Ok(der) = made(&Only(&[Algorithm::Rs256])).await else { panic!("it signs") };
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        let (start, end) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        assert_eq!((start, end - start), (1_800_000_000 - 3_600, 90 * 86_400));
        assert!(!parsed.is_ca() && parsed.subject() == parsed.issuer() && parsed.raw_serial().len() == 16);
        let usage = parsed.key_usage().unwrap().unwrap().value;
        assert_eq!(usage.flags, 1, "digitalSignature and nothing else");
    }

    #[tokio::test]
    async fn a_request_is_signed_with_what_the_key_has() {
        for (has, identifier) in [(&[Algorithm::Rs256], PKCS1), (&[Algorithm::Ps256], PSS)] {
            let Ok(der) = request(&Only(has), subject(), Vec::new()).await else { panic!("{has:?}") };
            assert!(X509CertificationRequest::from_der(&der).is_ok_and(|(rest, _)| rest.is_empty()), "{has:?}");
            assert_eq!(der.windows(identifier.len()).filter(|window| *window == identifier).count(), 1, "{has:?}");
        }
    }

    #[tokio::test]
    async fn a_key_that_signs_nothing_makes_no_certificate() {
        match made(&Only(&[])).await {
            Err(Stop::Because(problem)) => assert_eq!(problem.code(), "key-signs-nothing"),
            _ => panic!("it has no algorithm"),
        }
    }
}
