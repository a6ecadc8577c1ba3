#!/usr/bin/env bash
# Renders every overlay and judges what comes out: by Kubernetes' own schemas, and the broker's configuration by the broker.
# Needs no cluster. Exit status 0: all of it is right.
set -euo pipefail
cd "$(dirname "$0")"
unsecret=${UNSECRET:-unsecret}
kubectl=${KUBECTL:-kubectl}

missing() {
  echo "MISSING: $*" >&2
  exit 1
}

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

type "$unsecret" >/dev/null 2>&1 || missing "unsecret; build it, and set UNSECRET to its path"
type "$kubectl" >/dev/null 2>&1 || missing "kubectl; install it, or set KUBECTL to its path"
type kubernetes-validate >/dev/null 2>&1 || missing "kubernetes-validate; install it with: pip install kubernetes-validate"

rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT

# In the pod it is the pod's uid.
UNSECRET_POD_KEY=$(cat /proc/sys/kernel/random/uuid)
export UNSECRET_POD_KEY
for config in base/config.toml overlays/*/config.toml; do
  said=$("$unsecret" check --config "$config" 2>&1) || fail "$config: $said"
done
for overlay in overlays/*/; do
  name=$(basename "$overlay")
  "$kubectl" kustomize "$overlay" >"$rendered/$name.yaml" || fail "$name cannot be rendered"
  for version in 1.29 1.33 1.37; do
    # It exits 0 for a kind that it does not know: any word but a pass counts.
    said=$(kubernetes-validate --strict -k "$version" "$rendered/$name.yaml" 2>&1) || fail "$name, Kubernetes $version: $said"
    if grep -v '^INFO .* passed ' <<<"$said"; then fail "$name, Kubernetes $version"; fi
  done
  # A changed configuration has to roll the pods: its ConfigMap is named by its content.
  generated=$(sed -n 's/^  name: \(billing-unsecret-[a-z0-9]*\)$/\1/p' "$rendered/$name.yaml")
  grep -q "^ *name: $generated\$" <(grep -A2 'configMap:' "$rendered/$name.yaml") || fail "$name: the pod mounts another ConfigMap"
  echo "$name: $(grep -c '^kind: ' "$rendered/$name.yaml") objects, right for Kubernetes 1.29, 1.33 and 1.37"
done
