// A web application that signs a user in, renews and calls on behalf of one, as openid-client would have it.
//
// One JSON object from stdin, one to stdout; tests/it/clients/web_app.rs has the fields. The user agent is scripted: it
// asks the page that the library sends the user to and reads where that leads back to.

"use strict";

const { readFileSync } = require("node:fs");

const ON_BEHALF_OF = "urn:ietf:params:oauth:grant-type:jwt-bearer";

// The whole URL that the user's browser comes back with.
async function userAgent(url) {
    const answer = await fetch(url, { redirect: "manual" });
    if (answer.status !== 302) throw new Error(`${answer.status}: ${await answer.text()}`);
    return new URL(answer.headers.get("location"));
}

async function main() {
    const asked = JSON.parse(readFileSync(0, "utf8"));
    // An ES module, which `require` reads only in the newest versions of Node.
    const client = await import(require.resolve("openid-client"));
    // By its whole URL: the document names Entra as issuer, and is not at Entra's address.
    const configuration = await client.discovery(new URL(asked.metadata_url), asked.client_id, asked.client_secret);
    const pkceCodeVerifier = client.randomPKCECodeVerifier();
    const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()];
    const url = client.buildAuthorizationUrl(configuration, {
        redirect_uri: asked.redirect_uri,
        scope: asked.scope,
        code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
        code_challenge_method: "S256",
        state: expectedState,
        nonce: expectedNonce,
        login_hint: asked.user,
    });
    const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
    const { scope } = asked;
    const first = await client.authorizationCodeGrant(configuration, await userAgent(url), checks, { scope });
    const renewed = await client.refreshTokenGrant(configuration, first.refresh_token, { scope });
    const behalf = await client.genericGrantRequest(configuration, ON_BEHALF_OF, {
        assertion: asked.users_token,
        requested_token_use: "on_behalf_of",
        scope: asked.next_scope,
    });
    const tokens = [first, renewed, behalf].map((answer) => answer.access_token);
    console.log(JSON.stringify({ user: first.claims().preferred_username, tokens }));
    // Keep-alive connections would hold the process for seconds.
    process.exit(0);
}

main();
