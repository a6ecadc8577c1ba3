#!/usr/bin/env bash
# A job of GitHub Actions without GitHub: the runner's files, the action's main step, a minute of work, the action's post
# step. OIDC tokens live 5 seconds and access tokens 8, so that the minute is a job of hours. Exit status 0: the work never
# failed, while the same work with an OIDC token that was taken once ended in AADSTS700024.
set -euo pipefail
unsecret=$(realpath "$(command -v "${UNSECRET:-unsecret}")")
cd "$(dirname "$0")"
here=$PWD
seconds=${SECONDS_OF_WORK:-60}
tenant=11111111-aaaa-4bbb-8ccc-222222222222 client=33333333-dddd-4eee-8fff-444444444444
type node >/dev/null 2>&1 || { echo "MISSING: nodejs" >&2; exit 1; }

job=$(mktemp -d)
# A value that the action wrote into one of the runner's files: NAME<<end, the value, end.
written() { sed -n "/^$2<</{n;p;}" "$job/$1" 2>/dev/null; }
output() { written OUTPUT "$1"; }

started=()
# Where something failed, the broker is left as well.
trap 'kill "${started[@]}" $(written STATE pid) 2>/dev/null || true; wait; rm -rf "$job" "$(written STATE folder)"' EXIT
cd "$job"

fail() {
  sed -E 's/eyJ[A-Za-z0-9._-]+/eyJ…/g' <<<"FAILED: $*" >&2
  tail -n 20 ./*.log "$(output log-file)" >&2 2>/dev/null || true
  exit 1
}

# GitHub's request token is a JWT; only its times are looked at.
part() { printf '%s' "$1" | base64 -w0 | tr -d = | tr '+/' '-_'; }
now=$(date +%s)
request_token=$(part '{"alg":"RS256","typ":"JWT"}').$(part "{\"nbf\":$((now - 600)),\"exp\":$((now + 22200))}").not-a-signature

echo "A local Entra, which is GitHub's OIDC endpoint as well"
sed "s/not-a-real-bearer/$request_token/" "$here/emulator.toml" >emulator.toml
"$unsecret" emulate --config emulator.toml 2>emulator.log &
started+=($!)
for _ in $(seq 100); do
  grep -q ACTIONS_ID_TOKEN_REQUEST_URL emulator.log 2>/dev/null && break
  sleep 0.1
done
entra=$(sed -n 's/^ *AZURE_AUTHORITY_HOST=//p' emulator.log)
journal=$(sed -n 's/^Journal.*: \(http:[^,]*\),.*/\1/p' emulator.log)
ACTIONS_ID_TOKEN_REQUEST_URL=$(sed -n 's/^ *ACTIONS_ID_TOKEN_REQUEST_URL=//p' emulator.log)
[ -n "$entra" ] && [ -n "$ACTIONS_ID_TOKEN_REQUEST_URL" ] || fail "the local Entra did not start"

# What the runner gives every step of a job with `id-token: write`.
export ACTIONS_ID_TOKEN_REQUEST_URL ACTIONS_ID_TOKEN_REQUEST_TOKEN=$request_token
export RUNNER_TEMP=$job RUNNER_TRACKING_ID=github_job
for file in ENV OUTPUT STATE STEP_SUMMARY; do
  export "GITHUB_$file=$job/$file"
  : >"$job/$file"
done
# And what leads to the local Entra in place of the real one.
export UNSECRET_AUTHORITY_HOST=$entra UNSECRET_CA_FILE=$job/emulator-ca.pem

# The defaults of action.yml, as the runner would set them, and what the workflow says.
defaults() {
  awk '/^outputs:/ { exit } /^  [a-z0-9-]+:$/ { name = toupper(substr($1, 1, length($1) - 1)) }
    $1 == "default:" { gsub(/"/, "", $2); print "INPUT_" name "=" $2 }' "$here/action/action.yml"
}
mapfile -t inputs < <(defaults)
inputs+=("INPUT_CLIENT-ID=$client" "INPUT_TENANT-ID=$tenant" INPUT_SCOPES=https://management.azure.com/.default
  "INPUT_BINARY-PATH=$unsecret")

echo "The action's main step"
env "${inputs[@]}" node "$here/action/dist/main.js" || fail "the main step failed"
sed 's/^/  /' STEP_SUMMARY

# What a step does that logs in once, as `azure/login` does: one OIDC token for the whole job.
taken=$(curl -sSf -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \
  "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=api%3A%2F%2FAzureADTokenExchange" | sed 's/.*"value":"\([^"]*\)".*/\1/')
login() {
  curl -sS --cacert emulator-ca.pem "$entra/$tenant/oauth2/v2.0/token" -d grant_type=client_credentials \
    -d client_id=$client -d scope=https://management.azure.com/.default -d client_assertion="$taken" \
    -d client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer
}
[[ $(login) = *'"access_token"'* ]] || fail "the control run could not log in at its start"

echo "A step that works for $seconds seconds and asks for a token every second"
endpoint=$(written ENV IDENTITY_ENDPOINT) header=$(written ENV IDENTITY_HEADER)
asked=0
for ((until = SECONDS + seconds; SECONDS < until; asked++)); do
  answer=$(curl -sS -H "X-IDENTITY-HEADER: $header" \
    "$endpoint?api-version=2019-08-01&resource=https://management.azure.com") || fail "the broker is gone"
  [[ $answer = *'"access_token":"eyJ'* ]] || fail "request $asked: $answer"
  left=${answer#*\"expires_in\":\"}
  [ "${left%%\"*}" -gt 0 ] || fail "request $asked got a token that is over"
  token=${answer#*\"access_token\":\"}
  sha256sum <<<"${token%%\"*}" >>tokens
  sleep 1
done
different=$(sort -u tokens | wc -l)
echo "  $asked times it got a good token, $different different ones"
[ "$different" -ge $((seconds / 8)) ] || fail "tokens were not renewed"

echo "The same with the OIDC token that was taken once"
refused=$(login)
[[ $refused = *AADSTS700024* ]] || fail "the control run should have failed with AADSTS700024: $refused"
echo "  AADSTS700024, as it should"

echo "The action's post step"
for name in folder program pid admin; do export "STATE_$name=$(written STATE $name)"; done
node "$here/action/dist/post.js" || fail "the post step failed"
[ ! -e "$(written STATE folder)" ] || fail "its folder is still there"
# The dead that nobody has buried have no program.
if readlink "/proc/$(output pid)/exe" >/dev/null; then fail "the broker still runs"; fi
if grep -q eyJ ENV OUTPUT STATE STEP_SUMMARY; then fail "a token was written down"; fi
rm STATE # whatever has its number now is not ours
if curl -sSf "$journal" | grep -q '"credential":"client_secret"'; then fail "Entra saw a client secret"; fi
