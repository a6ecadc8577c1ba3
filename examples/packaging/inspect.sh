#!/usr/bin/env bash
# Judges the packages in target/packages, or the ones that are named: what is in them, what they ask for, and that the program in them runs with
# glibc 2.28 and needs no library beyond libc, libm and libgcc_s. Needs the packages binutils, lintian and rpm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

program() {
    local newest
    newest=$(readelf --version-info --wide "$1" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    echo "$2: newest symbol $newest, $(readelf --file-header "$1" | sed -n 's/^ *Machine: *//p'), $(stat --format %s "$1") bytes"
    [ "$(printf 'GLIBC_2.28\n%s\n' "$newest" | sort -V | tail -n 1)" = GLIBC_2.28 ] || fail "$2 wants $newest"
    if readelf --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' | grep -vE '^(libc|libm|libpthread|libdl|librt|libgcc_s|libutil)\.so\.[0-9]$|^ld-linux-'; then
        fail "$2 needs that library"
    fi
}

# One list of files in both formats, but for where zsh looks and for what only Debian keeps.
contents() {
    sed -E 's#^\./#/#; s#/zsh/(vendor-completions|site-functions)/#/zsh/…/#; /\/$/d; /\/changelog\.gz$/d; /^\/etc\/unsecret$/d' | LC_ALL=C sort
}

deb() {
    lintian --fail-on error,warning --allow-root "$1"
    dpkg-deb --field "$1" Package Version Architecture Depends Recommends Installed-Size
    dpkg-deb --field "$1" Depends | grep -qx 'libc6 (>= 2.28), libgcc-s1' || fail "$1 depends on something else"
    [ "$(dpkg-deb --info "$1" conffiles)" = /etc/unsecret/config.toml ] || fail "the configuration is no conffile"
    dpkg-deb --fsys-tarfile "$1" | tar -t | contents >"$stage/deb"
    dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/bin/unsecret >"$stage/unsecret"
    program "$stage/unsecret" "$1"
}

rpm_package() {
    rpm --query --package "$1" --queryformat '%{NAME} %{VERSION} %{ARCH} %{LICENSE}\n'
    rpm --query --package --requires "$1" | grep -v '^rpmlib' | LC_ALL=C sort | paste -sd ' ' | tee "$stage/requires"
    grep -qx 'glibc >= 2.28 libgcc systemd' "$stage/requires" || fail "$1 requires something else"
    [ "$(rpm --query --package --configfiles "$1")" = /etc/unsecret/config.toml ] || fail "the configuration is no configuration file"
    rpm --query --package --list "$1" | contents >"$stage/rpm"
    rpm2cpio "$1" | (cd "$stage" && cpio --quiet --extract --to-stdout ./usr/bin/unsecret /usr/bin/unsecret) >"$stage/unsecret"
    program "$stage/unsecret" "$1"
    diff "$stage/deb" "$stage/rpm" || fail "the two packages differ"
}

[ $# != 0 ] || set -- target/packages/*.deb
for one in "$@"; do
    deb "$one"
    version=$(dpkg-deb --field "$one" Version)
    case $(dpkg-deb --field "$one" Architecture) in
        amd64) rpm_package "$(dirname "$one")/unsecret-$version-1.x86_64.rpm" ;;
        arm64) rpm_package "$(dirname "$one")/unsecret-$version-1.aarch64.rpm" ;;
    esac
done
