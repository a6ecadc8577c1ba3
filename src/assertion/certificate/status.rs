//! What is said of a certificate and its key to who only looks: `/readyz?verbose`.

use crate::problem::Trouble;

/// One configured pair. Times are seconds since 1970.
#[derive(Clone, Debug)]
pub struct CertificateStatus {
    /// Its path.
    pub certificate: String,
    /// SHA-256 in hexadecimal.
    pub thumbprint: String,
    pub not_before: u64,
    pub not_after: u64,
    /// What its key signs with; `None` before the first proof.
    pub algorithm: Option<&'static str>,
    /// Why the key does not sign.
    pub trouble: Option<Trouble>,
    /// Until when it is passed over, because Entra does not take it.
    pub refused_until: Option<u64>,
    /// Why what stands in the files now is not in use.
    pub kept: Option<Trouble>,
}
