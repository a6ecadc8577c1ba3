// @azure/identity. Without `option` nothing but the environment decides, as in most applications.

"use strict";

const identity = require("@azure/identity");
const { setLogLevel, AzureLogger } = require("@azure/logger");

function ask(credential) {
    return async (asked) => {
        const won = listening();
        const token = await credential(asked).getToken(asked.scope);
        return { token: token.token, expires_on: Math.floor(token.expiresOnTimestamp / 1000), won: won.said };
    };
}

// What DefaultAzureCredential says about the credential that it took.
function listening() {
    const won = { said: null };
    setLogLevel("info");
    AzureLogger.log = (...said) => {
        const found = /ChainedTokenCredential => getToken\(\) => Result for (\w+):/.exec(said.join(" "));
        won.said ??= found && found[1];
    };
    return won;
}

const option = (asked) => (asked.option ? { disableInstanceDiscovery: true } : {});

const secret = (asked) =>
    new identity.ClientSecretCredential(asked.tenant, asked.client_id, asked.client_secret, {
        authorityHost: asked.authority_host,
        ...option(asked),
    });

module.exports = {
    "@azure/identity ManagedIdentityCredential": ask(() => new identity.ManagedIdentityCredential()),
    "@azure/identity DefaultAzureCredential": ask((asked) => new identity.DefaultAzureCredential(option(asked))),
    "@azure/identity EnvironmentCredential": ask((asked) => new identity.EnvironmentCredential(option(asked))),
    "@azure/identity ClientSecretCredential": ask(secret),
    "@azure/identity WorkloadIdentityCredential": ask((asked) => new identity.WorkloadIdentityCredential(option(asked))),
};
