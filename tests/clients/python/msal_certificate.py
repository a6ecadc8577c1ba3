"""msal with a certificate. With `ca`, against a live authority; without, the assertion it would send is printed."""

import json
import sys

import msal


class Recorder:
    """Stands where msal's HTTP client stands: answers discovery, keeps what is posted."""

    def __init__(self, authority):
        self.authority = authority
        self.posted = None

    def get(self, url, **_):
        document = {
            "issuer": f"{self.authority}/v2.0",
            "authorization_endpoint": f"{self.authority}/oauth2/v2.0/authorize",
            "token_endpoint": f"{self.authority}/oauth2/v2.0/token",
        }
        return Answer(200, document)

    def post(self, url, data=None, **_):
        self.posted = dict(data)
        return Answer(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": "x"})

    def close(self):
        pass


class Answer:
    def __init__(self, status, body):
        self.status_code, self.text, self.headers = status, json.dumps(body), {}

    def raise_for_status(self):
        assert self.status_code < 400


arguments = json.load(sys.stdin)
recorder = None if "ca" in arguments else Recorder(arguments["authority"])
application = msal.ConfidentialClientApplication(
    arguments["client_id"],
    authority=arguments["authority"],
    client_credential={"private_key": arguments["key"], "public_certificate": arguments["certificate"]},
    instance_discovery=False,
    **({"verify": arguments["ca"]} if recorder is None else {"http_client": recorder}),
)
answer = application.acquire_token_for_client([arguments["scope"]])
if recorder:
    assertion = recorder.posted["client_assertion"]
    print(json.dumps({"assertion": assertion.decode() if isinstance(assertion, bytes) else assertion}))
else:
    print(json.dumps({"token": answer.get("access_token"), "error": answer.get("error_description")}))
