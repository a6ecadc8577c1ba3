#!/bin/sh
# The group that may open the socket, and systemd's knowledge of the units. Nothing is enabled or started: there is no identity yet, and
# after an upgrade the service goes on as it is until somebody restarts it.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
    systemd-sysusers unsecret.conf
elif ! getent group unsecret-clients >/dev/null; then
    groupadd --system unsecret-clients
fi
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
