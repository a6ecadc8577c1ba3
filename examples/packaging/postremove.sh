#!/bin/sh
# "purge" is dpkg's word for leaving nothing: the record of refused PINs goes too, unless the other package has taken this one's place. Keys in /etc/unsecret are their owner's and stay, and so does the
# group, which may own files.
set -e
case $1 in
    purge) [ -e /usr/bin/unsecret ] || rm -rf /var/lib/unsecret /var/lib/private/unsecret ;;
esac
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
