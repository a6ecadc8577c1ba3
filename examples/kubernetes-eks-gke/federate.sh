#!/usr/bin/env bash
# An application registration for the pods of one cluster, by the Azure CLI: the same as main.tf, once.
#   ./federate.sh NAME ISSUER NAMESPACE SERVICEACCOUNT
set -euo pipefail
name=$1 issuer=$2 namespace=$3 service_account=$4

credential=$(printf '{"name": "%s", "issuer": "%s", "subject": "%s", "audiences": ["%s"]}' \
  "$name" "$issuer" "system:serviceaccount:$namespace:$service_account" api://AzureADTokenExchange)

client_id=$(az ad app create --display-name "$name" --query appId --output tsv)
az ad sp create --id "$client_id" --output none
az ad app federated-credential create --id "$client_id" --parameters "$credential" --output none
echo "unsecret.dev/client-id: $client_id"
