#!/usr/bin/env bash
# Installs the version of Patroni on the page about high availability, because the one in Debian 12 has a bug.
# Caches it for later runs.
set -euo pipefail
package=$(grep -om1 "patroni\[[^']*" "$(dirname "$0")/../../docs/operations/high-availability.md")
kept=${XDG_CACHE_HOME:-$HOME/.cache}/latchkey-ops/patroni
[ ! -d "$kept" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --target "$work/patroni" "$package"
mkdir -p "$(dirname "$kept")"
mv "$work/patroni" "$kept"
