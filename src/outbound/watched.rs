//! A value made from a file, made anew when the file changes.
//!
//! Compared by content at every request (a request is rare, the files are small), so that neither a coarse modification
//! time nor a symlink swap is missed. Easy to get wrong: a new file that cannot be used keeps the old value, and says
//! so once per content.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Certificate;
use reqwest::header::HeaderValue;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::OutboundError;
use crate::problem::chain;
use crate::secret::Fingerprint;

/// One file and the last good value made of it.
pub(super) struct Watched<T> {
    path: PathBuf,
    make: fn(&Path, &[u8]) -> Result<T, OutboundError>,
    unreadable: fn(PathBuf, io::Error) -> OutboundError,
    kept: Mutex<Option<Kept<T>>>,
}

struct Kept<T> {
    value: T,
    /// Of the content the value was made of.
    made_of: Fingerprint,
    /// Of the content that was looked at last, good or bad; `None` when it could not be read.
    seen: Option<Fingerprint>,
}

impl Watched<Vec<Certificate>> {
    /// PEM certificates to trust beside the platform's.
    pub(super) fn roots(path: PathBuf) -> Self {
        let unreadable = |path, source| OutboundError::CaUnreadable { path, source };
        Self { path, make: certificates, unreadable, kept: Mutex::default() }
    }
}

impl Watched<HeaderValue> {
    /// `user:password`, as the value of `Proxy-Authorization`.
    pub(super) fn password(path: PathBuf) -> Self {
        let unreadable = |path, source| OutboundError::ProxyAuthUnreadable { path, source };
        Self { path, make: basic, unreadable, kept: Mutex::default() }
    }
}

impl<T: Clone> Watched<T> {
    /// The value, and the mark of what it was made of. Blocks: reads the file.
    pub(super) fn current(&self) -> Result<(T, Fingerprint), OutboundError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let read = fs::read(&self.path).map(Zeroizing::new);
        let seen = read.as_ref().ok().map(|bytes| Fingerprint::of(bytes));
        if let Some(old) = kept.as_ref().filter(|old| old.seen == seen) {
            return Ok((old.value.clone(), old.made_of));
        }
        match (self.made(read), kept.as_mut()) {
            (Ok((value, made_of)), _) => {
                *kept = Some(Kept { value: value.clone(), made_of, seen });
                Ok((value, made_of))
            }
            (Err(problem), Some(old)) => {
                tracing::warn!("{}; going on with what was read before", chain(&problem));
                old.seen = seen;
                Ok((old.value.clone(), old.made_of))
            }
            (Err(problem), None) => Err(problem),
        }
    }

    fn made(&self, read: io::Result<Zeroizing<Vec<u8>>>) -> Result<(T, Fingerprint), OutboundError> {
        let bytes = read.map_err(|source| (self.unreadable)(self.path.clone(), source))?;
        Ok(((self.make)(&self.path, &bytes)?, Fingerprint::of(&bytes)))
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<Certificate>, OutboundError> {
    let invalid = |why| OutboundError::CaInvalid { path: path.to_owned(), why };
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| invalid("broken PEM"))?;
    if found.is_empty() {
        return Err(invalid("no certificate in it"));
    }
    // Tried here one by one, so that a certificate that is none is this file's fault and not the platform's.
    let mut store = rustls::RootCertStore::empty();
    let each = found.into_iter().map(|certificate| {
        store.add(certificate.clone()).map_err(|_| invalid("a certificate in it cannot be parsed"))?;
        Certificate::from_der(&certificate).map_err(|_| invalid("a certificate in it cannot be parsed"))
    });
    each.collect()
}

fn basic(path: &Path, bytes: &[u8]) -> Result<HeaderValue, OutboundError> {
    let invalid = |why| OutboundError::ProxyAuthInvalid { path: path.to_owned(), why };
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !line.contains(&b':') {
        return Err(invalid("it is not `user:password`"));
    }
    if line.iter().any(u8::is_ascii_control) {
        return Err(invalid("more than one line, or a control character"));
    }
    let text = Zeroizing::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(line))));
    let mut value = HeaderValue::from_str(&text).map_err(|_| invalid("it is not text"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_that_turns_bad_keeps_the_good_password() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proxy");
        fs::write(&path, "user:one\n").unwrap();
        let watched = Watched::password(path.clone());
        let sent = || watched.current().unwrap().0;
        assert_eq!(sent(), "Basic dXNlcjpvbmU=");
        fs::write(&path, "no colon").unwrap();
        assert_eq!(sent(), "Basic dXNlcjpvbmU=");
        fs::remove_file(&path).unwrap();
        assert_eq!(sent(), "Basic dXNlcjpvbmU=");
        fs::write(&path, "user:two").unwrap();
        assert_eq!(sent(), "Basic dXNlcjp0d28=");
    }

    #[test]
    fn a_password_never_prints() {
        let value = basic(Path::new("p"), b"user:canary").unwrap();
        assert_eq!(format!("{value:?}"), "Sensitive");
        let problem = basic(Path::new("p"), b"canary").unwrap_err();
        assert!(!format!("{problem} {problem:?}").contains("canary"));
    }

    #[test]
    fn a_first_bad_ca_file_is_an_error_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let watched = Watched::roots(path.clone());
        let error = || watched.current().err().map(|problem| chain(&problem)).unwrap_or_default();
        assert!(error().contains("ca.pem`: No such file"), "{}", error());
        fs::write(&path, "").unwrap();
        assert!(error().ends_with("no certificate in it"), "{}", error());
        fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(error().ends_with("cannot be parsed"), "{}", error());
    }
}
