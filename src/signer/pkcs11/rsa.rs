//! The DER of RSA public keys, as certificates have it (RFC 8017 A.1.1, RFC 5280 4.1.2.7).
//!
//! Only what has to be compared and shown. Easy to get wrong: modules give numbers with leading zeros or without, and DER
//! wants one exactly where the first bit is set.

use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::messages::Key;

/// `AlgorithmIdentifier` of rsaEncryption, with its NULL.
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// `DigestInfo` of SHA-256, to be followed by the digest (RFC 8017 9.2, note 1).
pub(super) const DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// The key's `RSAPublicKey`, as far as the token shows it.
pub(super) fn public_key(key: &Key) -> Option<Vec<u8>> {
    match (&key.modulus, &key.exponent, &key.certificate) {
        (Some(modulus), Some(exponent), _) => Some(sequence(&[integer(modulus), integer(exponent)].concat())),
        (_, _, Some(certificate)) => {
            let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
            Some(certificate.public_key().subject_public_key.data.to_vec())
        }
        _ => None,
    }
}

/// Bits of the modulus.
pub(super) fn bits(modulus: &[u8]) -> Option<u32> {
    let leading = modulus.iter().take_while(|byte| **byte == 0).count();
    let first = modulus.get(leading)?;
    u32::try_from((modulus.len() - leading) * 8).ok().map(|bits| bits - first.leading_zeros())
}

/// `SubjectPublicKeyInfo` around an `RSAPublicKey`.
pub(super) fn subject_public_key_info(public_key: &[u8]) -> Vec<u8> {
    let unused_bits = [&[0][..], public_key].concat();
    sequence(&[RSA_ENCRYPTION.to_vec(), tagged(0x03, &unused_bits)].concat())
}

fn sequence(content: &[u8]) -> Vec<u8> {
    tagged(0x30, content)
}

/// Of a number without sign, big-endian.
fn integer(number: &[u8]) -> Vec<u8> {
    let leading = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[leading..];
    if digits.first().is_none_or(|first| *first >= 0x80) {
        tagged(0x02, &[&[0][..], digits].concat())
    } else {
        tagged(0x02, digits)
    }
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let leading = length.iter().take_while(|byte| **byte == 0).count();
    let length = &length[leading..];
    let mut der = vec![tag];
    match length {
        [] => der.push(0),
        [short] if *short < 0x80 => der.push(*short),
        long => {
            der.push(0x80 | u8::try_from(long.len()).unwrap_or(8));
            der.extend_from_slice(long);
        }
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use rcgen::PublicKeyData as _;

    use super::*;

    #[test]
    fn a_key_from_its_numbers_is_the_one_in_the_certificate() {
        let pair = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["app".to_owned()]).unwrap().self_signed(&pair).unwrap();
        let shown = Key { certificate: Some(certificate.der().to_vec()), ..Key::default() };
        let public = public_key(&shown).unwrap();
        assert_eq!(subject_public_key_info(&public), pair.subject_public_key_info());

        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        let x509_parser::public_key::PublicKey::RSA(numbers) = parsed.public_key().parsed().unwrap() else { panic!() };
        assert_eq!(bits(numbers.modulus), Some(2048));
        // With a zero too many and with one too few.
        for modulus in [[&[0], numbers.modulus].concat(), numbers.modulus[1..].to_vec()] {
            let hidden = Key { modulus: Some(modulus), exponent: Some(numbers.exponent.to_vec()), ..Key::default() };
            assert_eq!(public_key(&hidden).unwrap(), public);
        }
    }

    #[test]
    fn a_key_that_shows_half_of_itself_shows_nothing() {
        assert_eq!(public_key(&Key { modulus: Some(vec![1]), ..Key::default() }), None);
        assert_eq!(public_key(&Key { certificate: Some(b"garbage".to_vec()), ..Key::default() }), None);
        assert_eq!(bits(&[0, 0]), None);
        assert_eq!(bits(&[0, 1, 0]), Some(9));
    }
}
