//! Why there is no assertion, by source, each with the remedy of that platform.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::jwt::Flaw;
use crate::facts::Facts;
use crate::fault::Class;
use crate::outbound::OutboundError;
use crate::problem::{Blame, Problem};
use crate::signer::SignError;

/// Why there is no assertion.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssertionError {
    /// Every assertion the source could offer was refused by Entra in this exchange.
    #[error("no assertion is left that Entra has not refused")]
    Exhausted,
    #[error("read federated token file `{path}`: there is none")]
    FileMissing { path: PathBuf },
    #[error("read federated token file `{path}`: this process may not")]
    FileForbidden { path: PathBuf, source: io::Error },
    #[error("read federated token file `{path}`")]
    FileUnreadable { path: PathBuf, source: io::Error },
    #[error("read federated token file `{path}`: it is empty")]
    FileEmpty { path: PathBuf },
    #[error("read federated token file `{path}`: it is larger than {limit} bytes")]
    FileTooLarge { path: PathBuf, limit: u64 },
    /// The file's content is there and is no assertion.
    #[error("read federated token file `{path}`")]
    FileFlawed { path: PathBuf, observed: Box<Facts>, source: Flaw },
    #[error("ask GitHub for an identity token")]
    GithubUnreached { source: OutboundError },
    #[error("ask GitHub for an identity token: refused with status {status}")]
    GithubRefused { status: u16 },
    #[error("ask GitHub for an identity token: status {status}, not 200")]
    GithubUnavailable { status: u16 },
    #[error("ask GitHub for an identity token: the answer is not {{\"value\": …}}")]
    GithubMalformed,
    #[error("ask GitHub for an identity token")]
    GithubFlawed { observed: Box<Facts>, source: Flaw },
    #[error("read certificate file `{path}`")]
    CertificateUnreadable { path: PathBuf, source: io::Error },
    #[error("read certificate file `{path}`: {why}")]
    CertificateInvalid { path: PathBuf, why: &'static str },
    /// The key that was given belongs to another certificate.
    #[error(
        "the key does not belong to certificate `{certificate}` (thumbprint {thumbprint}): SHA-256 of the \
         certificate's public key is {wanted}, of the key's {found}"
    )]
    KeyMismatch { certificate: String, thumbprint: String, wanted: String, found: String },
    /// The key has the right public half, and yet its signatures do not verify.
    #[error(
        "certificate `{certificate}` (thumbprint {thumbprint}) does not verify what its key signs with {algorithm}"
    )]
    SignatureUnusable { certificate: String, thumbprint: String, algorithm: String },
    /// Given up for now; what it does after that is its own affair.
    #[error("use the key of certificate `{certificate}`: no answer within {patience:?}")]
    KeySlow { certificate: String, patience: Duration },
    #[error("certificate `{certificate}` is valid from {not_before} until {not_after}, and now is {now}")]
    CertificateNotValid { certificate: String, not_before: u64, not_after: u64, now: u64 },
    #[error("no certificate is configured")]
    NoCertificate,
    #[error("sign an assertion")]
    Sign { source: SignError },
}

impl AssertionError {
    /// What a whole JWT says of itself that Entra is sure to refuse; `None` where no whole one was had.
    #[must_use]
    pub fn observed(&self) -> Option<&Facts> {
        match self {
            Self::FileFlawed { observed, source, .. } | Self::GithubFlawed { observed, source } => {
                (!matches!(source, Flaw::Parts { .. } | Flaw::Damaged { .. })).then_some(observed)
            }
            _ => None,
        }
    }

    /// Whether it stays so until somebody changes the configuration or its files.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Sign { source } => source.is_definite(),
            _ => self.class() == Class::Configuration,
        }
    }

    /// Whether nobody but this machine was asked.
    #[must_use]
    pub fn is_local(&self) -> bool {
        !matches!(
            self,
            Self::GithubUnreached { .. }
                | Self::GithubRefused { .. }
                | Self::GithubUnavailable { .. }
                | Self::GithubMalformed
                | Self::GithubFlawed { .. }
        )
    }

    /// How to treat it: what the platform may mend by itself passes, what somebody has to change does not.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::FileFlawed { source, .. } | Self::GithubFlawed { source, .. } if !source.is_passing() => {
                Class::Configuration
            }
            Self::GithubRefused { .. }
            | Self::CertificateUnreadable { .. }
            | Self::CertificateInvalid { .. }
            | Self::KeyMismatch { .. }
            | Self::SignatureUnusable { .. }
            | Self::CertificateNotValid { .. }
            | Self::NoCertificate
            | Self::Sign { source: SignError::Unsupported { .. } } => Class::Configuration,
            // A key that is away, locked or without its PIN is "no token source yet" to a caller (contract B17): it comes
            // back without a restart, so nobody is to give up on it.
            _ => Class::Transient,
        }
    }
}

impl Problem for AssertionError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exhausted => "assertion-exhausted",
            Self::FileMissing { .. } => "token-file-missing",
            Self::FileForbidden { .. } => "token-file-forbidden",
            Self::FileUnreadable { .. } => "token-file-unreadable",
            Self::FileEmpty { .. } => "token-file-empty",
            Self::FileTooLarge { .. } => "token-file-too-large",
            Self::FileFlawed { source, .. } | Self::GithubFlawed { source, .. } => source.code(),
            Self::GithubUnreached { source } => source.code(),
            Self::GithubRefused { .. } => "github-refused",
            Self::GithubUnavailable { .. } => "github-unavailable",
            Self::GithubMalformed => "github-malformed",
            Self::CertificateUnreadable { .. } => "certificate-unreadable",
            Self::CertificateInvalid { .. } => "certificate-invalid",
            Self::KeyMismatch { .. } => "key-certificate-mismatch",
            Self::SignatureUnusable { .. } => "key-signature-unusable",
            Self::KeySlow { .. } => "key-slow",
            Self::CertificateNotValid { .. } => "certificate-not-valid",
            Self::NoCertificate => "certificate-missing",
            Self::Sign { source } => source.code(),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::GithubUnreached { source } => source.blame(),
            Self::Sign { source } => source.blame(),
            Self::GithubRefused { .. }
            | Self::CertificateUnreadable { .. }
            | Self::CertificateInvalid { .. }
            | Self::KeyMismatch { .. }
            | Self::NoCertificate
            | Self::CertificateNotValid { .. } => Blame::Configuration,
            _ => Blame::Platform,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::Exhausted => "wait for the platform's next token, or see what Entra said about this one",
            Self::FileMissing { .. } => "mount the projected token there, or correct `assertion.file`",
            Self::FileForbidden { .. } => "let this process's user or group read the file (fsGroup in Kubernetes)",
            Self::FileUnreadable { .. } => "make the path a readable file, not a directory or a broken mount",
            Self::FileEmpty { .. } => "check what writes the file; it is read again at the next try",
            Self::FileTooLarge { .. } => "point `assertion.file` at the token and nothing else",
            Self::FileFlawed { source, .. } | Self::GithubFlawed { source, .. } => return Some(source.remedy().into()),
            Self::GithubUnreached { source } => return source.remedy(),
            Self::GithubRefused { .. } => {
                "give the job `permissions: id-token: write`, and run inside a step: the request token dies with the job"
            }
            Self::GithubUnavailable { .. } => {
                "see https://www.githubstatus.com, and whether a proxy on the way answered with a page; it is asked again"
            }
            Self::GithubMalformed => "check that ACTIONS_ID_TOKEN_REQUEST_URL is the one GitHub set",
            Self::CertificateUnreadable { .. } => "name a file that exists and that this process may read",
            Self::CertificateInvalid { .. } => {
                "put the certificate there as PEM, leaf first, or as PKCS#12 with its password"
            }
            Self::KeyMismatch { .. } => "name the key that was made with this certificate",
            Self::SignatureUnusable { .. } => {
                "name the key that was made with this certificate, and leave `algorithm` out: some keys cannot do PS256"
            }
            Self::KeySlow { .. } => "see the device's own log; it is asked again by itself",
            Self::CertificateNotValid { .. } => "configure a valid certificate, and check this machine's clock",
            Self::NoCertificate => "give at least one certificate and its key",
            Self::Sign { source } => return source.remedy(),
        }))
    }
}
