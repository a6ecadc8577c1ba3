//! What a TPM says about a key: whether it can sign an assertion, with which algorithms, and its public half.
//!
//! Pure. Easy to get wrong: attributes and scheme are fixed for the life of a key. A restricted key signs only what the TPM
//! has hashed itself (it is for attestation), and a key with a scheme of its own does that one only.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::PublicKeyComponents;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{HashScheme, Public, RsaScheme, SignatureScheme};

use crate::signer::{Algorithm, SignError};

const SHA256: HashScheme = HashScheme::new(HashingAlgorithm::Sha256);

/// An RSA key that may sign.
#[derive(Debug)]
pub(super) struct Usable<'a> {
    modulus: &'a [u8],
    exponent: u32,
    scheme: RsaScheme,
    /// Wrong authorisation values do not count.
    pub(super) no_da: bool,
    pub(super) fixed_tpm: bool,
}

impl<'a> Usable<'a> {
    /// Or why it may not, fit to follow the key's name.
    pub(super) fn of(public: &'a Public) -> Result<Self, String> {
        let Public::Rsa { object_attributes: may, parameters, unique, .. } = public else {
            return Err("it is no RSA key, and Entra takes no other in a certificate assertion".to_owned());
        };
        let modulus = unique.value();
        if !may.sign_encrypt() {
            return Err("it may not sign: it lacks the attribute `sign`".to_owned());
        }
        if may.restricted() {
            return Err("it is restricted: it signs only what the TPM hashed itself, for attestation".to_owned());
        }
        if !may.user_with_auth() {
            return Err("it is used by a policy only: it lacks the attribute `userwithauth`".to_owned());
        }
        if modulus.len() < 256 {
            return Err(format!("it has {} bits, not 2048 or more", modulus.len() * 8));
        }
        let scheme = parameters.rsa_scheme();
        match scheme {
            RsaScheme::Null | RsaScheme::RsaPss(SHA256) | RsaScheme::RsaSsa(SHA256) => {}
            _ => return Err(format!("its fixed scheme is {scheme:?}, not rsapss or rsassa with sha256")),
        }
        let exponent = parameters.exponent().value();
        Ok(Self {
            modulus,
            // The TPM's way to write its default.
            exponent: if exponent == 0 { 65_537 } else { exponent },
            scheme,
            no_da: may.no_da(),
            fixed_tpm: may.fixed_tpm(),
        })
    }

    pub(super) fn bits(&self) -> u32 {
        u32::try_from(self.modulus.len() * 8).unwrap_or(u32::MAX)
    }

    /// As the TPM's own tools call them.
    pub(super) fn mechanisms(&self) -> Vec<String> {
        let names: &[&str] = match self.scheme {
            RsaScheme::RsaPss(_) => &["rsapss"],
            RsaScheme::RsaSsa(_) => &["rsassa"],
            _ => &["rsapss", "rsassa"],
        };
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// What to ask of TPM2_Sign.
    pub(super) fn scheme(&self, algorithm: Algorithm) -> Result<SignatureScheme, SignError> {
        match (algorithm, self.scheme) {
            (Algorithm::Ps256, RsaScheme::RsaSsa(_)) | (Algorithm::Rs256, RsaScheme::RsaPss(_)) => {
                Err(SignError::Unsupported { algorithm })
            }
            (Algorithm::Ps256, _) => Ok(SignatureScheme::RsaPss { hash_scheme: SHA256 }),
            (Algorithm::Rs256, _) => Ok(SignatureScheme::RsaSsa { hash_scheme: SHA256 }),
        }
    }

    /// DER `SubjectPublicKeyInfo`.
    pub(super) fn spki(&self) -> Result<Vec<u8>, String> {
        let exponent = self.exponent.to_be_bytes();
        let start = exponent.iter().position(|byte| *byte != 0).unwrap_or(0);
        let key = PublicKeyComponents { n: self.modulus, e: &exponent[start..] };
        let der = key.as_der().map_err(|_| "its public half is no RSA key".to_owned())?;
        Ok(der.as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tss_esapi::attributes::{ObjectAttributes, ObjectAttributesBuilder};
    use tss_esapi::interface_types::key_bits::RsaKeyBits;
    use tss_esapi::structures::{
        Digest, PublicKeyRsa, PublicKeyedHashParameters, PublicRsaParameters, RsaExponent, SymmetricDefinitionObject,
    };

    fn signing() -> ObjectAttributesBuilder {
        ObjectAttributes::builder().with_fixed_tpm(true).with_user_with_auth(true).with_sign_encrypt(true)
    }

    fn rsa(may: ObjectAttributesBuilder, scheme: RsaScheme, bytes: usize) -> Public {
        let (none, size) = (SymmetricDefinitionObject::Null, RsaKeyBits::Rsa2048);
        Public::Rsa {
            object_attributes: may.build().unwrap(),
            name_hashing_algorithm: HashingAlgorithm::Sha256,
            auth_policy: Digest::default(),
            parameters: PublicRsaParameters::new(none, scheme, size, RsaExponent::default()),
            unique: PublicKeyRsa::try_from(vec![0xf1; bytes]).unwrap(),
        }
    }

    #[test]
    fn a_key_that_cannot_sign_an_assertion_says_why() {
        let sha1 = HashScheme::new(HashingAlgorithm::Sha1);
        let cases = [
            (
                rsa(signing().with_sign_encrypt(false).with_decrypt(true), RsaScheme::Null, 256),
                "lacks the attribute `sign`",
            ),
            (rsa(signing().with_restricted(true), RsaScheme::RsaSsa(SHA256), 256), "it is restricted"),
            (rsa(signing().with_user_with_auth(false), RsaScheme::Null, 256), "by a policy only"),
            (rsa(signing(), RsaScheme::Null, 128), "it has 1024 bits, not 2048 or more"),
            (rsa(signing(), RsaScheme::RsaPss(sha1), 256), "not rsapss or rsassa with sha256"),
        ];
        for (public, reason) in cases {
            let said = Usable::of(&public).unwrap_err();
            assert!(said.contains(reason), "{said:?} for {reason:?}");
        }
        let sealed = Public::KeyedHash {
            object_attributes: signing().build().unwrap(),
            name_hashing_algorithm: HashingAlgorithm::Sha256,
            auth_policy: Digest::default(),
            parameters: PublicKeyedHashParameters::new(tss_esapi::structures::KeyedHashScheme::Null),
            unique: Digest::default(),
        };
        assert!(Usable::of(&sealed).unwrap_err().contains("no RSA key"));
    }

    #[test]
    fn a_key_without_a_scheme_does_both_algorithms_and_counts_as_one_of_its_size() {
        let public = rsa(signing().with_no_da(true), RsaScheme::Null, 384);
        let key = Usable::of(&public).unwrap();
        assert_eq!((key.bits(), key.no_da, key.fixed_tpm), (3072, true, true));
        assert_eq!(key.mechanisms(), ["rsapss", "rsassa"]);
        assert_eq!(key.scheme(Algorithm::Ps256).unwrap(), SignatureScheme::RsaPss { hash_scheme: SHA256 });
        assert_eq!(key.scheme(Algorithm::Rs256).unwrap(), SignatureScheme::RsaSsa { hash_scheme: SHA256 });
    }
}
