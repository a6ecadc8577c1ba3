#!/usr/bin/env bash
# Injects the broker into three workloads without a cluster, shows what changed, and judges what came out.
# Exit status 0: all of it is right.
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
type kubernetes-validate >/dev/null 2>&1 || missing "kubernetes-validate; install it with: pip install kubernetes-validate"

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
injected=$stage/injected.yaml

"$unsecret" inject --values values.yaml <app.yaml >"$injected"
echo "What unsecret inject changed:"
diff -u --label app.yaml --label injected.yaml app.yaml "$injected" && fail "nothing"

# Lines are added, and none that was there is gone: comments, order and spelling are the author's.
if diff app.yaml "$injected" | grep '^<'; then fail "these lines of app.yaml are gone"; fi
[ "$(grep -cE '^ +(- )?name: unsecret$' "$injected")" = 3 ] || fail "not one broker in each of the three"
[ "$(grep -cE '^ +(- )?restartPolicy: Always$' "$injected")" = 3 ] || fail "not every broker is a native sidecar"
if grep -E 'AZURE_CLIENT_SECRET|AZURE_FEDERATED_TOKEN_FILE' "$injected"; then fail "a way around the broker"; fi

"$unsecret" inject --values values.yaml <"$injected" >"$stage/again.yaml"
diff "$injected" "$stage/again.yaml" || fail "a second time changes it again"

for version in 1.29 1.33 1.37; do
  # It exits 0 for a kind that it does not know: any word but a pass counts.
  said=$(kubernetes-validate --strict -k "$version" "$injected" 2>&1) || fail "Kubernetes $version: $said"
  if grep -v '^INFO .* passed ' <<<"$said"; then fail "Kubernetes $version"; fi
done
echo "Three workloads with a broker each, right for Kubernetes 1.29, 1.33 and 1.37; a second time changes nothing"
