#!/usr/bin/env bash
# Lint only: no cloud is asked. For a token as each cluster writes it, `unsecret doctor` says which federated credential it
# needs; main.tf and federate.sh have to create just that. Exit status 0: they do.
set -euo pipefail
cd "$(dirname "$0")"
unsecret=${UNSECRET:-unsecret}

missing() {
  echo "MISSING: $*" >&2
  exit 1
}

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

type "$unsecret" >/dev/null 2>&1 || missing "unsecret; build it, and set UNSECRET to its path"
type jq >/dev/null 2>&1 || missing "jq; install the package of the same name"
type hcl2tojson >/dev/null 2>&1 || missing "hcl2tojson; install it with: pip install python-hcl2"

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# Without padding, in the alphabet of URLs, as in a JWT.
encoded() {
  base64 -w0 | tr '+/' '-_' | tr -d '='
}

# A token of the billing service account; nobody checks its signature here.
token() {
  local now
  now=$(date +%s)
  printf '{"alg":"RS256","kid":"1"}' | encoded
  printf .
  printf '{"iss":"%s","sub":"system:serviceaccount:billing:billing","aud":["api://AzureADTokenExchange"],"iat":%s,"exp":%s}' \
    "$1" "$now" $((now + 3600)) | encoded
  printf .%s "$(printf signature | encoded)"
}

# Stands for the Azure CLI: keeps what it would be asked to create.
mkdir "$stage/bin"
cat >"$stage/bin/az" <<'END'
#!/bin/sh
while [ $# -gt 1 ]; do
  if [ "$1" = --parameters ]; then printf '%s' "$2" >"$STAGE/az.json"; fi
  shift
done
echo 33333333-dddd-4eee-8fff-444444444444
END
chmod +x "$stage/bin/az"

# The parser leaves strings and the names of blocks in their quotes. What main.tf creates for a cluster, with its defaults filled in:
hcl2tojson main.tf 2>/dev/null | jq '
  def bare: ltrimstr("\"") | rtrimstr("\"");
  walk(if type == "string" then bare elif type == "object" then with_entries(.key |= bare) else . end)
  | (.variable | add | map_values(.default)) as $var
  | (.resource | add | .azuread_application_federated_identity_credential.billing) as $made
  | $var.clusters | map_values({
      issuer: .,
      subject: ($made.subject | sub("\\$\\{var.namespace\\}"; $var.namespace) | sub("\\$\\{var.service_account\\}"; $var.service_account)),
      audiences: $made.audiences
    })' >"$stage/terraform.json" || fail "main.tf cannot be read"

for cluster in eks gke; do
  issuer=$(jq -r ".$cluster.issuer" "$stage/terraform.json")
  token "$issuer" >"$stage/token"
  "$unsecret" doctor --offline "$stage/token" --json >"$stage/doctor.json" || fail "$cluster: doctor finds a fault in the token"
  needed=$(jq -cS '.federated_credentials[0].graph | {issuer, subject, audiences}' "$stage/doctor.json")
  by_terraform=$(jq -cS ".$cluster" "$stage/terraform.json")
  [ "$by_terraform" = "$needed" ] || fail "$cluster: main.tf creates $by_terraform, and $needed is needed"
  PATH=$stage/bin:$PATH STAGE=$stage ./federate.sh "billing-$cluster" "$issuer" billing billing >/dev/null
  by_az=$(jq -cS '{issuer, subject, audiences}' "$stage/az.json")
  [ "$by_az" = "$needed" ] || fail "$cluster: federate.sh creates $by_az, and $needed is needed"
  echo "$cluster: $needed"
done
