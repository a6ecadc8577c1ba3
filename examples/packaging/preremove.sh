#!/bin/sh
# A removed program must not go on handing out tokens. An upgrade ("upgrade" to dpkg, 1 to rpm) is not a removal, nor is it to dpkg
# when the other package takes this one's place ("remove in-favour").
set -e
case $1,${2:-} in
    remove,in-favour) ;;
    remove,* | 0,*) if [ -d /run/systemd/system ]; then systemctl disable --quiet --now unsecret.socket unsecret-http.socket unsecret.service; fi ;;
esac
