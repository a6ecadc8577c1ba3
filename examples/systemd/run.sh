#!/usr/bin/env bash
# The whole life of the service on a host of its own: a fresh Debian, booted under systemd-nspawn, gets the .deb and this example's files. A local
# Entra runs beside it. Exit status 0: the units, their sandbox and the package did what docs/servers.md says. Needs root, and the packages
# mmdebstrap, systemd-container, openssl and curl; $UNSECRET_DEB is the package, $UNSECRET_DEBIAN a folder with a Debian that has systemd (else one is fetched).
# The host has no network but its own loopback, and nothing stays behind.
set -euo pipefail
cd "$(dirname "$0")"

missing() {
  echo "MISSING: $*" >&2
  exit 1
}

fail() {
  echo "FAILED: $*" >&2
  if [ -n "${leader:-}" ]; then inside journalctl --no-pager --lines 60 >&2 || true; fi
  exit 1
}

# Waits until a command succeeds, at most thirty seconds.
wait_for() {
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return; fi
    kill -0 "$nspawn" 2>/dev/null || fail "the host has stopped: $(tail -n 5 "$stage/console")"
    sleep 0.1
  done
  fail "still not so after thirty seconds: $*"
}

# Runs a command on the booted host, as root or as one of its users.
inside() { nsenter --target "$leader" --all -- "$@"; }
as() { inside setpriv --reuid "$1" --regid "$1" --init-groups -- "${@:2}"; }
# As a user asks; there are two identities, so it says which.
ask() { as "$1" unsecret token --via /run/unsecret/unsecret.sock --client-id 55555555-dddd-4eee-8fff-666666666666 --resource https://storage.azure.com; }
property() { inside systemctl show --value --property "$1" unsecret.service; }
is() { [ "$(property "$1")" = "$2" ]; }
not() { ! "$@"; }

# What stands on the host, with its modes; what systemd, dpkg and the account files write for themselves is theirs.
files() {
  (cd "$root" && find etc usr var -printf '%p %M %u:%g\n' | LC_ALL=C sort |
    grep -vE '^(etc/(\.pwd\.lock|group|gshadow|passwd|shadow|subuid|subgid|machine-id|resolv\.conf|hostname|hosts)-?|var/(lib/(dpkg|systemd|private)|log|cache|tmp)(/.*)?) ')
}

# Makes accounts, each given as a line of sysusers.d.
accounts() { printf '%s\n' "$@" | systemd-sysusers --root="$root" -; }

debian() {
  if [ -d "${UNSECRET_DEBIAN:-}" ]; then
    cp -a "$UNSECRET_DEBIAN" "$root"
  else
    type mmdebstrap >/dev/null 2>&1 || missing "mmdebstrap; install the package of the same name"
    mmdebstrap --quiet --variant=essential --include=systemd,libgcc-s1 bookworm "$root"
  fi
}

boot() {
  SYSTEMD_LOG_LEVEL=warning systemd-nspawn --quiet --register=no --keep-unit --private-network --timezone=off --console=pipe \
    --directory="$root" --machine=unsecret-example --boot </dev/null >"$stage/console" 2>&1 &
  nspawn=$!
  for _ in $(seq 100); do
    # Not a child that only makes another one: the one that has become the host's first process.
    leader=$(pgrep --parent "$nspawn" --exact "systemd|init" || true)
    if [ -n "$leader" ]; then break; fi
    kill -0 "$nspawn" 2>/dev/null || fail "systemd-nspawn cannot run here: $(cat "$stage/console")"
    sleep 0.1
  done
  wait_for inside systemctl is-system-running --wait
}

cleanup() {
  if [ -n "${nspawn:-}" ]; then
    kill "$nspawn" 2>/dev/null || true
    if [ -n "${leader:-}" ]; then kill -KILL "$leader" 2>/dev/null || true; fi
    wait "$nspawn" 2>/dev/null || true
  fi
  rm -rf "$stage"
}

[ "$(id -u)" = 0 ] || missing "root"
type systemd-nspawn >/dev/null 2>&1 || missing "systemd-nspawn; install the package systemd-container"
type curl openssl nsenter >/dev/null 2>&1 || missing "curl, openssl or nsenter; install the packages curl, openssl and util-linux"
package=${UNSECRET_DEB:-$(find ../../target/packages -name "unsecret_*_$(dpkg --print-architecture).deb" 2>/dev/null | head -n 1)}
[ -e "$package" ] || missing "the .deb; build it with examples/packaging/build.sh, or set UNSECRET_DEB to its path"
stage=$(mktemp -d)
root=$stage/host
trap cleanup EXIT

echo "1. A fresh host, and the package on it"
debian
echo "127.0.0.1 localhost" >"$root/etc/hosts"
files >"$stage/before"
cp "$package" "$root/unsecret.deb"
chroot "$root" dpkg --install /unsecret.deb >"$stage/dpkg" 2>&1 || fail "dpkg: $(cat "$stage/dpkg")"
rm "$root/unsecret.deb"
chroot "$root" /usr/bin/unsecret version
files | LC_ALL=C comm -13 "$stage/before" - >"$stage/installed"
cat "$stage/installed"
grep -qx 'usr/bin/unsecret -rwxr-xr-x root:root' "$stage/installed" || fail "the program is not where it belongs"
if grep -vE ' (drwxr-xr-x|-rw-r--r--|-rwxr-xr-x) root:root$' "$stage/installed"; then fail "that is not root's, or others may write it"; fi
if grep 'etc/systemd' "$stage/installed"; then fail "the package enables something by itself"; fi
grep -q '^unsecret-clients:' "$root/etc/group" || fail "no group unsecret-clients"

echo "2. Its configuration names no identity yet, and says what to do"
said=$(chroot "$root" /usr/bin/unsecret check --config /etc/unsecret/config.toml 2>&1) && fail "it passes the check: $said"
echo "$said"
grep -q '^remedy: write .\[\[identity\]\]' <<<"$said" || fail "no remedy"

echo "3. Three users; this example's files, with the local Entra in them; a key that only root may read"
accounts 'u backup-job 1001' 'u stranger 1002' 'u outsider 1003' 'm backup-job unsecret-clients' 'm stranger unsecret-clients'
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=host -days 2 -keyout "$root/etc/unsecret/host.key" -out "$root/etc/unsecret/host.pem" 2>/dev/null
chmod 0600 "$root/etc/unsecret/host.key"
chmod 0644 "$root/etc/unsecret/host.pem"
install -D -m 0644 -t "$root/etc/systemd/system/unsecret.service.d" 10-key-file.conf
key=$(chroot "$root" /usr/bin/unsecret caller add --stdout 2>"$stage/hash")
hash=$(grep -om 1 '[0-9a-f]\{64\}' "$stage/hash")
sed -e 's#^tenant = .*#&\nauthority_host = "https://localhost:4790"\nca_file = "/etc/unsecret/ca.pem"#' -e "s#^key_sha256 = .*#key_sha256 = \"$hash\"#" \
  config.toml >"$root/etc/unsecret/config.toml"
diff config.toml "$root/etc/unsecret/config.toml" || true
cat >"$root/etc/unsecret/emulator.toml" <<'END'
listen  = "127.0.0.1:4790"
admin   = "127.0.0.1:4791"
ca_file = "/etc/unsecret/ca.pem"

[[tenant]]
id = "11111111-aaaa-4bbb-8ccc-222222222222"

[[application]]
tenant       = "11111111-aaaa-4bbb-8ccc-222222222222"
client_id    = "55555555-dddd-4eee-8fff-666666666666"
certificates = ["/etc/unsecret/host.pem"]

[[application]]
tenant       = "11111111-aaaa-4bbb-8ccc-222222222222"
client_id    = "33333333-dddd-4eee-8fff-444444444444"
certificates = ["/etc/unsecret/host.pem"]

[[resource]]
ids = ["https://storage.azure.com"]

[[resource]]
ids = ["https://graph.microsoft.com"]
END
cat >"$root/etc/systemd/system/entra.service" <<'END'
[Service]
ExecStart=/usr/bin/unsecret emulate --config /etc/unsecret/emulator.toml
END

echo "4. The host boots; the service starts"
boot
inside systemctl start entra.service
wait_for inside test -e /etc/unsecret/ca.pem
inside systemctl enable --quiet --now unsecret.socket unsecret-http.socket unsecret.service
inside systemctl --no-pager --lines 0 status unsecret.service
is StatusText '' && fail "systemd was told no status"

echo "5. A token for the user of the rule, none for another member of the group, no way in for who is not of it"
ask 1001 >"$stage/token" || fail "no token"
grep -q '^eyJ' "$stage/token" || fail "no token"
said=$(ask 1002 2>&1) && fail "a stranger has a token"
echo "$said"
said=$(ask 1003 2>&1) && fail "an outsider has a token"
echo "$said"
answer=$(nsenter --target "$leader" --net -- curl -sS http://127.0.0.1:4780/11111111-aaaa-4bbb-8ccc-222222222222/oauth2/v2.0/token --data-urlencode "client_secret=$key" \
  -d 'grant_type=client_credentials&client_id=33333333-dddd-4eee-8fff-444444444444' -d 'scope=https://graph.microsoft.com/.default')
grep -q '"access_token":"eyJ' <<<"$answer" || fail "no token at the port: $answer"

echo "6. What the sandbox leaves to the process"
pid=$(property MainPID)
inside grep -E '^(Uid|CapEff|NoNewPrivs|Seccomp):' "/proc/$pid/status"
inside grep -q '^CapEff:[[:space:]]*0*$' "/proc/$pid/status" || fail "it has capabilities"
inside grep -q '^NoNewPrivs:[[:space:]]*1$' "/proc/$pid/status" || fail "it may gain privileges"
inside grep -q '^Seccomp:[[:space:]]*2$' "/proc/$pid/status" || fail "no system call filter"
if inside grep -q '^Uid:[[:space:]]*0' "/proc/$pid/status"; then fail "it runs as root"; fi
inside systemd-analyze --no-pager security unsecret.service | tail -n 1
journal=$(inside journalctl --no-pager --unit unsecret.service)
if grep -iE 'failed to|unknown|ignoring' <<<"$journal"; then fail "systemd could not do something of the unit"; fi

echo "7. A wrong configuration is refused at a reload, and the old one goes on"
cp "$root/etc/unsecret/config.toml" "$stage/right.toml"
echo 'nonsense = true' >>"$root/etc/unsecret/config.toml"
inside systemctl reload unsecret.service || true
ask 1001 >/dev/null || fail "a wrong configuration took the tokens away"
is MainPID "$pid" || fail "a reload restarted the service"

echo "8. At a start it ends the service with status 2, once"
inside systemctl restart unsecret.service 2>/dev/null && fail "it starts with a wrong configuration"
wait_for is ActiveState failed
is ExecMainStatus 2 || fail "status $(property ExecMainStatus)"
is NRestarts 0 || fail "systemd tried it again"
cp "$stage/right.toml" "$root/etc/unsecret/config.toml"
inside systemctl reset-failed unsecret.service unsecret.socket unsecret-http.socket
inside systemctl start unsecret.socket unsecret-http.socket unsecret.service

echo "9. A broker that hangs is killed by the watchdog and comes back; who asks in between waits at the socket that systemd holds"
printf '[Service]\nWatchdogSec=3s\n' >"$root/etc/systemd/system/unsecret.service.d/90-soon.conf"
inside systemctl daemon-reload
inside systemctl restart unsecret.service
pid=$(property MainPID)
inside systemctl kill --signal=STOP unsecret.service
ask 1001 >"$stage/token" || fail "who asked meanwhile was sent away"
not is MainPID "$pid" || fail "the same process"
is NRestarts 1 || fail "restarts: $(property NRestarts)"

echo "10. For systemd without credentials (RHEL 8): an account that stays, and the key as its own file"
accounts 'u unsecret - "unsecret"'
rm "$root/etc/systemd/system/unsecret.service.d/"*.conf
install -m 0644 -t "$root/etc/systemd/system/unsecret.service.d" 10-without-credentials.conf
inside chown unsecret: /etc/unsecret/host.key
sed -i 's#/run/credentials/unsecret.service/#/etc/unsecret/#' "$root/etc/unsecret/config.toml"
inside systemctl daemon-reload
inside systemctl restart unsecret.service
ask 1001 >/dev/null || fail "no token"
inside stat --format '%U %a %n' /etc/unsecret/host.key

echo "11. Removed and purged: nothing stays but what was put beside it"
inside dpkg --purge unsecret >"$stage/dpkg" 2>&1 || fail "dpkg: $(cat "$stage/dpkg")"
is ActiveState inactive || fail "it still runs"
rm -r "$root/etc/unsecret" "$root/etc/systemd/system/unsecret.service.d" "$root/etc/systemd/system/entra.service"
files | LC_ALL=C comm -13 "$stage/before" - >"$stage/left"
if [ -s "$stage/left" ]; then fail "left behind: $(cat "$stage/left")"; fi
if [ -e "$root/var/lib/private/unsecret" ] || [ -e "$root/var/lib/unsecret" ]; then fail "the state stays"; fi
echo "Installed, booted, asked, broken, mended and removed."
