#!/usr/bin/env bash
# The whole way with SoftHSM2 in place of an HSM and a local Entra in place of the real one: token, key, certificate,
# registration, broker, access token. Exit status 0: all of it was so. No root, no systemd; nothing stays behind.
set -euo pipefail
cd "$(dirname "$0")"
unsecret=${UNSECRET:-unsecret}
client_id=33333333-dddd-4eee-8fff-444444444444

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

# The first address in a log of ours that has these words before it. Ports are free ones, so none has to be.
address() {
  sed -n "s#^.*$2\(https\?://[a-z0-9.]*:[0-9]*\).*#\1#p" "$stage/$1" | head -n 1
}

type "$unsecret" >/dev/null 2>&1 || missing "unsecret; build it, and set UNSECRET to its path"
type softhsm2-util pkcs11-tool >/dev/null 2>&1 || missing "SoftHSM2 or pkcs11-tool; install the packages softhsm2 and opensc"
type curl openssl >/dev/null 2>&1 || missing "curl or openssl; install the packages of the same names"
for module in /usr/lib/softhsm /usr/lib/*/softhsm /usr/lib64/pkcs11 none; do
  module=$module/libsofthsm2.so
  if [ -e "$module" ]; then break; fi
done
[ -e "$module" ] || missing "libsofthsm2.so; install the package softhsm2"

stage=$(mktemp -d)
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait; rm -rf "$stage"' EXIT
mkdir "$stage/tokens" "$stage/state" "$stage/credentials"

echo "1. A token, and its PIN where systemd would put it for the service"
printf 'directories.tokendir = %s\n' "$stage/tokens" >"$stage/softhsm2.conf"
pin=$(openssl rand -hex 8)
SOFTHSM2_CONF=$stage/softhsm2.conf softhsm2-util --init-token --free --label prod --pin "$pin" --so-pin "$(openssl rand -hex 8)"
(umask 077 && printf '%s\n' "$pin" >"$stage/credentials/pin")
# What systemd sets for LoadCredential= and StateDirectory=.
export CREDENTIALS_DIRECTORY=$stage/credentials STATE_DIRECTORY=$stage/state

echo "2. A local Entra, which knows the application and no certificate of it"
cat >"$stage/emulator.toml" <<END
listen  = "127.0.0.1:0"
admin   = "127.0.0.1:0"
ca_file = "$stage/ca.pem"

[[tenant]]
id = "11111111-aaaa-4bbb-8ccc-222222222222"

[[application]]
tenant    = "11111111-aaaa-4bbb-8ccc-222222222222"
client_id = "$client_id"

[[resource]]
ids = ["https://graph.microsoft.com"]
END
"$unsecret" emulate --config "$stage/emulator.toml" 2>"$stage/emulator.log" &
started+=($!)
wait_for grep -q _journal "$stage/emulator.log"
authority=$(address emulator.log 'listens on ')
emulator=$(address emulator.log ': ')

echo "3. This example's configuration, with its paths moved, free ports, and the local Entra in it"
sed -e "s#/etc/unsecret/#$stage/#; s#/run/unsecret/#$stage/#; s#/usr/lib/softhsm/libsofthsm2.so#$module#" \
  -e 's#"127.0.0.1:4780"#"127.0.0.1:0"#; /^unix_group/s/.*/admin = "127.0.0.1:0"/' \
  -e "s#^tenant = .*#&\nauthority_host = \"$authority\"\nca_file = \"$stage/ca.pem\"#; s#^uid = .*#uid = $(id -u)#" \
  config.toml >"$stage/config.toml"
diff config.toml "$stage/config.toml" || true
key=$(sed -n 's/^key = "\(.*\)"/\1/p' "$stage/config.toml")

echo "4. A key that is made in the token and stays there"
"$unsecret" key create --config "$stage/config.toml" "$key"

echo "5. A certificate that the token signs, registered with the application"
"$unsecret" key certificate --config "$stage/config.toml" "$key" --subject CN=billing --out "$stage/billing.pem"
curl -sSf --data-binary "@$stage/billing.pem" "$emulator/_certificates/$client_id"
echo

echo "6. Before the start: the way to a token, link by link"
"$unsecret" check --config "$stage/config.toml"
"$unsecret" doctor --config "$stage/config.toml"

echo "7. The broker, and a token at its Unix socket"
"$unsecret" run --config "$stage/config.toml" 2>"$stage/broker.log" &
started+=($!)
wait_for grep -q 'listening admin=' "$stage/broker.log"
admin=$(address broker.log admin=)
wait_for "$unsecret" health --ready --admin "${admin#http://}"
answer=$(curl -sS --unix-socket "$stage/unsecret.sock" -H 'Metadata: true' \
  'http://localhost/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://graph.microsoft.com')
sed -E 's/("access_token":"eyJ)[^"]+/\1…/' <<<"$answer"
grep -q '"access_token":"eyJ' <<<"$answer" || fail "no token"

echo "8. What the broker and Entra say of it"
curl -sS "$admin/metrics" | grep -E '^unsecret_(signer_operations_total|certificate_not_after)' || fail "no metrics of the signer"
journal=$(curl -sS "$emulator/_journal")
grep -q '"credential":"client_assertion"' <<<"$journal" || fail "Entra saw no assertion"
if grep -q '"credential":"client_secret"' <<<"$journal"; then fail "Entra saw a client secret"; fi

echo "9. What the token says of the key"
token() {
  SOFTHSM2_CONF=$stage/softhsm2.conf pkcs11-tool --module "$module" --token-label prod --login --pin "$pin" "$@"
}
private=$(token --list-objects --type privkey)
echo "$private"
[ "$(grep -c '^Private Key Object' <<<"$private")" = 1 ] || fail "not one private key"
for attribute in sensitive 'always sensitive' 'never extractable' local; do
  grep -Eq "^ *Access:.*[ ,]$attribute(,|\$)" <<<"$private" || fail "the key is not $attribute"
done
if token --read-object --type privkey --label billing >"$stage/stolen" 2>/dev/null && [ -s "$stage/stolen" ]; then
  fail "the private key could be read"
fi
echo "The key cannot leave the token, and the token was all it took."
