"""What is older or more general than azure-identity: msal, adal, msrestazure, and the OAuth clients of any provider.

Each is imported by the case that needs it, before the time is taken: an import of all of them costs a second.
"""

import time

MODULES = {
    "msal": ["msal", "requests"],
    "adal": ["adal"],
    "msrestazure": ["msrestazure.azure_active_directory"],
    "Authlib": ["authlib.integrations.requests_client"],
    "requests-oauthlib": ["oauthlib.oauth2", "requests_oauthlib"],
}


def msal_secret(case):
    import msal

    own = {"instance_discovery": False} if case["option"] else {}
    application = msal.ConfidentialClientApplication(
        case["client_id"], authority=case["authority"], client_credential=case["client_secret"], **own
    )
    return found(application.acquire_token_for_client([case["scope"]]))


def msal_managed_identity(case):
    import msal
    import requests

    client = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=requests.Session())
    return found(client.acquire_token_for_client(resource=case["resource"]))


def found(answer):
    """msal raises nothing: it answers with Entra's error, which the application must look at."""
    if "access_token" not in answer:
        return {"error": {"class": f"error {answer['error']}", "text": answer.get("error_description") or ""}}
    return {"token": answer["access_token"], "expires_on": int(time.time() + answer["expires_in"])}


def adal_secret(case):
    import adal

    own = {"validate_authority": False} if case["option"] else {}
    context = adal.AuthenticationContext(case["authority"], **own)
    answer = context.acquire_token_with_client_credentials(case["resource"], case["client_id"], case["client_secret"])
    return {"token": answer["accessToken"], "expires_on": None}


def msrestazure_managed_identity(case):
    from msrestazure.azure_active_directory import MSIAuthentication

    credential = MSIAuthentication(resource=case["resource"])
    return {"token": credential.token["access_token"], "expires_on": int(credential.token["expires_on"])}


def authlib_session(case):
    from authlib.integrations.requests_client import OAuth2Session

    own = {"client_id": case["client_id"], "client_secret": case["client_secret"], "scope": case["scope"]}
    answer = OAuth2Session(**own).fetch_token(case["token_url"], grant_type="client_credentials")
    return {"token": answer["access_token"], "expires_on": int(answer["expires_at"])}


def requests_oauthlib_session(case):
    from oauthlib.oauth2 import BackendApplicationClient
    from requests_oauthlib import OAuth2Session

    session = OAuth2Session(client=BackendApplicationClient(client_id=case["client_id"], scope=[case["scope"]]))
    answer = session.fetch_token(
        case["token_url"], client_id=case["client_id"], client_secret=case["client_secret"], scope=[case["scope"]]
    )
    return {"token": answer["access_token"], "expires_on": int(answer["expires_at"])}


WAYS = {
    ("msal", "ConfidentialClientApplication"): msal_secret,
    ("msal", "ManagedIdentityClient"): msal_managed_identity,
    ("adal", "AuthenticationContext"): adal_secret,
    ("msrestazure", "MSIAuthentication"): msrestazure_managed_identity,
    ("Authlib", "OAuth2Session"): authlib_session,
    ("requests-oauthlib", "OAuth2Session"): requests_oauthlib_session,
}
