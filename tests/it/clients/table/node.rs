//! Node: @azure/identity, what stands below it, and the OAuth clients of any provider.

use super::{Case, no, option, unmodified};
use crate::clients::doors::Door::{
    AppService, AppService2017, CloudShell, Environment, Imds, OauthHttp, OauthHttps, Sink,
};

const NOT_HTTPS: (&str, &str) = ("Error", "The authorityHost address must use the 'https' protocol");
/// An authority that Entra's own list does not have, where nobody said to leave that list alone. Here the list cannot be
/// asked.
const UNKNOWN: (&str, &str) = ("AuthenticationError", "endpoints_resolution_error");
const MSAL_UNKNOWN: (&str, &str) = ("ClientAuthError", "endpoints_resolution_error");
const ALONE_UNKNOWN: (&str, &str) = ("CredentialUnavailableError", "endpoints_resolution_error");

pub const CASES: &[Case] = &[
    unmodified("@azure/identity", "ManagedIdentityCredential", AppService),
    unmodified("@azure/identity", "ManagedIdentityCredential", Imds),
    unmodified("@azure/identity", "ManagedIdentityCredential", AppService2017),
    unmodified("@azure/identity", "ManagedIdentityCredential", CloudShell),
    unmodified("@azure/identity", "WorkloadIdentityCredential", Sink),
    unmodified("@azure/identity", "DefaultAzureCredential", AppService),
    no("@azure/identity", "ClientSecretCredential", OauthHttp, NOT_HTTPS, "nothing"),
    no("@azure/identity", "ClientSecretCredential", OauthHttps, ALONE_UNKNOWN, "nothing"),
    option("@azure/identity", "ClientSecretCredential", OauthHttps, "disableInstanceDiscovery: true"),
    no("@azure/identity", "EnvironmentCredential", Environment, UNKNOWN, "nothing"),
    option("@azure/identity", "EnvironmentCredential", Environment, "disableInstanceDiscovery: true"),
    no("@azure/identity", "DefaultAzureCredential", Environment, UNKNOWN, "nothing"),
    option("@azure/identity", "DefaultAzureCredential", Environment, "disableInstanceDiscovery: true"),
    no("@azure/msal-node", "ConfidentialClientApplication", OauthHttps, MSAL_UNKNOWN, "nothing"),
    option("@azure/msal-node", "ConfidentialClientApplication", OauthHttps, "knownAuthorities"),
    unmodified("@azure/msal-node", "ManagedIdentityApplication", AppService),
    unmodified("@azure/msal-node", "ManagedIdentityApplication", Imds),
    unmodified("@azure/msal-node", "ManagedIdentityApplication", AppService2017),
    unmodified("@azure/msal-node", "ManagedIdentityApplication", CloudShell),
    unmodified("openid-client", "clientCredentialsGrant", OauthHttps),
    option("openid-client", "clientCredentialsGrant", OauthHttp, "allowInsecureRequests"),
    unmodified("simple-oauth2", "ClientCredentials", OauthHttps),
    unmodified("simple-oauth2", "ClientCredentials", OauthHttp),
];
