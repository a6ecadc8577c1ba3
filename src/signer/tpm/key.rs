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
