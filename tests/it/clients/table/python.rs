//! Python: azure-identity with its two halves, what stands below it, and what old estates have instead.

use super::{Case, no, unmodified};
use crate::clients::doors::Door::{AppService, Imds, OauthHttp};

/// What they make of an authority that is not https.
const NOT_HTTPS: (&str, &str) = ("ValueError", "The value must be a TLS protected (https) URL");
const MSAL_NOT_HTTPS: (&str, &str) = ("ValueError", "should consist of an https url with hostname");

pub const CASES: &[Case] = &[
    unmodified("azure-identity", "ManagedIdentityCredential", AppService),
    unmodified("azure-identity", "ManagedIdentityCredential", Imds),
    unmodified("azure-identity", "aio.ManagedIdentityCredential", AppService),
    unmodified("azure-identity", "aio.ManagedIdentityCredential", Imds),
    unmodified("azure-identity", "DefaultAzureCredential", AppService),
    unmodified("azure-identity", "aio.DefaultAzureCredential", AppService),
    no("azure-identity", "ClientSecretCredential", OauthHttp, NOT_HTTPS, "nothing"),
    unmodified("msal", "ManagedIdentityClient", AppService),
    unmodified("msal", "ManagedIdentityClient", Imds),
    no("msal", "ConfidentialClientApplication", OauthHttp, MSAL_NOT_HTTPS, "nothing"),
    unmodified("Authlib", "OAuth2Session", OauthHttp),
    unmodified("requests-oauthlib", "OAuth2Session", OauthHttp).given(&[("OAUTHLIB_INSECURE_TRANSPORT", "1")]),
];
