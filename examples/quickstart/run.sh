#!/usr/bin/env bash
# Starts a local Entra and the broker, asks at every door, and checks what came back. Exit status 0: all of it was so.
set -euo pipefail
cd "$(dirname "$0")"
unsecret=${UNSECRET:-unsecret}

fail() {
  echo "FAILED: $*" >&2
  tail -n 20 state/*.log >&2
  exit 1
}

# Waits until a command succeeds, at most ten seconds.
wait_for() {
  for _ in $(seq 100); do
    # Where a port is in use, whatever has it may answer in our place.
    for one in "${started[@]}"; do
      kill -0 "$one" 2>/dev/null || fail "one of the two has ended by itself; is a port in use?"
    done
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  fail "still not so after ten seconds: $*"
}

started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait; rm -rf state' EXIT
mkdir -p state

echo "A local Entra, which is the workload's platform as well"
"$unsecret" emulate --config emulator.toml 2>state/emulator.log &
started+=($!)
wait_for curl -sf http://127.0.0.1:4791/_rules

echo "The platform gives the workload a token; we make a local key for the application"
curl -sSf http://127.0.0.1:4791/_platform-token -o state/platform-token \
  -d '{"issuer": "https://issuer.example", "subject": "system:serviceaccount:billing:billing", "audience": "api://AzureADTokenExchange"}'
"$unsecret" caller add --file state/billing.caller >/dev/null 2>&1

echo "The broker"
"$unsecret" check --config config.toml >/dev/null
"$unsecret" run --config config.toml 2>state/broker.log &
started+=($!)
wait_for "$unsecret" health --ready --admin 127.0.0.1:9464

echo "One token at three doors, twice"
for _ in first second; do
  ./ask.sh
  echo
done | tee state/answers | sed -E 's/("access_token":"eyJ)[^"]+/\1…/g; s/}\{/}\n{/g'

tokens=$(grep -o '"access_token":"[^"]*"' state/answers)
[ "$(wc -l <<<"$tokens")" = 6 ] || fail "not six answers with a token"
[ "$(sort -u <<<"$tokens" | wc -l)" = 1 ] || fail "not one token in all of them"

journal=$(curl -sS http://127.0.0.1:4791/_journal)
grep -q '"credential":"client_assertion"' <<<"$journal" || fail "Entra saw no assertion"
if grep -q '"credential":"client_secret"' <<<"$journal"; then fail "Entra saw a client secret"; fi
[ "$(grep -o '"credential"' <<<"$journal" | wc -l)" = 2 ] || fail "Entra was not asked exactly twice: $journal"

echo "What the metrics say: Entra was asked twice, the rest came from held tokens"
curl -sS http://127.0.0.1:9464/metrics | grep -E '^unsecret_(token_requests|cache_requests)_total'
