//! Why there is no certificate for the doors over TLS, or not the one that was wanted.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use crate::local_ca::LocalCaError;
use crate::problem::{Blame, Problem};

/// Each names its file.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    #[error("read `{}` for listen.https", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("take the certificate of `{}` (listen.https_certificate): {why}", path.display())]
    CertificateInvalid { path: PathBuf, why: &'static str },
    #[error("take the key of `{}` (listen.https_key): {why}", path.display())]
    KeyInvalid { path: PathBuf, why: &'static str },
    #[error("take the certificate of `{}`: the key of `{}` is another's", certificate.display(), key.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
    #[error("take the certificate of `{}` (listen.https_certificate): it ended {}", path.display(), ended(*not_after))]
    Expired { path: PathBuf, not_after: u64 },
    #[error("keep the certificate of listen.https in `{}`", folder.display())]
    Unkept { folder: PathBuf, source: io::Error },
    #[error("write what clients are to trust into `{}`", folder.display())]
    Unwritable { folder: PathBuf, source: io::Error },
    #[error("write a trust store for Java: {why}")]
    TrustStore { why: String },
    #[error("make a certificate for listen.https")]
    Make(#[from] LocalCaError),
    #[error("use a certificate that was made a moment ago: {why}")]
    Unfit { why: &'static str },
    #[error("set up TLS for listen.https")]
    Tls(#[source] rustls::Error),
}

fn ended(not_after: u64) -> String {
    let time = i64::try_from(not_after).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "long ago".to_owned(), |time| time.to_string())
}

impl Problem for HttpsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "https-file-unreadable",
            Self::CertificateInvalid { .. } => "https-certificate-invalid",
            Self::KeyInvalid { .. } => "https-key-invalid",
            Self::Mismatch { .. } => "https-key-mismatch",
            Self::Expired { .. } => "https-certificate-expired",
            Self::Unkept { .. } => "https-state-unwritable",
            Self::Unwritable { .. } => "trust-folder-unwritable",
            Self::TrustStore { .. } => "trust-store-not-made",
            Self::Make(source) => source.code(),
            Self::Unfit { .. } | Self::Tls(_) => "https-tls",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Make(source) => source.blame(),
            Self::TrustStore { .. } | Self::Unfit { .. } | Self::Tls(_) => Blame::Ourselves,
            _ => Blame::Configuration,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Unreadable { .. } => "name files that this process may read".into(),
            Self::CertificateInvalid { .. } => {
                "put PEM certificates into it, the server's first, then those that lead to its root".into()
            }
            Self::KeyInvalid { .. } => "put the server's private key into it, PEM and not encrypted".into(),
            Self::Mismatch { .. } => "name the key that the certificate was issued for".into(),
            Self::Expired { .. } => "have a new one issued, or check this machine's clock".into(),
            Self::Unkept { .. } => "make `state_dir` name a directory that this process may write \
                                    (StateDirectory= in a systemd unit)"
                .into(),
            Self::Unwritable { .. } => "name a directory that you may write with --dir".into(),
            Self::TrustStore { .. } => "make one of roots.pem with `keytool -importcert`".into(),
            Self::Make(source) => return source.remedy(),
            Self::Unfit { .. } | Self::Tls(_) => return None,
        })
    }
}
