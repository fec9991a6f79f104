#!/usr/bin/env bash
# Builds the base image from packages, for machines without access to an image registry: a minimal Debian,
# with Node and npm from npm. Needs root and debootstrap. Caches the image for later runs; the test imports it
# under the name in the Dockerfile.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=$(node_modules/.bin/node -p process.versions.node)
kept=${XDG_CACHE_HOME:-$HOME/.cache}/latchkey-ops
base=$kept/node-$version-bookworm.tar
[ ! -f "$base" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mirror=$(apt-get indextargets --format '$(SITE) $(ORIGIN) $(COMPONENT)' 'Created-By: Packages' |
  grep -vE 'security|backports' | grep -m 1 ' Debian main$' | cut -d ' ' -f 1)
debootstrap --variant=minbase bookworm "$work/root" "$mirror" >/dev/null
cp -L node_modules/node/bin/node "$work/root/usr/local/bin/node"
npm install --silent --global --prefix "$work/root/usr/local" npm@11 >/dev/null
rm -rf "$work"/root/var/cache/apt/archives/* "$work"/root/var/lib/apt/lists/* "$work"/root/usr/share/{doc,man,locale}
mkdir -p "$kept"
tar -C "$work/root" -cf "$work/base.tar" .
mv "$work/base.tar" "$base"
