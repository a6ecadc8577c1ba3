//! What clients are to trust, in the three forms that their runtimes take (contract B13).
//!
//! Easy to get wrong: most variables name a file that *replaces* what the machine trusts, so such a file must hold the
//! machine's own roots too, or the application reaches nothing else any more.

use std::path::Path;

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::HttpsError;
use super::folder;
use crate::local_ca;

/// Our roots alone, for who adds them to others.
pub const ROOTS: &str = "roots.pem";
/// Ours and the machine's.
pub const COMBINED: &str = "combined.pem";
/// The same, for Java.
pub const TRUST_STORE: &str = "truststore.p12";
/// Java reads no certificate of a PKCS#12 file without its password. It protects nothing: roots are no secret.
pub const TRUST_STORE_PASSWORD: &str = "changeit";

/// Some roots, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle(pub(super) Vec<String>);

impl Bundle {
    /// How many roots of ours are in it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// For [`ROOTS`].
    #[must_use]
    pub fn roots(&self) -> String {
        self.0.concat()
    }

    /// For [`COMBINED`].
    #[must_use]
    pub fn combined(&self, machine: &[CertificateDer<'_>]) -> String {
        let machine = machine.iter().map(|root| local_ca::pem("CERTIFICATE", root));
        // Where SSL_CERT_FILE names an earlier one of these files, ours are among the machine's.
        self.0.iter().cloned().chain(machine.filter(|root| !self.0.contains(root))).collect()
    }

    /// For [`TRUST_STORE`].
    pub fn trust_store(&self, machine: &[CertificateDer<'_>]) -> Result<Vec<u8>, HttpsError> {
        let mut store = KeyStore::new();
        let ours = self.0.iter().filter_map(|root| CertificateDer::from_pem_slice(root.as_bytes()).ok());
        let named = ours.enumerate().map(|(n, root)| (format!("unsecret-{n}"), root));
        let others = machine.iter().enumerate().map(|(n, root)| (format!("machine-{n}"), root.clone()));
        for (alias, root) in named.chain(others) {
            // One that this library cannot read is one of a hundred that the machine has.
            if let Ok(certificate) = Certificate::from_der(&root) {
                store.add_entry(&alias, KeyStoreEntry::Certificate(certificate));
            }
        }
        store.writer(TRUST_STORE_PASSWORD).write().map_err(|error| HttpsError::TrustStore { why: error.to_string() })
    }

    /// Puts all three into a directory, for everybody to read.
    pub fn write(&self, directory: &Path) -> Result<(), HttpsError> {
        let machine = machine_roots();
        let store = self.trust_store(&machine)?;
        let combined = self.combined(&machine);
        let files = [(COMBINED, combined.as_bytes()), (TRUST_STORE, &*store), (ROOTS, self.roots().as_bytes())]
            .map(|(name, content)| (name, content.to_vec()));
        folder::spread(directory, &files)
            .map_err(|source| HttpsError::Unwritable { folder: directory.to_owned(), source })
    }
}

/// What this machine trusts, as OpenSSL would find it. None where it has no such file: then the bundle has ours alone.
#[must_use]
pub fn machine_roots() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}
