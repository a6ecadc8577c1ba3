//! Makes RSA keys in files, with the same verb that makes them in a token.
//!
//! The stepping stone: whoever reads the file has the key. Easy to get wrong: the file is never there with a wrong mode
//! or half written, and one that is there already is left alone.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_core::future::BoxFuture;
use x509_parser::prelude::{FromDer as _, SubjectPublicKeyInfo};
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use super::{Device, FileSigner, Found, KeyUri, SignError, Signer as _};

/// One key file, which may not be there yet.
pub struct KeyFile {
    path: PathBuf,
    password_file: Option<PathBuf>,
}

impl KeyFile {
    #[must_use]
    pub fn new(path: PathBuf, password_file: Option<PathBuf>) -> Self {
        Self { path, password_file }
    }

    async fn look(&self) -> Result<Vec<Found>, SignError> {
        let signer = FileSigner::open(&self.path, self.password_file.as_deref())?;
        let key = signer.public_key().await?;
        Ok(vec![Found {
            uri: format!("file:{}", self.path.display()),
            place: "file".to_owned(),
            label: None,
            id: None,
            bits: modulus_bits(&key),
            extractable: Some(true),
            mechanisms: vec!["PS256".to_owned(), "RS256".to_owned()],
        }])
    }

    async fn make(&self, bits: u32) -> Result<KeyUri, SignError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            _ => {
                let (place, offered) = ("this program".to_owned(), "2048, 3072 or 4096".to_owned());
                return Err(SignError::SizeUnsupported { bits, place, offered });
            }
        };
        let path = self.path.clone();
        let made = tokio::task::spawn_blocking(move || generate(size).and_then(|pem| write_new(&path, &pem)));
        let uncreatable = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => SignError::KeyExists { key: format!("file:{}", self.path.display()) },
            _ => SignError::Uncreatable { path: self.path.clone(), source },
        };
        made.await.map_err(io::Error::other).and_then(|made| made).map_err(uncreatable)?;
        Ok(KeyUri::File { path: self.path.clone(), password_file: None })
    }
}

impl Device for KeyFile {
    fn keys(&self) -> BoxFuture<'_, Result<Vec<Found>, SignError>> {
        Box::pin(self.look())
    }

    fn create(&self, bits: u32) -> BoxFuture<'_, Result<KeyUri, SignError>> {
        Box::pin(self.make(bits))
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.path).finish_non_exhaustive()
    }
}

fn modulus_bits(info: &[u8]) -> Option<u32> {
    match SubjectPublicKeyInfo::from_der(info).ok()?.1.parsed().ok()? {
        PublicKey::RSA(key) => u32::try_from(key.key_size()).ok(),
        _ => None,
    }
}

/// PEM PKCS#8.
fn generate(size: KeySize) -> io::Result<Zeroizing<String>> {
    let failed = |_| io::Error::other("the key could not be made");
    let key: Pkcs8V1Der<'_> = KeyPair::generate(size).map_err(failed)?.as_der().map_err(failed)?;
    let text = Zeroizing::new(STANDARD.encode(key.as_ref()));
    // Never grown: what a growing text leaves behind is not wiped.
    let mut pem = Zeroizing::new(String::with_capacity(text.len() + text.len() / 32 + 64));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok(pem)
}

/// Written beside its place under another name and then linked there whole: a link fails where a file is.
fn write_new(path: &Path, pem: &str) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(pem.as_bytes()).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem as _;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("billing.key");
        let device = KeyFile::new(path.clone(), None);
        assert_eq!(device.create(1_024).await.unwrap_err().code(), "key-size-unsupported");
        device.create(2_048).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(&path).unwrap();
        assert_eq!(device.create(2_048).await.unwrap_err().code(), "key-exists");
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left behind");
        let found = device.keys().await.unwrap().remove(0);
        assert_eq!((found.bits, found.extractable), (Some(2_048), Some(true)));
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_named() {
        let nowhere = KeyFile::new(PathBuf::from("/nowhere/billing.key"), None);
        let problem = nowhere.create(2_048).await.unwrap_err();
        assert_eq!(problem.code(), "key-uncreatable");
    }
}
