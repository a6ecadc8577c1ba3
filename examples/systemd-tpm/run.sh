#!/usr/bin/env bash
# The whole way with swtpm in place of a TPM and a local Entra in place of the real one: key, certificate, registration,
# broker, access token. Exit status 0: all of it was so. No root, no systemd; nothing stays behind.
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

type "$unsecret" >/dev/null 2>&1 || missing "unsecret; build it with \`--features tpm\`, and set UNSECRET to its path"
for tool in swtpm:swtpm swtpm_setup:swtpm-tools tpm2_readpublic:tpm2-tools curl:curl openssl:openssl; do
  type "${tool%:*}" >/dev/null 2>&1 || missing "${tool%:*}; install the package ${tool#*:}"
done

stage=$(mktemp -d)
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; wait; rm -rf "$stage"' EXIT
mkdir "$stage/tpm" "$stage/state" "$stage/credentials"

echo "1. A TPM, and the value that is to guard the key where systemd would put it for the service"
XDG_CONFIG_HOME=$stage swtpm_setup --tpm2 --tpmstate "$stage/tpm" >"$stage/setup.log" || fail "swtpm_setup"
# It wants two ports in a row, and ends where one is taken.
for port in $(shuf -n 20 -i 20000-29999); do
  swtpm socket --tpm2 --tpmstate "dir=$stage/tpm" --flags not-need-init,startup-clear --pid "file=$stage/tpm/pid" \
    --server "type=tcp,port=$port,bindaddr=127.0.0.1" --ctrl "type=tcp,port=$((port + 1)),bindaddr=127.0.0.1" 2>"$stage/swtpm.log" &
  until [ -s "$stage/tpm/pid" ] || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
  if kill -0 $! 2>/dev/null; then break; fi
done
started+=($!)
tcti=swtpm:host=127.0.0.1,port=$port
(umask 077 && openssl rand -hex 8 >"$stage/credentials/pin")
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
sed -e "s#/etc/unsecret/#$stage/#; s#/run/unsecret/#$stage/#; s#device:/dev/tpmrm0#$tcti#" \
  -e 's#"127.0.0.1:4780"#"127.0.0.1:0"#; /^unix_group/s/.*/admin = "127.0.0.1:0"/' \
  -e "s#^tenant = .*#&\nauthority_host = \"$authority\"\nca_file = \"$stage/ca.pem\"#; s#^uid = .*#uid = $(id -u)#" \
  config.toml >"$stage/config.toml"
diff config.toml "$stage/config.toml" || true
key=$(sed -n 's/^key = "\(.*\)"/\1/p' "$stage/config.toml")

echo "4. A key that is made in the TPM and stays there"
"$unsecret" key create --config "$stage/config.toml" "$key"

echo "5. A certificate that the TPM signs, registered with the application"
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

echo "9. What the TPM says of the key"
public=$(TPM2TOOLS_TCTI=$tcti tpm2_readpublic -c 0x81010042)
grep -A 1 '^attributes:' <<<"$public"
for attribute in fixedtpm fixedparent sensitivedataorigin; do
  grep -Eq "^  value: .*\b$attribute\b" <<<"$public" || fail "the key is not $attribute"
done
echo "The key cannot leave the TPM, and the TPM was all it took."
