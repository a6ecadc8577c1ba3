"""A web application that signs a user in, renews and calls on behalf of one, as Authlib or msal would have it.

One JSON object from stdin, one to stdout; tests/it/clients/web_app.rs has the fields. The user agent is scripted: it asks
the page that the library sends the user to and reads where that leads back to.
"""

import json
import sys

import requests

ON_BEHALF_OF = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def user_agent(url):
    """The whole URL that the user's browser comes back with."""
    answer = requests.get(url, allow_redirects=False)
    answer.raise_for_status()
    return answer.headers["location"]


def authlib(case):
    from authlib.common.security import generate_token
    from authlib.integrations.requests_client import OAuth2Session
    from joserfc import jwt
    from joserfc.jwk import KeySet

    document = requests.get(case["metadata_url"]).json()
    session = OAuth2Session(
        case["client_id"],
        case["client_secret"],
        scope=case["scope"],
        redirect_uri=case["redirect_uri"],
        code_challenge_method="S256",
    )
    verifier, nonce = generate_token(48), generate_token(20)
    url, state = session.create_authorization_url(
        document["authorization_endpoint"], code_verifier=verifier, nonce=nonce, login_hint=case["user"]
    )
    endpoint = document["token_endpoint"]
    first = session.fetch_token(
        endpoint, authorization_response=user_agent(url), state=state, code_verifier=verifier, scope=case["scope"]
    )
    keys = KeySet.import_key_set(requests.get(document["jwks_uri"]).json())
    claims = jwt.decode(first["id_token"], keys).claims
    wanted = {name: {"essential": True, "value": value} for name, value in [
        ("iss", document["issuer"]), ("aud", case["client_id"]), ("nonce", nonce)
    ]}
    jwt.JWTClaimsRegistry(**wanted).validate(claims)
    renewed = dict(session.refresh_token(endpoint, refresh_token=first["refresh_token"], scope=case["scope"]))
    behalf = session.fetch_token(
        endpoint,
        grant_type=ON_BEHALF_OF,
        assertion=case["users_token"],
        requested_token_use="on_behalf_of",
        scope=case["next_scope"],
    )
    return {
        "user": claims["preferred_username"],
        "tokens": [first["access_token"], renewed["access_token"], behalf["access_token"]],
    }


def msal(case):
    from urllib.parse import parse_qsl, urlsplit

    import msal

    application = msal.ConfidentialClientApplication(
        case["client_id"],
        authority=case["authority"],
        client_credential=case["client_secret"],
        instance_discovery=False,
    )
    # msal adds the scopes of OpenID Connect itself, and refuses to be given them.
    scopes = [scope for scope in case["scope"].split() if scope not in ("openid", "profile", "offline_access")]
    flow = application.initiate_auth_code_flow(scopes, redirect_uri=case["redirect_uri"], login_hint=case["user"])
    back = dict(parse_qsl(urlsplit(user_agent(flow["auth_uri"])).query))
    first = found(application.acquire_token_by_auth_code_flow(flow, back))
    [account] = application.get_accounts()
    renewed = found(application.acquire_token_silent_with_error(scopes, account, force_refresh=True))
    behalf = found(application.acquire_token_on_behalf_of(case["users_token"], [case["next_scope"]]))
    return {
        "user": first["id_token_claims"]["preferred_username"],
        "tokens": [first["access_token"], renewed["access_token"], behalf["access_token"]],
    }


def found(answer):
    """msal raises nothing."""
    if not answer or "access_token" not in answer:
        sys.exit(f"no token: {(answer or {}).get('error_description')}")
    return answer


WAYS = {"Authlib": authlib, "msal": msal}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(WAYS[asked["client"]](asked)))
