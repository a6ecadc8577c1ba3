//! An RSA key in a file: PEM PKCS#8, PEM PKCS#1, or PKCS#12.
//!
//! The weakest signer, because whoever reads the file has the key; it exists because it works everywhere. Easy to get
//! wrong: a signature with a 4096-bit key takes milliseconds, so it is made on a blocking thread and not where tokens
//! are served.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding};
use futures_core::future::BoxFuture;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::{Algorithm, SignError, Signer, pkcs12};

/// Signs with a key that was read from a file.
pub struct FileSigner {
    key: Arc<KeyPair>,
    public_key: Vec<u8>,
    warning: Option<String>,
}

impl FileSigner {
    /// Reads the file. `password_file` is for PKCS#12.
    pub fn open(path: &Path, password_file: Option<&Path>) -> Result<Self, SignError> {
        let unreadable = |source| SignError::Unreadable { path: path.to_owned(), source };
        let bytes = fs::read(path).map(Zeroizing::new).map_err(unreadable)?;
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
        let key = if pkcs12::is_der(&bytes) {
            let bundle = pkcs12::open(path, &bytes, &pkcs12::password(password_file)?)?;
            KeyPair::from_pkcs8(&bundle.key).map_err(|why| rejected(path, &bundle.key, why))?
        } else {
            from_pem(path, &bytes)?
        };
        let damaged = |_| SignError::Damaged { path: path.to_owned(), why: "no public key".to_owned() };
        let public_key = key.public_key().as_der().map_err(damaged)?.as_ref().to_vec();
        // Kubernetes mounts secrets readable by their group (fsGroup), hence a warning and no error.
        let warning = (mode & 0o077 != 0).then(|| {
            format!(
                "key file `{}` has mode {mode:04o}, not 0600: others than its owner can read the key",
                path.display()
            )
        });
        Ok(Self { key: Arc::new(key), public_key, warning })
    }
}

fn from_pem(path: &Path, pem: &[u8]) -> Result<KeyPair, SignError> {
    let has = |needle: &[u8]| pem.windows(needle.len()).any(|window| window == needle);
    if has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(SignError::Encrypted { path: path.to_owned() });
    }
    match PrivateKeyDer::from_pem_slice(pem).map(Wiped) {
        Ok(key) => key.open(path),
        Err(_) => Err(SignError::NoKey { path: path.to_owned() }),
    }
}

/// A decoded key that is wiped on drop.
struct Wiped(PrivateKeyDer<'static>);

impl Wiped {
    fn open(&self, path: &Path) -> Result<KeyPair, SignError> {
        let made = match &self.0 {
            PrivateKeyDer::Pkcs1(key) => KeyPair::from_der(key.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(key) => KeyPair::from_pkcs8(key.secret_pkcs8_der()),
            _ => return Err(SignError::NotRsa { path: path.to_owned(), found: EC }),
        };
        made.map_err(|why| rejected(path, self.0.secret_der(), why))
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

const EC: &str = "an elliptic-curve key";
/// The object identifiers of `id-ecPublicKey` and `rsaEncryption`, as DER has them near the start of a PKCS#8 key.
const EC_OID: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const RSA_OID: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// Says what kind of key was refused, since the library's word for most of it is "invalid".
fn rejected(path: &Path, der: &[u8], why: KeyRejected) -> SignError {
    let path = path.to_owned();
    let has = |oid: &[u8]| der.get(..40.min(der.len())).is_some_and(|head| head.windows(oid.len()).any(|w| w == oid));
    match why.description_() {
        "TooSmall" => SignError::TooSmall { path },
        _ if has(EC_OID) => SignError::NotRsa { path, found: EC },
        "WrongAlgorithm" if !has(RSA_OID) => SignError::NotRsa { path, found: "a key of another kind" },
        why => SignError::Damaged { path, why: why.to_owned() },
    }
}

impl fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileSigner(…)")
    }
}

impl Signer for FileSigner {
    fn sign<'a>(&'a self, algorithm: Algorithm, message: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, SignError>> {
        let (key, message) = (Arc::clone(&self.key), message.to_vec());
        Box::pin(async move {
            let signing = tokio::task::spawn_blocking(move || {
                let padding: &'static dyn RsaEncoding = match algorithm {
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    Algorithm::Rs256 => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &SystemRandom::new(), &message, &mut signature).map(|()| signature)
            });
            let failed = |source| SignError::Backend { kind: "file", source };
            let signature = signing.await.map_err(|stopped| failed(Box::new(stopped)))?;
            signature.map_err(|refused| failed(Box::new(refused)))
        })
    }

    fn public_key(&self) -> BoxFuture<'_, Result<Vec<u8>, SignError>> {
        Box::pin(std::future::ready(Ok(self.public_key.clone())))
    }

    fn kind(&self) -> &'static str {
        "file"
    }

    fn warning(&self) -> Option<String> {
        self.warning.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Problem as _, chain};
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use p12_keystore::{Certificate, KeyStoreEntry, PrivateKey, PrivateKeyChain};
    use rcgen::PublicKeyData as _;
    use std::path::PathBuf;

    /// An RSA key of 1024 bits, made for this test: the library will not generate one.
    const SMALL: &str = concat!(
        "MIICXgIBAAKBgQCjX0LOyLjiiLyrPGnEaXidSfoLOjna5Z0UUw/XL3xN+IPAj1/c7wQC8qduX5ebxeoNbZWEXgtUPlPbrTphS/Ra",
        "uL6Fl35sA9vZowPyMANRZmWdmFql93fOfMuLmrU1rD5KTsqSi/WvHolU1uhpl1GUZ1CncoUWTzQj8TDLJK1ecwIDAQABAoGBAKK6",
        "nXIZr0c+CifKWlPg9to9OIn8ampmcisvfUTLMNb9ZkbkyQjpLya8ixe+seXgonzTna2me0RjfOYAy3jkzjQDlkTcpaoL3eJecWh0",
        "oYgSKU/NqrAST9eyE8qr20RezuBNWO3O1V4c2s7KUdOXllwiCWtxMxmrTYn9Rnej+lW5AkEA1ooKtTETAxOewzOXXrLW1FepU0ZG",
        "o3lHKyojpI2pnN5SBKaEfu3dj+ngzWOV5lSQhf8zbQw0HUjs0A7DiubFfQJBAMLx0IJYfX7i5Wiv/GyDS+J+Ux1Q9mqsYdgW5ys1",
        "3zbHR+TVHqbvJdgENouo2/PeNDp1Y55i2jV/mc1gfWOUNq8CQQC3auFos4ILmVSckpkRT1i3xhJvrZ9q157u2mIKp0qhYLlCXJLe",
        "acKI7W1Sa5eWiindRafTzSEpAFXmMxkewdmJAkAZCXePFhBgGIIANQIFacN4PmMsU7aiMquKVj6wVQXrAiMgp6J9LB+/I6Nhwnkl",
        "U/d/Po5hzC5cSpwVPXw9Ks7vAkEAshGvfMB7l2Xh/fL/MjiGN1T/fJg50HWvh0XuHZpYKdjMY+Nu7v2mylYXgvaULg7mkFuxi1hd",
        "HTtdFtxb/MZl8w==",
    );

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path
        }

        fn refusal(&self, content: impl AsRef<[u8]>) -> SignError {
            FileSigner::open(&self.file("key", content), None).unwrap_err()
        }
    }

    fn rsa() -> rcgen::KeyPair {
        rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap()
    }

    fn pkcs12(key: &rcgen::KeyPair, password: &str) -> Vec<u8> {
        let certificate = rcgen::CertificateParams::new(vec!["app".to_owned()]).unwrap().self_signed(key).unwrap();
        let certificate = Certificate::from_der(certificate.der()).unwrap();
        let chain = PrivateKeyChain::new("1", PrivateKey::from_der(&key.serialize_der()).unwrap(), [certificate]);
        let mut store = p12_keystore::KeyStore::new();
        store.add_entry("app", KeyStoreEntry::PrivateKeyChain(chain));
        store.writer(password).write().unwrap()
    }

    #[tokio::test]
    async fn one_key_in_three_formats_signs_what_its_public_half_verifies() {
        let (folder, key) = (Folder::new(), rsa());
        let pkcs8 = key.serialize_der();
        // The header of PKCS#8 before a 2048-bit PKCS#1 key is 26 bytes long.
        let files = [
            (folder.file("pkcs8", pem("PRIVATE KEY", &pkcs8)), None),
            (folder.file("pkcs1", pem("RSA PRIVATE KEY", &pkcs8[26..])), None),
            (folder.file("pkcs12", pkcs12(&key, "canary")), Some(folder.file("password", "canary\n"))),
        ];
        for (path, password) in files {
            let signer = FileSigner::open(&path, password.as_deref()).unwrap();
            assert_eq!(signer.public_key, key.subject_public_key_info(), "{}", path.display());
            assert_eq!(signer.warning(), None);
            let pss = signer.sign(Algorithm::Ps256, b"message").await.unwrap();
            let verify =
                |with, signature: &[u8]| UnparsedPublicKey::new(with, &signer.public_key).verify(b"message", signature);
            verify(&RSA_PSS_2048_8192_SHA256, &pss).unwrap();
            verify(&RSA_PKCS1_2048_8192_SHA256, &signer.sign(Algorithm::Rs256, b"message").await.unwrap()).unwrap();
            verify(&RSA_PKCS1_2048_8192_SHA256, &pss).unwrap_err();
        }
    }

    #[test]
    fn what_is_no_rsa_key_is_refused_by_name() {
        let folder = Folder::new();
        let ec = rcgen::KeyPair::generate().unwrap();
        assert_eq!(folder.refusal(ec.serialize_pem()).code(), "key-not-rsa");
        assert_eq!(folder.refusal(pem("EC PRIVATE KEY", &ec.serialize_der())).code(), "key-not-rsa");
        assert_eq!(folder.refusal(pem("RSA PRIVATE KEY", &STANDARD.decode(SMALL).unwrap())).code(), "key-too-small");
        assert_eq!(folder.refusal("no key").code(), "key-missing");
        assert_eq!(folder.refusal(pem("PRIVATE KEY", b"\x30\x03\x02\x01\x00")).code(), "key-damaged");
        let encrypted = folder.refusal(pem("ENCRYPTED PRIVATE KEY", b"x"));
        assert!(encrypted.remedy().unwrap().starts_with("decrypt it: openssl pkcs8 -in /"), "{encrypted}");
    }

    #[test]
    fn a_wrong_password_is_named_and_not_repeated() {
        let folder = Folder::new();
        let path = folder.file("pkcs12", pkcs12(&rsa(), "right"));
        let password = folder.file("password", "canary");
        let problem = FileSigner::open(&path, Some(&password)).unwrap_err();
        assert_eq!(problem.code(), "key-pkcs12-not-opened");
        assert!(!chain(&problem).contains("canary") && !format!("{problem:?}").contains("canary"));
    }

    #[test]
    fn a_key_that_others_can_read_is_worth_a_warning() {
        let folder = Folder::new();
        let path = folder.file("key", rsa().serialize_pem());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let signer = FileSigner::open(&path, None).unwrap();
        assert!(signer.warning().unwrap().contains("has mode 0640, not 0600"));
        assert_eq!(format!("{signer:?}"), "FileSigner(…)");
    }
}
