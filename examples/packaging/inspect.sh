#!/usr/bin/env bash
# Judges the packages in target/packages, or the ones that are named: what is in them, what they ask for, and that the program in them runs with
# glibc 2.28 and needs no library beyond libc, libm and libgcc_s; of unsecret-tpm, beyond these and what it names. Needs the packages binutils, lintian
# and rpm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# $1: the program; $2: the package; $3: libraries that it may need besides.
program() {
    local newest
    newest=$(readelf --version-info --wide "$1" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    echo "$2: newest symbol $newest, $(readelf --file-header "$1" | sed -n 's/^ *Machine: *//p'), $(stat --format %s "$1") bytes"
    [ "$(printf 'GLIBC_2.28\n%s\n' "$newest" | sort -V | tail -n 1)" = GLIBC_2.28 ] || fail "$2 wants $newest"
    if readelf --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' | grep -vE "^(libc|libm|libpthread|libdl|librt|libgcc_s|libutil$3)\.so\.[0-9]$|^ld-linux-"; then
        fail "$2 needs that library"
    fi
}

# One list of files in both formats, but for where zsh looks and for what only Debian keeps; and for both packages' own documentation.
contents() {
    sed -E 's#/doc/unsecret-tpm/#/doc/unsecret/#; s#^\./#/#; s#/zsh/(vendor-completions|site-functions)/#/zsh/…/#; /\/$/d; /\/changelog\.gz$/d; /^\/etc\/unsecret$/d' | LC_ALL=C sort
}

# What a package with this name needs beyond the other: in Debian's words, in rpm's, and in the linker's.
needs() {
    case $1 in
        unsecret) tss_deb='' tss_rpm='' tss='' ;;
        unsecret-tpm)
            tss_deb=', libtss2-esys-3.0.2-0 | libtss2-esys-3.0.2-0t64, libtss2-mu0 | libtss2-mu-4.0.1-0 | libtss2-mu-4.0.1-0t64'
            tss_deb+=', libtss2-tctildr0 | libtss2-tctildr0t64, libtss2-tcti-device0 | libtss2-tcti-device0t64'
            tss_rpm=' tpm2-tss >= 3.0' tss='|libtss2-esys|libtss2-mu|libtss2-tctildr'
            ;;
    esac
}

deb() {
    lintian --fail-on error,warning --allow-root "$1"
    dpkg-deb --field "$1" Package Version Architecture Depends Recommends Installed-Size
    dpkg-deb --field "$1" Depends | grep -qFx "libc6 (>= 2.28), libgcc-s1$tss_deb" || fail "$1 depends on something else"
    [ "$(dpkg-deb --info "$1" conffiles)" = /etc/unsecret/config.toml ] || fail "the configuration is no conffile"
    dpkg-deb --fsys-tarfile "$1" | tar -t | contents >"$stage/deb"
    dpkg-deb --fsys-tarfile "$1" | tar -xO ./usr/bin/unsecret >"$stage/unsecret"
    program "$stage/unsecret" "$1" "$tss"
    named "$1"
}

# Whoever has a library of the TPM's on this machine must be among the package's dependencies.
named() {
    local library owner
    for library in $(readelf --dynamic "$stage/unsecret" | sed -n 's/.*(NEEDED).*\[\(libtss2.*\)\]$/\1/p'); do
        owner=$(dpkg-query --search "*/$library" | head -n 1 | cut -d : -f 1)
        echo "$library: $owner"
        dpkg-deb --field "$1" Depends | tr ',|' '\n' | tr -d ' ' | grep -qxF "$owner" || fail "$1 does not depend on $owner, which has $library"
    done
}

rpm_package() {
    rpm --query --package "$1" --queryformat '%{NAME} %{VERSION} %{ARCH} %{LICENSE}\n'
    rpm --query --package --requires "$1" | grep -v '^rpmlib' | LC_ALL=C sort | paste -sd ' ' | tee "$stage/requires"
    grep -qFx "glibc >= 2.28 libgcc systemd$tss_rpm" "$stage/requires" || fail "$1 requires something else"
    [ "$(rpm --query --package --configfiles "$1")" = /etc/unsecret/config.toml ] || fail "the configuration is no configuration file"
    rpm --query --package --list "$1" | contents >"$stage/rpm"
    rpm2cpio "$1" | (cd "$stage" && cpio --quiet --extract --to-stdout ./usr/bin/unsecret /usr/bin/unsecret) >"$stage/unsecret"
    program "$stage/unsecret" "$1" "$tss"
    diff "$stage/deb" "$stage/rpm" || fail "the two packages differ"
}

[ $# != 0 ] || set -- target/packages/*.deb
for one in "$@"; do
    name=$(dpkg-deb --field "$one" Package)
    version=$(dpkg-deb --field "$one" Version)
    needs "$name"
    deb "$one"
    [ -e "$stage/first" ] || cp "$stage/deb" "$stage/first"
    diff "$stage/first" "$stage/deb" || fail "$one has other files than the first package"
    case $(dpkg-deb --field "$one" Architecture) in
        amd64) rpm_package "$(dirname "$one")/$name-$version-1.x86_64.rpm" ;;
        arm64) rpm_package "$(dirname "$one")/$name-$version-1.aarch64.rpm" ;;
    esac
done
