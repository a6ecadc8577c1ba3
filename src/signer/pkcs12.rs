//! Reads a PKCS#12 file: one private key and its certificates, leaf first.
//!
//! Not a store for several identities: a file with several keys gives the first that has a certificate. Easy to get
//! wrong: the parser keeps a copy of the key that it does not wipe, which `SECURITY.md` admits; PEM has no such copy.

use std::path::Path;

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use zeroize::Zeroizing;

use super::SignError;

/// What a PKCS#12 file holds. The key is wiped on drop.
pub struct Bundle {
    /// DER PKCS#8.
    pub key: Zeroizing<Vec<u8>>,
    /// DER, leaf first.
    pub certificates: Vec<Vec<u8>>,
}

/// True for bytes that can only be PKCS#12 (or other DER), never PEM.
#[must_use]
pub fn is_der(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x30)
}

/// Opens the file's bytes; `path` is for the error.
pub fn open(path: &Path, bytes: &[u8], password: &str) -> Result<Bundle, SignError> {
    let store = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Strict)
        .map_err(|source| SignError::Pkcs12 { path: path.to_owned(), source: Box::new(source) })?;
    let (_, chain) = store.private_key_chain().ok_or_else(|| SignError::NoKey { path: path.to_owned() })?;
    Ok(Bundle {
        key: Zeroizing::new(chain.key().as_der().to_vec()),
        certificates: chain.certs().iter().map(|certificate| certificate.as_der().to_vec()).collect(),
    })
}

/// The password in a file, without its last newline; the empty password where no file is named.
pub fn password(file: Option<&Path>) -> Result<Zeroizing<String>, SignError> {
    let Some(path) = file else { return Ok(Zeroizing::default()) };
    let mut text = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|source| SignError::PasswordUnreadable { path: path.to_owned(), source })?;
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(text)
}
