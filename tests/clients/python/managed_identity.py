"""azure-identity as an application uses it: no option, only what stands in the environment."""

import json
import sys

from azure.identity import ManagedIdentityCredential

arguments = json.load(sys.stdin)
credential = ManagedIdentityCredential(**arguments["credential"])
token = credential.get_token(arguments["scope"])
print(json.dumps({"token": token.token, "expires_on": token.expires_on}))
