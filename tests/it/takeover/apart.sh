# A machine whose hosts file points a login host at itself, and another one where the real host is. Run by apart.rs in
# namespaces of its own (user, network, mounts): $1 the binary, $2 a folder, $3 what names the real host, $4 a Python.
set -eu
binary=$1 folder=$2 names=$3 python=$4
here=10.199.0.1 there=10.199.0.2
ip link set lo up
mount --bind "$folder/hosts" /etc/hosts
mount --bind "$folder/resolv.conf" /etc/resolv.conf

# The other machine, as far as a network goes; $far holds it.
unshare -n sleep infinity &
far=$!
until [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do :; done
ip link add near type veth peer name far netns "$far"
ip address add "$here/24" dev near
ip link set near up
beyond() { nsenter -t "$far" -n "$@"; }
beyond ip link set lo up
beyond ip address add "$there/24" dev far
beyond ip link set far up
beyond "$binary" emulate --config "$folder/emulator.toml" >&2 &
emulator=$!
server=$far
if [ "$names" = servers ]; then
    "$python" "$folder/names.py" 127.0.0.1 login.microsoftonline.com "$there" &
    server=$!
fi
until [ -s "$folder/ca.pem" ]; do sleep 0.05; done
"$binary" run --config "$folder/broker.toml" >&2 &
broker=$!
until "$binary" health --ready >&2; do
    kill -0 "$broker"
    sleep 0.1
done
echo ready
# Until whoever started this lets go of it.
cat >/dev/null
kill "$broker" "$emulator" "$server" "$far" || true
