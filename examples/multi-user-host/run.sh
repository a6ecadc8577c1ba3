#!/usr/bin/env bash
# Two users, two applications, and a third user who gets nothing; with a local Entra in place of the real one. Exit status 0: all of it was so. Needs root,
# to become the users; nothing stays behind.
set -euo pipefail
cd "$(dirname "$0")"
unsecret=${UNSECRET:-unsecret}

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
    for one in "${started[@]}"; do
      kill -0 "$one" 2>/dev/null || fail "one that was started has ended by itself"
    done
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  fail "still not so after twenty seconds: $*"
}

# As a user asks: uid, application, resource. What the broker answers, the token cut short.
ask() {
  setpriv --reuid "$1" --regid "$1" --groups "${group:-2000}" -- curl -sS --unix-socket "$stage/unsecret.sock" -H 'Metadata: true' \
    "http://localhost/metadata/identity/oauth2/token?api-version=2018-02-01&client_id=$2&resource=$3" | sed -E 's/("access_token":"eyJ)[^"]+/\1…/'
}

# Asks, shows the answer, and wants these words in it.
expect() {
  local answer
  echo "uid $2 asks for $4"
  answer=$(ask "$2" "$3" "$4")
  echo "  $answer"
  grep -qF "$1" <<<"$answer" || fail "not what was expected: $1"
}

[ "$(id -u)" = 0 ] || missing "root"
type "$unsecret" >/dev/null 2>&1 || missing "unsecret; build it, and set UNSECRET to its path"
type curl openssl setpriv >/dev/null 2>&1 || missing "curl, openssl or setpriv; install the packages curl, openssl and util-linux"
stage=$(mktemp -d)
chmod 0755 "$stage"
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait; rm -rf "$stage"' EXIT

echo "1. A local Entra with two applications, and a certificate that both know"
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=host -days 2 -keyout "$stage/host.key" -out "$stage/host.pem" 2>/dev/null
chmod 0600 "$stage/host.key"
{
  printf 'listen = "127.0.0.1:0"\nadmin = "127.0.0.1:0"\nca_file = "%s"\n[[tenant]]\nid = "11111111-aaaa-4bbb-8ccc-222222222222"\n' "$stage/ca.pem"
  sed -n 's/^client_id = "\(.*\)"$/\1/p' config.toml | while read -r application; do
    printf '[[application]]\ntenant = "11111111-aaaa-4bbb-8ccc-222222222222"\nclient_id = "%s"\ncertificates = ["%s"]\n' "$application" "$stage/host.pem"
  done
  printf '[[resource]]\nids = ["%s"]\n' https://storage.azure.com https://management.azure.com
} >"$stage/emulator.toml"
"$unsecret" emulate --config "$stage/emulator.toml" 2>"$stage/emulator.log" &
started+=($!)
wait_for grep -q _journal "$stage/emulator.log"
authority=$(sed -n 's#^.*listens on \(https://[a-z0-9.]*:[0-9]*\).*#\1#p' "$stage/emulator.log" | head -n 1)

echo "2. The broker, with this example's configuration: its paths moved, the local Entra in it, and a group that no file lists"
sed -e "s#/etc/unsecret/#$stage/#g; s#/run/unsecret/#$stage/#; s#\"unsecret-clients\"#\"2000\"#" \
  -e "s#^tenant = .*#&\nauthority_host = \"$authority\"\nca_file = \"$stage/ca.pem\"#" config.toml >"$stage/config.toml"
diff config.toml "$stage/config.toml" || true
"$unsecret" run --config "$stage/config.toml" 2>"$stage/broker.log" &
started+=($!)
wait_for test -S "$stage/unsecret.sock"
wait_for grep -q 'listening' "$stage/broker.log"

backup=55555555-dddd-4eee-8fff-666666666666
deploy=77777777-aaaa-4bbb-8ccc-888888888888
echo "3. Each user has the token of its own application"
expect '"access_token":"eyJ…"' 1001 "$backup" https://storage.azure.com
expect '"access_token":"eyJ…"' 1002 "$deploy" https://management.azure.com
echo "4. Not the other's, nor for another resource, and a third user none"
expect caller-not-allowed 1001 "$deploy" https://management.azure.com
expect caller-not-allowed 1002 "$backup" https://storage.azure.com
expect resource-not-allowed 1001 "$backup" https://management.azure.com
expect caller-not-allowed 1003 "$backup" https://storage.azure.com
echo "   Who is not in the group cannot even ask"
if group=3000 ask 1001 "$backup" https://storage.azure.com; then fail "an outsider was let in"; fi
echo "5. What the log says of it"
grep -E 'uid 100[123]' "$stage/broker.log" || fail "nobody is named"
grep -q 'uid 1003' "$stage/broker.log" || fail "the third user is not named"
if grep -q 'eyJ' "$stage/broker.log"; then fail "a token is in the log"; fi
echo "Two users, two applications; nobody else."
