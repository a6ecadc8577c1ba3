//! The cases of the rules about the request, the client's secret and the scope.

use reqwest::Method;

use super::rules::{Case, request};
use super::world::{EXPIRED_SECRET, SECRET, World, right_secret, right_v1};

pub(super) fn cases(world: &World) -> Vec<Case> {
    let secret = || right_secret();
    let mut instance = secret();
    instance.instance = Some(format!("{}/common/oauth2/v2.0/authorize", world.emulator.authority_host()));
    vec![
        request("method", secret(), |mut ask| {
            ask.method = Method::PUT;
            ask
        }),
        request("body", secret(), |mut ask| {
            ask.repeated = Some("scope");
            ask
        }),
        request("tenant-malformed", secret(), |ask| tenant(ask, "contoso")),
        request("tenant-shared", secret(), |ask| tenant(ask, "common")),
        request("tenant-unknown", secret(), |ask| tenant(ask, "99999999-aaaa-4bbb-8ccc-222222222222")),
        request("instance", instance, |mut ask| {
            ask.instance = Some("https://login.example/common/oauth2/v2.0/authorize".into());
            ask
        }),
        request("grant-missing", secret(), |ask| ask.without("grant_type")),
        request("grant-unknown", secret(), |ask| ask.form("grant_type", "password")),
        request("client-missing", secret(), |ask| ask.without("client_id")),
        request("application-unknown", secret(), |ask| ask.form("client_id", "99999999-dddd-4eee-8fff-444444444444")),
        request("proof-of-possession", secret(), |ask| ask.form("token_type", "pop")),
        request("claims", secret(), |ask| ask.form("claims", "cp1")),
        request("resource-on-v2", secret(), |ask| ask.form("resource", "https://vault.azure.net")),
        request("scope-missing", secret(), |ask| ask.without("scope")),
        request("scope-not-default", secret(), |ask| ask.form("scope", "https://vault.azure.net/User.Read")),
        request("scope-malformed", secret(), |ask| ask.form("scope", "/.default")),
        request("scope-several", secret(), |ask| {
            ask.form("scope", "https://vault.azure.net/.default https://database.windows.net//.default")
        }),
        request("resource-missing", right_v1(), |ask| ask.without("resource")),
        request("credential-missing", secret(), |ask| ask.without("client_secret")),
        request("credential-twice", world.certificate(), |ask| ask.form("client_secret", SECRET)),
        request("assertion-type-missing", world.certificate(), |ask| ask.without("client_assertion_type")),
        request("assertion-type", world.certificate(), |ask| {
            ask.form("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-pop")
        }),
        request("secret-wrong", secret(), |ask| ask.form("client_secret", "another")),
        request("secret-expired", secret(), |ask| ask.form("client_secret", EXPIRED_SECRET)),
        request("resource-unknown", secret(), |ask| ask.form("scope", "https://vault.azure.net//.default")),
    ]
}

fn tenant(mut ask: super::ask::Ask, tenant: &str) -> super::ask::Ask {
    tenant.clone_into(&mut ask.tenant);
    ask
}
