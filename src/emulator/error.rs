//! Why the emulator could not start or do what it was told. Refusals of token requests are not errors but answers.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::local_ca::LocalCaError;
use crate::problem::{Blame, Problem};

/// Why the emulator could not start or do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    #[error("listen on {address}")]
    Bind { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Certificate(#[from] LocalCaError),
    #[error("write the CA certificate to `{}`", path.display())]
    WriteCa { path: PathBuf, source: io::Error },
    #[error("read certificate `{}`", path.display())]
    ReadCertificate { path: PathBuf, source: io::Error },
    #[error("read an application's certificate: not a PEM certificate")]
    NotACertificate,
    #[error("trust an issuer by `{}`: not a readable PEM file of CA certificates", .0.display())]
    IssuerCa(PathBuf),
    #[error("the emulator plays no issuer `{0}`")]
    UnknownIssuer(String),
    #[error("the emulator has no application `{0}`")]
    UnknownApplication(String),
    #[error("the emulator has no user `{0}`")]
    UnknownUser(String),
    #[error("mint a user's token for `{0}`")]
    Scope(String),
    #[error("make or use an RSA key")]
    Key,
    #[error("verify an access token: {0}")]
    Token(&'static str),
}

impl Problem for EmulatorError {
    fn code(&self) -> &'static str {
        match self {
            Self::Bind { .. } => "emulator-listen",
            Self::Certificate(source) => source.code(),
            Self::WriteCa { .. } => "emulator-ca-file",
            Self::ReadCertificate { .. } | Self::NotACertificate => "emulator-certificate",
            Self::IssuerCa(_) => "emulator-issuer-ca",
            Self::UnknownIssuer(_) => "emulator-issuer",
            Self::UnknownApplication(_) => "emulator-application",
            Self::UnknownUser(_) => "emulator-user",
            Self::Scope(_) => "emulator-scope",
            Self::Key => "emulator-key",
            Self::Token(_) => "emulator-token",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Certificate(source) => source.blame(),
            Self::Key => Blame::Ourselves,
            Self::UnknownIssuer(_)
            | Self::UnknownApplication(_)
            | Self::UnknownUser(_)
            | Self::Scope(_)
            | Self::Token(_) => Blame::Caller,
            _ => Blame::Configuration,
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        let text = match self {
            Self::Bind { .. } => "stop what listens there, or name another address in the emulator's settings",
            Self::Certificate(source) => return source.remedy(),
            Self::WriteCa { .. } => "name a `ca_file` in a directory that you may write to",
            Self::ReadCertificate { .. } | Self::NotACertificate => {
                "name a file that holds the application's certificate as PEM"
            }
            Self::IssuerCa(_) => "name the CA of the certificate that the issuer shows",
            Self::UnknownIssuer(_) => "declare it as [[issuer]] with hosted = true",
            Self::UnknownApplication(_) => "declare it as [[application]]",
            Self::UnknownUser(_) => "declare it as [[user]]",
            Self::Scope(_) => "name scopes of one resource, such as api://{client id}/access_as_user",
            Self::Token(_) => "take a token that this run of the emulator issued",
            Self::Key => return None,
        };
        Some(text.into())
    }
}
