#!/bin/sh
# A removed program must not go on handing out tokens. An upgrade ("upgrade" to dpkg, 1 to rpm) is not a removal.
set -e
case $1 in
    remove | 0) if [ -d /run/systemd/system ]; then systemctl disable --quiet --now unsecret.socket unsecret-http.socket unsecret.service; fi ;;
esac
