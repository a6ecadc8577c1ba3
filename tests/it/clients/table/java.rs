//! Java: azure-identity, what stands below it, and the OAuth clients of Spring and Kafka.

use super::{Case, no, option, unmodified};
use crate::clients::doors::Door::{AppService, CloudShell, Environment, Imds, OauthHttp, OauthHttps, Sink};

const NOT_HTTPS: (&str, &str) = ("java.lang.IllegalArgumentException", "Authority host must use https scheme");
const SPRING: &str = "RestClientClientCredentialsTokenResponseClient";

pub const CASES: &[Case] = &[
    unmodified("azure-identity", "ManagedIdentityCredential", AppService),
    unmodified("azure-identity", "ManagedIdentityCredential", Imds),
    unmodified("azure-identity", "ManagedIdentityCredential", CloudShell),
    unmodified("azure-identity", "DefaultAzureCredential", AppService),
    unmodified("azure-identity", "WorkloadIdentityCredential", Sink),
    no("azure-identity", "ClientSecretCredential", OauthHttp, NOT_HTTPS, "nothing"),
    // It asks login.microsoftonline.com first, at our port, where nobody answers, and goes on.
    unmodified("azure-identity", "ClientSecretCredential", OauthHttps),
    option("azure-identity", "ClientSecretCredential", OauthHttps, "disableInstanceDiscovery()"),
    unmodified("azure-identity", "EnvironmentCredential", Environment),
    unmodified("msal4j", "ManagedIdentityApplication", AppService),
    unmodified("msal4j", "ManagedIdentityApplication", CloudShell),
    unmodified("msal4j", "ConfidentialClientApplication", OauthHttps),
    option("msal4j", "ConfidentialClientApplication", OauthHttps, "instanceDiscovery(false)"),
    unmodified("spring-security-oauth2-client", SPRING, OauthHttp),
    unmodified("spring-security-oauth2-client", SPRING, OauthHttps),
    unmodified("kafka-clients", "OAuthBearerLoginCallbackHandler", OauthHttp),
    unmodified("kafka-clients", "OAuthBearerLoginCallbackHandler", OauthHttps),
];
