#!/usr/bin/env bash
# One token for the same resource at every door, as clients ask for it. `run.sh` has started what answers.
set -euo pipefail
cd "$(dirname "$0")"

# IMDS: no key, one header.
curl -sS -H 'Metadata: true' \
  'http://127.0.0.1:4780/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net'

# App Service: what every Azure SDK does when it finds IDENTITY_ENDPOINT and IDENTITY_HEADER.
curl -sS -H "X-IDENTITY-HEADER: $(cat state/billing.caller)" \
  'http://127.0.0.1:4780/msi/token?api-version=2019-08-01&resource=https://vault.azure.net'

# OAuth 2: what a legacy application does. Its client_secret is the local key.
curl -sS http://127.0.0.1:4780/11111111-aaaa-4bbb-8ccc-222222222222/oauth2/v2.0/token \
  -d grant_type=client_credentials -d client_id=33333333-dddd-4eee-8fff-444444444444 \
  -d client_secret="$(cat state/billing.caller)" -d scope=https://vault.azure.net/.default
