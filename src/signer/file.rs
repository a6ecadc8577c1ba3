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

    /// What an operator should hear about the file.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
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

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn kind(&self) -> &'static str {
        "file"
    }
}
