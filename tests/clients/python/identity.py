"""azure-identity, sync and async. Without `option` nothing but the environment decides, as in most applications."""

import asyncio
import logging
import os

import azure.identity
import azure.identity.aio


def token(found):
    return {"token": found.token, "expires_on": found.expires_on}


class Won(logging.Handler):
    """What DefaultAzureCredential says about the credential that it took."""

    said = None

    def emit(self, record):
        if "acquired a token from" in record.getMessage():
            self.said = record.getMessage().split("acquired a token from ")[1]


def sync(kind, settings=lambda case: {}):
    def ask(case):
        won = listening()
        with getattr(azure.identity, kind)(**settings(case)) as credential:
            return token(credential.get_token(case["scope"])) | {"won": won.said}

    return ask


def asynchronous(kind, settings=lambda case: {}):
    async def ask(case):
        won = listening()
        async with getattr(azure.identity.aio, kind)(**settings(case)) as credential:
            return token(await credential.get_token(case["scope"])) | {"won": won.said}

    return lambda case: asyncio.run(ask(case))


def listening():
    won = Won()
    logger = logging.getLogger("azure.identity")
    logger.setLevel(logging.INFO)
    logger.addHandler(won)
    return won


def option(case):
    return {"disable_instance_discovery": True} if case["option"] else {}


def secret(case):
    own = {name: case[name] for name in ("client_id", "client_secret")}
    return own | {"tenant_id": case["tenant"], "authority": case["authority_host"]} | option(case)


def workload(case):
    """The option is the token proxy's where that is named; otherwise the emulator's host needs one."""
    if "AZURE_KUBERNETES_TOKEN_PROXY" in os.environ:
        return {"enable_azure_proxy": case["option"]}
    return option(case)


SETTINGS = {
    "ManagedIdentityCredential": lambda case: {},
    "DefaultAzureCredential": option,
    "EnvironmentCredential": option,
    "ClientSecretCredential": secret,
    "WorkloadIdentityCredential": workload,
}

WAYS = {("azure-identity", kind): sync(kind, settings) for kind, settings in SETTINGS.items()}
WAYS |= {("azure-identity", f"aio.{kind}"): asynchronous(kind, settings) for kind, settings in SETTINGS.items()}
