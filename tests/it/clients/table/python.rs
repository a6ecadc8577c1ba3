//! Python: azure-identity with its two halves, what stands below it, and what old estates have instead.

use super::{Case, no, option, unmodified};
use crate::clients::doors::Door::{
    AppService, AppService2017, CloudShell, Environment, Imds, OauthHttp, OauthHttps, Sink, TokenProxy,
};

/// What they make of an authority that is not https.
const NOT_HTTPS: (&str, &str) = ("ValueError", "The value must be a TLS protected (https) URL");
const MSAL_NOT_HTTPS: (&str, &str) = ("ValueError", "should consist of an https url with hostname");
/// An authority that Entra's own list does not have, where nobody said to leave that list alone. Here the list cannot be
/// asked; where it can, it says `invalid_instance`.
const UNKNOWN: (&str, &str) = ("azure.core.exceptions.ClientAuthenticationError", "Unable to connect to proxy");
const MSAL_UNKNOWN: (&str, &str) = ("requests.exceptions.ProxyError", "login.microsoftonline.com");
const PROXY: &str = "enable_azure_proxy=True";

pub const CASES: &[Case] = &[
    unmodified("azure-identity", "ManagedIdentityCredential", AppService),
    unmodified("azure-identity", "ManagedIdentityCredential", Imds),
    unmodified("azure-identity", "ManagedIdentityCredential", AppService2017),
    unmodified("azure-identity", "ManagedIdentityCredential", CloudShell),
    unmodified("azure-identity", "aio.ManagedIdentityCredential", AppService),
    unmodified("azure-identity", "aio.ManagedIdentityCredential", Imds),
    unmodified("azure-identity", "aio.ManagedIdentityCredential", AppService2017),
    unmodified("azure-identity", "aio.ManagedIdentityCredential", CloudShell),
    unmodified("azure-identity", "WorkloadIdentityCredential", Sink),
    unmodified("azure-identity", "aio.WorkloadIdentityCredential", Sink),
    unmodified("azure-identity", "DefaultAzureCredential", AppService),
    unmodified("azure-identity", "aio.DefaultAzureCredential", AppService),
    option("azure-identity", "WorkloadIdentityCredential", TokenProxy, PROXY),
    option("azure-identity", "aio.WorkloadIdentityCredential", TokenProxy, PROXY),
    no("azure-identity", "ClientSecretCredential", OauthHttp, NOT_HTTPS, "nothing"),
    no("azure-identity", "ClientSecretCredential", OauthHttps, UNKNOWN, "nothing"),
    option("azure-identity", "ClientSecretCredential", OauthHttps, "disable_instance_discovery=True"),
    unmodified("azure-identity", "aio.ClientSecretCredential", OauthHttps),
    no("azure-identity", "EnvironmentCredential", Environment, UNKNOWN, "nothing"),
    option("azure-identity", "EnvironmentCredential", Environment, "disable_instance_discovery=True"),
    unmodified("azure-identity", "aio.EnvironmentCredential", Environment),
    no("azure-identity", "DefaultAzureCredential", Environment, UNKNOWN, "nothing"),
    option("azure-identity", "DefaultAzureCredential", Environment, "disable_instance_discovery=True"),
    unmodified("azure-identity", "aio.DefaultAzureCredential", Environment),
    unmodified("msal", "ManagedIdentityClient", AppService),
    unmodified("msal", "ManagedIdentityClient", Imds),
    unmodified("msal", "ManagedIdentityClient", AppService2017),
    no("msal", "ManagedIdentityClient", CloudShell, ("requests.exceptions.ProxyError", "169.254.169.254"), "nothing"),
    no("msal", "ConfidentialClientApplication", OauthHttp, MSAL_NOT_HTTPS, "nothing"),
    no("msal", "ConfidentialClientApplication", OauthHttps, MSAL_UNKNOWN, "nothing"),
    option("msal", "ConfidentialClientApplication", OauthHttps, "instance_discovery=False"),
    no("adal", "AuthenticationContext", OauthHttps, MSAL_UNKNOWN, "nothing"),
    option("adal", "AuthenticationContext", OauthHttps, "validate_authority=False"),
    unmodified("msrestazure", "MSIAuthentication", AppService2017).given(&[("APPSETTING_WEBSITE_SITE_NAME", "shop")]),
    unmodified("msrestazure", "MSIAuthentication", CloudShell),
    unmodified("Authlib", "OAuth2Session", OauthHttp),
    unmodified("Authlib", "OAuth2Session", OauthHttps),
    unmodified("requests-oauthlib", "OAuth2Session", OauthHttps),
    unmodified("requests-oauthlib", "OAuth2Session", OauthHttp).given(&[("OAUTHLIB_INSECURE_TRANSPORT", "1")]),
];
