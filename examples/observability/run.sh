#!/usr/bin/env bash
# Starts a local Entra, the broker and a Prometheus with the alert rules; asks for a token, cuts the broker off, and checks
# what Prometheus makes of it. Exit status 0: all of it was so.
set -euo pipefail
cd "$(dirname "$0")"
unsecret=$(realpath "$(command -v "${UNSECRET:-unsecret}")")
prometheus=$(realpath "$(command -v "${PROMETHEUS:-prometheus}")")
state=$(mktemp -d)

fail() {
  echo "FAILED: $*" >&2
  tail -n 20 "$state"/*.log >&2
  exit 1
}

# Waits until a command succeeds, at most half a minute.
wait_for() {
  for _ in $(seq 300); do
    for one in "${started[@]}"; do
      kill -0 "$one" 2>/dev/null || fail "one of the three has ended by itself; is a port in use?"
    done
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  fail "still not so after half a minute: $*"
}

# Whether a query finds anything.
found() {
  curl -sf --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query | grep -q '"metric":'
}

started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait; rm -rf "$state"' EXIT

echo "A local Entra and the broker, as in the quickstart"
cp ../quickstart/config.toml ../quickstart/emulator.toml "$state"
mkdir "$state/state"
(cd "$state" && exec "$unsecret" emulate --config emulator.toml 2>emulator.log) &
started+=($!)
wait_for curl -sf http://127.0.0.1:4791/_rules
curl -sSf http://127.0.0.1:4791/_platform-token -o "$state/state/platform-token" \
  -d '{"issuer": "https://issuer.example", "subject": "system:serviceaccount:billing:billing", "audience": "api://AzureADTokenExchange"}'
"$unsecret" caller add --file "$state/state/billing.caller" >/dev/null 2>&1
(cd "$state" && exec "$unsecret" run --config config.toml 2>broker.log) &
started+=($!)
wait_for "$unsecret" health --ready --admin 127.0.0.1:9464

echo "Prometheus, with the rules of the chart"
"$prometheus" --config.file=prometheus.yml --storage.tsdb.path="$state/data" --web.listen-address=127.0.0.1:9090 \
  2>"$state/prometheus.log" &
started+=($!)
wait_for found 'unsecret_ready == 1'
curl -sf http://127.0.0.1:9090/api/v1/rules | grep -q '"name":"UnsecretTokenExpiringUnrefreshed"' || fail "the rules are not loaded"

echo "Nobody has asked yet; then somebody does"
found 'unsecret_asked == 0' || fail "it says that somebody asked"
curl -sSf -H 'Metadata: true' -o "$state/answer" \
  'http://127.0.0.1:4780/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net'
wait_for found 'unsecret_asked == 1'

echo "Entra fails from now on; a client that bypasses the cache shows it"
curl -sSf -X POST http://127.0.0.1:4791/_faults -d '{"fault": {"kind": "status", "status": 500}}' >/dev/null
curl -s -H 'Metadata: true' -o "$state/answer" \
  'http://127.0.0.1:4780/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net&bypass_cache=true'
wait_for found 'unsecret_token_consecutive_failures > 0'
wait_for found 'unsecret_token_requests_total{outcome="upstream_error"} > 0'
echo "The held token is still handed out, so no alert has to fire yet"
if found 'ALERTS{alertstate="firing"}'; then fail "an alert fires"; fi
