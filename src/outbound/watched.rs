//! The two files an outbound connection depends on, read again when they change.
//!
//! Both are compared by content at every request (a request is rare, the files are small), so that neither a coarse
//! modification time nor a symlink swap is missed. Easy to get wrong: a new file that cannot be used keeps the old
//! value, and says so once per content.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::OutboundError;
use crate::problem::chain;
use crate::secret::Fingerprint;

/// What the files say at the moment.
pub(super) struct Current {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) proxy_auth: Option<HeaderValue>,
}

/// Both files, and the last good value of each.
pub(super) struct Files {
    tls: Watched<Arc<ClientConfig>>,
    proxy_auth: Option<Watched<HeaderValue>>,
}

impl Files {
    pub(super) fn new(ca_file: Option<PathBuf>, proxy_auth_file: Option<PathBuf>) -> Self {
        let tls = Watched {
            path: ca_file,
            make: tls_config,
            unreadable: |path, source| OutboundError::CaUnreadable { path, source },
            kept: Mutex::default(),
        };
        let proxy_auth = proxy_auth_file.map(|path| Watched {
            path: Some(path),
            make: basic,
            unreadable: |path, source| OutboundError::ProxyAuthUnreadable { path, source },
            kept: Mutex::default(),
        });
        Self { tls, proxy_auth }
    }

    /// Blocks: reads files, and parses some hundred certificates when called first.
    pub(super) fn current(&self) -> Result<Current, OutboundError> {
        let tls = self.tls.current()?;
        let proxy_auth = self.proxy_auth.as_ref().map(Watched::current).transpose()?;
        Ok(Current { tls, proxy_auth })
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files(…)")
    }
}

/// The file's path and bytes; `None` where no file is configured.
type Read<'a> = Option<(&'a Path, &'a [u8])>;

struct Watched<T> {
    path: Option<PathBuf>,
    make: fn(Read<'_>) -> Result<T, OutboundError>,
    unreadable: fn(PathBuf, io::Error) -> OutboundError,
    kept: Mutex<Option<Kept<T>>>,
}

struct Kept<T> {
    value: T,
    /// Of the content that was looked at last, good or bad; `None` when it could not be read.
    seen: Option<Fingerprint>,
}

impl<T: Clone> Watched<T> {
    fn current(&self) -> Result<T, OutboundError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.path.as_ref().map(|path| fs::read(path).map(Zeroizing::new)).transpose();
        let seen =
            read.as_ref().ok().map(|bytes| Fingerprint::of(bytes.as_ref().map_or(&[], |bytes| bytes.as_slice())));
        if let Some(kept) = kept.as_ref().filter(|kept| kept.seen == seen) {
            return Ok(kept.value.clone());
        }
        match (self.make(read), kept.as_mut()) {
            (Ok(value), _) => {
                *kept = Some(Kept { value: value.clone(), seen });
                Ok(value)
            }
            (Err(problem), Some(kept)) => {
                tracing::warn!("{}; going on with what was read before", chain(&problem));
                kept.seen = seen;
                Ok(kept.value.clone())
            }
            (Err(problem), None) => Err(problem),
        }
    }

    fn make(&self, read: io::Result<Option<Zeroizing<Vec<u8>>>>) -> Result<T, OutboundError> {
        let path = self.path.clone().unwrap_or_default();
        match read {
            Ok(bytes) => (self.make)(bytes.as_ref().map(|bytes| (path.as_path(), bytes.as_slice()))),
            Err(source) => Err((self.unreadable)(path, source)),
        }
    }
}

fn tls_config(extra: Read<'_>) -> Result<Arc<ClientConfig>, OutboundError> {
    let roots = extra.map(|(path, pem)| certificates(path, pem)).transpose()?.unwrap_or_default();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(roots, Arc::clone(&provider))
        .map_err(|source| OutboundError::Roots { source })?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| OutboundError::Roots { source })?
        .dangerous() // the name of the method that takes any verifier; this one is the platform's
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, OutboundError> {
    let invalid = |why| OutboundError::CaInvalid { path: path.to_owned(), why };
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| invalid("broken PEM"))?;
    // Tried here one by one, so that a certificate that is none is this file's fault and not the platform's.
    let mut store = rustls::RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|_| invalid("a certificate in it cannot be parsed"))?;
    }
    if certificates.is_empty() {
        return Err(invalid("no certificate in it"));
    }
    Ok(certificates)
}

fn basic(read: Read<'_>) -> Result<HeaderValue, OutboundError> {
    let (path, bytes) = read.unwrap_or((Path::new(""), &[]));
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
        let files = Files::new(None, Some(path.clone()));
        let sent = || files.proxy_auth.as_ref().unwrap().current().unwrap();
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
        let value = basic(Some((Path::new("p"), b"user:canary"))).unwrap();
        assert_eq!(format!("{value:?}"), "Sensitive");
        let problem = basic(Some((Path::new("p"), b"canary"))).unwrap_err();
        assert!(!format!("{problem} {problem:?}").contains("canary"));
    }

    #[test]
    fn a_first_bad_ca_file_is_an_error_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        let error = |files: &Files| files.current().err().map(|problem| chain(&problem)).unwrap_or_default();
        let files = Files::new(Some(path.clone()), None);
        assert!(error(&files).contains("ca.pem"), "{}", error(&files));
        fs::write(&path, "").unwrap();
        assert!(error(&files).ends_with("no certificate in it"), "{}", error(&files));
        fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(error(&files).ends_with("cannot be parsed"), "{}", error(&files));
    }
}
