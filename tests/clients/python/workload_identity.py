"""azure-identity's WorkloadIdentityCredential over a file that something else keeps fresh, for as long as lines come.

Each line says how many seconds have passed since the last one: the client's clock moves with the broker's.
"""

import json
import sys
import time

real = time.time
offset = 0.0
time.time = lambda: real() + offset

from azure.identity import WorkloadIdentityCredential  # noqa: E402  (after its clock was changed)

credential = None
for line in sys.stdin:
    asked = json.loads(line)
    offset += asked["passed"]
    if credential is None:
        credential = WorkloadIdentityCredential(disable_instance_discovery=True, **asked["credential"])
    try:
        token = credential.get_token(asked["scope"])
        answer = {"token": token.token, "expires_on": token.expires_on}
    except Exception as error:  # the test shows it
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
