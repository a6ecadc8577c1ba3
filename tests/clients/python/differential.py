"""What msal is answered, on the wire and to its caller, wherever it is sent. tests/it/clients/differential.rs has the fields."""

import json
import sys

import msal
import requests

from web_app import user_agent


class Recording(requests.Session):
    """An ordinary session that keeps what the token endpoint said last."""

    def post(self, url, **more):
        answer = super().post(url, **more)
        kind = answer.headers["content-type"].split(";")[0]
        self.heard = {"status": answer.status_code, "content-type": kind, "body": answer.json()}
        return answer


def main():
    from urllib.parse import parse_qsl, urlsplit

    case = json.load(sys.stdin)
    session, heard = Recording(), {}
    application = msal.ConfidentialClientApplication(
        case["client_id"],
        authority=case["authority"],
        client_credential=case["client_secret"],
        instance_discovery=False,
        http_client=session,
    )

    def note(name, answer):
        heard[name] = {**session.heard, "msal": answer}

    note("client credentials", application.acquire_token_for_client([case["scope"]]))
    note("an unknown resource", application.acquire_token_for_client([case["unknown_scope"]]))
    flow = application.initiate_auth_code_flow(["User.Read"], redirect_uri=case["redirect_uri"], login_hint=case["user"])
    back = dict(parse_qsl(urlsplit(user_agent(flow["auth_uri"])).query))
    note("a code", application.acquire_token_by_auth_code_flow(flow, back))
    [account] = application.get_accounts()
    note("a refresh", application.acquire_token_silent_with_error(["User.Read"], account, force_refresh=True))
    note("a code that was used", application.acquire_token_by_authorization_code(
        back["code"], ["User.Read"], redirect_uri=case["redirect_uri"], data={"code_verifier": flow["code_verifier"]}
    ))
    note("on behalf of a user", application.acquire_token_on_behalf_of(case["users_token"], [case["next_scope"]]))
    note("without consent", application.acquire_token_on_behalf_of(case["users_token"], [case["withheld_scope"]]))
    print(json.dumps(heard))


if __name__ == "__main__":
    main()
