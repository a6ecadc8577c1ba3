//! Go: azidentity, what stands below it and what was before it, and the OAuth client of any provider.

use super::{Case, no, option, unmodified};
use crate::clients::doors::Door::{AppService, AppService2017, CloudShell, Environment, OauthHttp, OauthHttps, Sink};

const NOT_HTTPS: (&str, &str) = ("*errors.errorString", "cannot use an authority host without https");
/// An authority that Entra's own list does not have, where nobody said to leave that list alone; here it cannot be asked.
const UNKNOWN: (&str, &str) = ("*azidentity.AuthenticationFailedError", "login.microsoftonline.com");
const MSAL_UNKNOWN: (&str, &str) = ("*fmt.wrapError", "login.microsoftonline.com");
const MSAL: &str = "microsoft-authentication-library";

pub const CASES: &[Case] = &[
    unmodified("azidentity", "ManagedIdentityCredential", AppService),
    unmodified("azidentity", "ManagedIdentityCredential", AppService2017),
    unmodified("azidentity", "ManagedIdentityCredential", CloudShell),
    unmodified("azidentity", "DefaultAzureCredential", AppService),
    unmodified("azidentity", "WorkloadIdentityCredential", Sink),
    no("azidentity", "ClientSecretCredential", OauthHttp, NOT_HTTPS, "nothing"),
    no("azidentity", "ClientSecretCredential", OauthHttps, UNKNOWN, "nothing"),
    option("azidentity", "ClientSecretCredential", OauthHttps, "DisableInstanceDiscovery: true"),
    option("azidentity", "EnvironmentCredential", Environment, "DisableInstanceDiscovery: true"),
    option("azidentity", "DefaultAzureCredential", Environment, "DisableInstanceDiscovery: true"),
    unmodified(MSAL, "managedidentity.Client", AppService),
    unmodified(MSAL, "managedidentity.Client", AppService2017),
    no(MSAL, "confidential.Client", OauthHttps, MSAL_UNKNOWN, "nothing"),
    option(MSAL, "confidential.Client", OauthHttps, "WithInstanceDiscovery(false)"),
    unmodified("go-autorest/adal", "NewServicePrincipalTokenFromManagedIdentity", AppService2017),
    unmodified("go-autorest/adal", "NewServicePrincipalTokenFromManagedIdentity", CloudShell),
    unmodified("go-autorest/adal", "NewServicePrincipalToken", OauthHttp),
    unmodified("go-autorest/adal", "NewServicePrincipalToken", OauthHttps),
    unmodified("golang.org/x/oauth2", "clientcredentials.Config", OauthHttp),
    unmodified("golang.org/x/oauth2", "clientcredentials.Config", OauthHttps),
];
