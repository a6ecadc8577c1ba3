//! What is wrong with a request itself: the caller's fault, whatever policy would say.
//!
//! The numbers are Entra's where Entra has one for the same mistake (contract A11), because that is what people search
//! for. Easy to get wrong: the texts must not repeat field values that may be secrets.

use std::borrow::Cow;

use http::StatusCode;

use crate::ids::NotA;
use crate::problem::{Blame, Problem};

/// Why a request could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// IMDS without `Metadata: true`: a probe, or somebody tricked into asking.
    #[error("Required metadata header not specified")]
    NoMetadataHeader { present: bool },
    #[error("the request carries no local key in X-IDENTITY-HEADER")]
    NoKeyHeader,
    #[error("the request carries neither the header Metadata: true nor a local key")]
    NoBarrier,
    #[error("the header {name} is not plain text or stands twice")]
    Header { name: &'static str },
    #[error("this endpoint answers {allow} only")]
    Method { allow: &'static str },
    #[error("the body is not application/x-www-form-urlencoded")]
    ContentType,
    #[error("the parameter {parameter} is missing")]
    Missing { parameter: &'static str },
    #[error("the parameter {parameter} stands twice")]
    Twice { parameter: &'static str },
    #[error("the request has more than {most} parameters")]
    TooManyFields { most: usize },
    #[error("the request names the identity in more than one way")]
    SeveralSelectors,
    #[error("the api-version is not supported; this endpoint knows {known}")]
    ApiVersion { known: &'static str },
    #[error("the resource is not one: {0}")]
    NoResource(NotA),
    #[error("the scope is not one resource ending in /.default")]
    Scope,
    #[error("the scope names several resources")]
    SeveralResources,
    #[error("the parameter resource does not belong to the v2.0 endpoint")]
    ResourceOnV2,
    #[error("the request has both scope and resource")]
    ScopeAndResource,
    #[error(
        "the grant type is not supported; this endpoint knows client_credentials, authorization_code, refresh_token and \
         urn:ietf:params:oauth:grant-type:jwt-bearer"
    )]
    GrantType,
    #[error("a token bound to a key or certificate was asked for ({parameter}), and only bearer tokens can be given")]
    Bound { parameter: &'static str },
    #[error("the parameter claims is not what it should be: {0}")]
    Claims(NotA),
    #[error("the parameter token_sha256_to_refresh is not 64 hexadecimal digits")]
    TokenHash,
    #[error(
        "a token for a federated managed identity path was asked for (fmi_path), and only the application's own can be given"
    )]
    FmiPath,
    #[error("a client assertion was sent where a local key is expected")]
    Assertion,
    #[error("client_assertion_type is not urn:ietf:params:oauth:client-assertion-type:jwt-bearer")]
    AssertionType,
    #[error("the authority asked about is none of this endpoint")]
    Authority,
    #[error("the client is named or proven both in the Authorization header and, differently, in the body")]
    TwoCredentials,
    #[error("the Authorization header is not HTTP Basic with an id and a key")]
    Basic,
}

impl Rejected {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoKeyHeader => StatusCode::UNAUTHORIZED,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The word for OAuth's `error`.
    pub(super) fn error(&self) -> &'static str {
        match self {
            Self::Scope | Self::SeveralResources => "invalid_scope",
            Self::GrantType => "unsupported_grant_type",
            // The word that goes with its number.
            Self::NoResource(_) => "invalid_resource",
            Self::Assertion => "invalid_client",
            Self::Authority => "invalid_instance",
            _ => "invalid_request",
        }
    }

    /// Entra's number for the same mistake.
    pub(super) fn number(&self) -> Option<u32> {
        match self {
            Self::Missing { .. } => Some(900_144),
            Self::ContentType | Self::Twice { .. } | Self::TooManyFields { .. } | Self::Claims(_) => Some(9_002_313),
            Self::Scope => Some(70_011),
            Self::SeveralResources => Some(28_000),
            Self::ResourceOnV2 => Some(901_002),
            Self::GrantType => Some(70_003),
            Self::NoResource(_) => Some(500_011),
            Self::Authority => Some(50_049),
            _ => None,
        }
    }

    /// The label `reason` of `unsecret_requests_rejected_total`.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::NoMetadataHeader { present: false } | Self::NoKeyHeader | Self::NoBarrier => "missing_header",
            Self::NoMetadataHeader { present: true } | Self::Header { .. } | Self::Basic => "bad_header",
            _ => "bad_request",
        }
    }

    /// What real IMDS answers to the letter, where clients look for it (contract B2).
    pub(super) fn exact(&self) -> Option<&'static str> {
        matches!(self, Self::NoMetadataHeader { .. })
            .then_some(r#"{"error":"invalid_request","error_description":"Required metadata header not specified"}"#)
    }
}

impl Problem for Rejected {
    fn code(&self) -> &'static str {
        match self {
            Self::NoMetadataHeader { .. } => "metadata-header-missing",
            Self::NoKeyHeader => "key-header-missing",
            Self::NoBarrier => "barrier-header-missing",
            Self::Header { .. } => "header-malformed",
            Self::Method { .. } => "method-not-allowed",
            Self::ContentType => "content-type-not-form",
            Self::Missing { .. } => "parameter-missing",
            Self::Twice { .. } => "parameter-twice",
            Self::TooManyFields { .. } => "too-many-parameters",
            Self::SeveralSelectors => "several-selectors",
            Self::ApiVersion { .. } => "api-version-unsupported",
            Self::NoResource(_) => "resource-invalid",
            Self::Scope => "scope-malformed",
            Self::SeveralResources => "several-resources",
            Self::ResourceOnV2 => "resource-on-v2",
            Self::ScopeAndResource => "scope-and-resource",
            Self::GrantType => "grant-type-unsupported",
            Self::Bound { .. } => "bound-token-unsupported",
            Self::Claims(_) => "claims-malformed",
            Self::TokenHash => "token-hash-malformed",
            Self::FmiPath => "fmi-path-unsupported",
            Self::Assertion => "client-assertion-unsupported",
            Self::AssertionType => "client-assertion-type-unsupported",
            Self::Authority => "unknown-authority",
            Self::TwoCredentials => "two-credentials",
            Self::Basic => "basic-malformed",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::NoMetadataHeader { .. } => "send the header Metadata: true",
            Self::NoKeyHeader => "send the local key in X-IDENTITY-HEADER, or in secret with api-version 2017-09-01",
            Self::NoBarrier => {
                "send the header Metadata: true, or the local key in X-IDENTITY-HEADER or as Authorization: Bearer uns_…"
            }
            Self::Header { .. } => "send it once, as printable ASCII",
            Self::Method { .. } => "use that method",
            Self::ContentType => "send a form body with that content type",
            Self::Missing { .. } => "send it with a value",
            Self::Twice { .. } => "send it once",
            Self::TooManyFields { .. } => "send only what the endpoint knows",
            Self::SeveralSelectors => "send one of client_id, object_id and a resource id",
            Self::ApiVersion { .. } => "send one of these as api-version",
            Self::NoResource(_) => "send an App ID URI such as https://vault.azure.net",
            Self::Scope => "ask for one scope such as https://vault.azure.net/.default",
            Self::SeveralResources => "ask for one resource per request",
            Self::ResourceOnV2 => "send scope instead, or use the v1 endpoint without /v2.0",
            Self::ScopeAndResource => "send only one of them",
            Self::GrantType => {
                "let the application use one of these; users' passwords and device codes are not passed on"
            }
            Self::Bound { .. } => "turn proof of possession off in the client",
            Self::Claims(_) => "send such an object, or leave claims out",
            Self::TokenHash => "send the SHA-256 of the refused access token in hexadecimal, or leave it out",
            Self::FmiPath => "ask Entra itself for that token; unsecret does not pass fmi_path on",
            Self::Assertion => "send a local key as client_secret; unsecret makes the assertion itself",
            Self::AssertionType => "send that type with the local key as client_assertion, or the key as client_secret",
            Self::Authority => "ask for the authority that the application is configured with, where it is",
            Self::TwoCredentials => "use either the Authorization header or the body",
            Self::Basic => "send base64 of id:key, or put client_id and client_secret into the body",
        }))
    }
}
