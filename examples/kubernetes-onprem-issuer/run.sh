#!/usr/bin/env bash
# Rotates a cluster's key under a local Entra that fetches what publish.sh wrote. The cluster is played with keys of openssl.
# Exit status 0: at every step each token that pods could hold was good, and what must fail failed.
set -euo pipefail
cd "$(dirname "$0")"
unsecret=${UNSECRET:-unsecret}
issuer=https://oidc.contoso.example/billing-cluster

missing() {
  echo "MISSING: $*" >&2
  exit 1
}

fail() {
  echo "FAILED: $*" >&2
  tail -n 20 "$stage"/*.log >&2
  exit 1
}

# Waits until a command succeeds, at most twenty seconds.
wait_for() {
  for _ in $(seq 200); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  fail "still not so after twenty seconds: $*"
}

type "$unsecret" >/dev/null 2>&1 || missing "unsecret; build it, and set UNSECRET to its path"
type jq openssl python3 >/dev/null 2>&1 || missing "jq, openssl or python3; install the packages of the same names"

stage=$(mktemp -d)
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait; rm -rf "$stage"' EXIT

# --- The cluster: keys, tokens, and the two paths of its API server.

# Without padding, in the alphabet of URLs, as in a JWT.
encoded() {
  base64 -w0 | tr '+/' '-_' | tr -d '='
}

new_key() {
  openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$stage/$1.key"
}

# As Kubernetes names its keys: by the hash of the public one.
kid() {
  openssl pkey -in "$stage/$1.key" -pubout -outform DER | openssl dgst -sha256 -binary | encoded
}

jwk() {
  local modulus
  modulus=$(openssl rsa -in "$stage/$1.key" -noout -modulus | sed 's/Modulus=//' | basenc --base16 -d | encoded)
  printf '{"use":"sig","kty":"RSA","kid":"%s","alg":"RS256","n":"%s","e":"AQAB"}' "$(kid "$1")" "$modulus"
}

# The cluster lists these keys from now on (--service-account-key-file).
cluster_lists() {
  mkdir -p "$stage/cluster/.well-known" "$stage/cluster/openid/v1"
  printf '{"issuer":"%s","jwks_uri":"https://10.0.0.1:6443/openid/v1/jwks","response_types_supported":["id_token"],
    "subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}' "$issuer" \
    >"$stage/cluster/.well-known/openid-configuration"
  for key in "$@"; do jwk "$key"; done | jq --slurp '{keys: .}' >"$stage/cluster/openid/v1/jwks"
}

# What `kubectl get --raw PATH` would print.
cat >"$stage/kubectl" <<END
#!/bin/sh
cat "$stage/cluster\$3"
END
chmod +x "$stage/kubectl"

# A token of the service account that this key signed.
token() {
  local now head
  now=$(date +%s)
  head=$(printf '{"alg":"RS256","kid":"%s"}' "$(kid "$1")" | encoded).$(
    printf '{"iss":"%s","sub":"system:serviceaccount:billing:billing","aud":["api://AzureADTokenExchange"],"iat":%s,"exp":%s}' \
      "$issuer" "$now" $((now + 3600)) | encoded
  )
  printf %s "$head.$(printf %s "$head" | openssl dgst -sha256 -sign "$stage/$1.key" | encoded)"
}

# --- The web server, the local Entra, and the broker's way to it.

site=$stage/www/billing-cluster
mkdir -p "$site"
python3 -u -m http.server --bind 127.0.0.1 --directory "$stage/www" 0 >"$stage/web.log" 2>&1 &
started+=($!)
wait_for grep -q ' port [1-9]' "$stage/web.log"
port=$(sed -n 's/^.* port \([0-9]*\) .*/\1/p' "$stage/web.log")
sed -e "s#^at .*#at = \"127.0.0.1:$port\"#; s#^ca_file .*#ca_file = \"$stage/ca.pem\"#" emulator.toml >"$stage/emulator.toml"
"$unsecret" emulate --config "$stage/emulator.toml" 2>"$stage/emulator.log" &
started+=($!)
wait_for grep -q _journal "$stage/emulator.log"

export UNSECRET_TENANT=11111111-aaaa-4bbb-8ccc-222222222222 UNSECRET_CLIENT_ID=33333333-dddd-4eee-8fff-444444444444
export UNSECRET_SCOPES=https://vault.azure.net/.default UNSECRET_ANY_LOCAL_CALLER=true
export UNSECRET_ASSERTION_FILE=$stage/token UNSECRET_CA_FILE=$stage/ca.pem
UNSECRET_AUTHORITY_HOST=$(sed -n 's#^.*listens on \(https://[a-z0-9.]*:[0-9]*\).*#\1#p' "$stage/emulator.log" | head -n 1)
export UNSECRET_AUTHORITY_HOST

publish() {
  KUBECTL=$stage/kubectl ./publish.sh "$site" "$@"
}

exchange() {
  token "$1" >"$stage/token"
  "$unsecret" token --resource https://vault.azure.net >"$stage/answer" 2>"$stage/exchange.log"
}

good() {
  for key in "$@"; do
    exchange "$key" || fail "a token that the $key key signed is refused"
    echo "  a token that the $key key signed: exchanged"
  done
}

refused() {
  if exchange "$1"; then fail "a token that the $1 key signed is exchanged"; fi
  grep -q 7000272 "$stage/exchange.log" || fail "refused for another reason"
  echo "  a token that the $1 key signed: refused (AADSTS7000272, Entra finds no such key)"
}

echo "1. The cluster signs with its old key; publish what it says"
new_key old
cluster_lists old
publish
good old

echo "2. What goes wrong without a plan: the cluster signs with a key that nobody has published"
new_key new
refused new

echo "3. The new key is listed before it signs: publish, and wait until Entra has fetched it"
cluster_lists old new
publish
good old new

echo "4. The cluster signs with the new key and has forgotten the old one; pods still hold tokens of it"
cluster_lists new
publish
good old new

echo "5. The last token of the old key is over: drop it"
publish --drop "$(kid old)"
good new
refused old

echo "6. A key that the cluster still has cannot be dropped"
if publish --drop "$(kid new)" 2>"$stage/refused.log"; then fail "it was dropped"; fi
cat "$stage/refused.log"
good new
