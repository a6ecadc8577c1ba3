#!/usr/bin/env bash
# From what a cluster says of its issuer, the two files that Entra has to find on the web.
#   ./publish.sh SITE              writes SITE/.well-known/openid-configuration and SITE/openid/v1/jwks
#   ./publish.sh SITE --drop KID   takes a key out again, once no token that it signed is alive
# A key that is published stays until it is dropped by name: a cluster that has forgotten its old key may have left tokens
# behind that are good for another hour.
set -euo pipefail
site=$1
dropped=
if [ "${2:-}" = --drop ]; then dropped=$3; fi
kubectl=${KUBECTL:-kubectl}

refuse() {
  echo "NOT PUBLISHED: $*" >&2
  exit 1
}

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
"$kubectl" get --raw /.well-known/openid-configuration >"$new/cluster"
"$kubectl" get --raw /openid/v1/jwks >"$new/keys"

issuer=$(jq -r .issuer "$new/cluster")
# Entra fetches from nowhere else, and compares the issuer letter by letter with the one in the token.
[[ $issuer == https://* ]] || refuse "the issuer is $issuer; set --service-account-issuer to an https URL"
if jq -e --arg kid "$dropped" 'any(.keys[]; .kid == $kid)' "$new/keys" >/dev/null; then
  refuse "the cluster still has the key $dropped; take it out of --service-account-key-file first"
fi
jq -e 'all(.keys[]; .alg == "RS256")' "$new/keys" >/dev/null || refuse "a key is not for RS256, the only algorithm that Entra takes"

mkdir -p "$site/.well-known" "$site/openid/v1"
published=$site/openid/v1/jwks
if [ ! -e "$published" ]; then echo '{"keys": []}' >"$published"; fi
jq --slurp --arg dropped "$dropped" '{keys: (map(.keys[]) | unique_by(.kid) | map(select(.kid != $dropped)))}' \
  "$new/keys" "$published" >"$published.new"
jq --arg jwks "${issuer%/}/openid/v1/jwks" '.jwks_uri = $jwks' "$new/cluster" >"$site/.well-known/openid-configuration.new"

# By renaming, so that nobody fetches half a file; the keys first, since the document leads to them.
mv "$published.new" "$published"
mv "$site/.well-known/openid-configuration.new" "$site/.well-known/openid-configuration"
echo "$issuer: $(jq -r '[.keys[].kid] | join(" ")' "$published")"
