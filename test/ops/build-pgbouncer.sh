#!/usr/bin/env bash
# Builds the PgBouncer of a later Debian from its source package, for machines with a PgBouncer before 1.21.
# Needs gcc, make, pkg-config and the headers of libevent and OpenSSL. Caches the program for later runs.
set -euo pipefail
suite=trixie
kept=${XDG_CACHE_HOME:-$HOME/.cache}/latchkey-ops
[ ! -x "$kept/pgbouncer" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The mirror that this machine uses; apt checks the signature of its index.
mirror=$(apt-get indextargets --format '$(SITE) $(ORIGIN) $(COMPONENT)' 'Created-By: Packages' |
  grep -vE 'security|backports' | grep -m 1 ' Debian main$' | cut -d ' ' -f 1)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb-src [signed-by=$keyring] $mirror $suite main" >"$work/sources.list"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/source"
fetch() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@"
}
cd "$work"
fetch update
fetch source --download-only pgbouncer
tar xzf pgbouncer_*.orig.tar.gz -C source --strip-components=1
cd source
./configure --without-cares --without-pam >/dev/null
make -j2 pgbouncer >/dev/null
mkdir -p "$kept"
mv pgbouncer "$kept/pgbouncer"
