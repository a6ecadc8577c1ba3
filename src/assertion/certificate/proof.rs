//! What a key signs to prove that it is its certificate's, and whether a signature is one that Entra takes.
//!
//! Easy to get wrong: the message must be nothing that means anything elsewhere, so that a proof can never be replayed as
//! an assertion; and PSS is verified with a salt of 32 bytes only, since some TPMs use the longest one, which JWA forbids.

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};

use crate::assertion::Leaf;
use crate::signer::Algorithm;

/// Has blanks, which no JWT has, and names the certificate, so that it proves nothing about another.
pub(super) fn message(leaf: &Leaf) -> String {
    format!("unsecret proof of possession v1 {}", leaf.thumbprint.hex())
}

/// Whether the certificate verifies this, strictly.
pub(super) fn is_good(algorithm: Algorithm, leaf: &Leaf, message: &str, signature: &[u8]) -> bool {
    let verification: &'static dyn VerificationAlgorithm = match algorithm {
        // The salt has to be as long as the digest.
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
    };
    UnparsedPublicKey::new(verification, &leaf.public_key).verify(message.as_bytes(), signature).is_ok()
}
