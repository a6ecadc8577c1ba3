//! Node: @azure/identity, what stands below it, and the OAuth clients of any provider.

use super::{Case, no, option, unmodified};
use crate::clients::doors::Door::{AppService, Imds, OauthHttp};

const NOT_HTTPS: (&str, &str) = ("Error", "The authorityHost address must use the 'https' protocol");

pub const CASES: &[Case] = &[
    unmodified("@azure/identity", "ManagedIdentityCredential", AppService),
    unmodified("@azure/identity", "ManagedIdentityCredential", Imds),
    unmodified("@azure/identity", "DefaultAzureCredential", AppService),
    no("@azure/identity", "ClientSecretCredential", OauthHttp, NOT_HTTPS, "nothing"),
    unmodified("@azure/msal-node", "ManagedIdentityApplication", AppService),
    unmodified("@azure/msal-node", "ManagedIdentityApplication", Imds),
    option("openid-client", "clientCredentialsGrant", OauthHttp, "allowInsecureRequests"),
    unmodified("simple-oauth2", "ClientCredentials", OauthHttp),
];
