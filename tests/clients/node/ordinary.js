// What is older or more general than @azure/identity: msal-node, and the OAuth clients of any provider.

"use strict";

async function msalSecret(asked) {
    const { ConfidentialClientApplication } = require("@azure/msal-node");
    const own = asked.option ? { knownAuthorities: [new URL(asked.authority).host] } : {};
    const auth = { clientId: asked.client_id, clientSecret: asked.client_secret, authority: asked.authority, ...own };
    const found = await new ConfidentialClientApplication({ auth }).acquireTokenByClientCredential({ scopes: [asked.scope] });
    return { token: found.accessToken, expires_on: Math.floor(found.expiresOn / 1000) };
}

async function msalManagedIdentity(asked) {
    const { ManagedIdentityApplication } = require("@azure/msal-node");
    const found = await new ManagedIdentityApplication().acquireToken({ resource: asked.resource });
    return { token: found.accessToken, expires_on: Math.floor(found.expiresOn / 1000) };
}

async function openidClient(asked) {
    // An ES module, which `require` reads only in the newest versions of Node.
    const client = await import(require.resolve("openid-client"));
    const server = { issuer: asked.authority_host, token_endpoint: asked.token_url };
    const configuration = new client.Configuration(server, asked.client_id, asked.client_secret);
    if (asked.option) client.allowInsecureRequests(configuration);
    const found = await client.clientCredentialsGrant(configuration, { scope: asked.scope });
    return { token: found.access_token, expires_on: Math.floor(Date.now() / 1000) + found.expires_in };
}

async function simpleOauth2(asked) {
    const { ClientCredentials } = require("simple-oauth2");
    const url = new URL(asked.token_url);
    const client = { id: asked.client_id, secret: asked.client_secret };
    const found = await new ClientCredentials({ client, auth: { tokenHost: url.origin, tokenPath: url.pathname } }).getToken({
        scope: asked.scope,
    });
    return { token: found.token.access_token, expires_on: Math.floor(found.token.expires_at / 1000) };
}

module.exports = {
    "@azure/msal-node ConfidentialClientApplication": msalSecret,
    "@azure/msal-node ManagedIdentityApplication": msalManagedIdentity,
    "openid-client clientCredentialsGrant": openidClient,
    "simple-oauth2 ClientCredentials": simpleOauth2,
};
