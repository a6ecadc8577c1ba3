#!/usr/bin/env bash
# A whole cluster on this machine: kind, the chart with its webhook, a local Entra in the cluster, and a Job that gets a token.
# Needs Docker, kind, kubectl and Helm. Exit status 0: the Job had its token and ended.
set -euo pipefail
cd "$(dirname "$0")"
cluster=unsecret-example

missing() {
  echo "MISSING: $*" >&2
  exit 1
}

for program in docker kind kubectl helm; do
  type "$program" >/dev/null 2>&1 || missing "$program"
done

trap 'kind delete cluster --name "$cluster"' EXIT
kind create cluster --name "$cluster" --config cluster.yaml --wait 120s
docker build --tag unsecret:kind ../..
kind load docker-image unsecret:kind --name "$cluster"

echo "A local Entra, and its CA where the sidecars look for it"
kubectl apply -f entra.yaml
kubectl -n entra rollout status deployment/entra --timeout 120s
kubectl create namespace billing
kubectl label namespace billing pod-security.kubernetes.io/enforce=restricted
kubectl get --raw /api/v1/namespaces/entra/services/entra:admin/proxy/_ca |
  kubectl -n billing create configmap entra-ca --from-file ca.crt=/dev/stdin

echo "The webhook"
helm install unsecret ../../charts/unsecret --namespace unsecret --create-namespace --values values.yaml --wait

echo "A Job that is injected, gets its token, and ends although the broker stood beside it"
kubectl apply -f app.yaml
if ! kubectl -n billing wait --for condition=complete job/ask --timeout 120s; then
  kubectl -n billing describe pods
  kubectl -n billing logs job/ask --all-containers
  exit 1
fi
kubectl -n billing logs job/ask --container ask | tee /dev/stderr | grep -q '"access_token":"eyJ'
