//! Rust: azure_identity, and the OAuth client of any provider.

use super::{Case, no, unmodified};
use crate::clients::doors::Door::{AppService, AppService2017, OauthHttp, OauthHttps, Sink};

const NOT_HTTPS: (&str, &str) = ("azure_identity", "authority host doesn't use HTTPS scheme");
/// Built with its own feature for TLS it carries the roots of the web along, and no variable adds to them.
const OWN_ROOTS: (&str, &str) = ("oauth2", "UnknownIssuer");

pub const CASES: &[Case] = &[
    unmodified("azure_identity", "ManagedIdentityCredential", AppService),
    no("azure_identity", "ManagedIdentityCredential", AppService2017, ("azure_identity", "isn't supported"), "nothing"),
    unmodified("azure_identity", "WorkloadIdentityCredential", Sink),
    no("azure_identity", "ClientSecretCredential", OauthHttp, NOT_HTTPS, "nothing"),
    unmodified("azure_identity", "ClientSecretCredential", OauthHttps),
    unmodified("oauth2", "AuthType::BasicAuth", OauthHttp),
    unmodified("oauth2", "AuthType::RequestBody", OauthHttp),
    no("oauth2", "AuthType::RequestBody", OauthHttps, OWN_ROOTS, "nothing"),
];
