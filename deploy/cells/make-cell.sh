#!/bin/sh
# Creates a cell on Debian, as root: a Postgres with its database and two roles, a root key, and the settings
# of the cell's replicas in /etc/latchkey/NAME.env.
#   make-cell.sh NAME POSTGRES_PORT ADMINISTRATOR
set -eu
[ $# -eq 3 ] || { echo 'usage: make-cell.sh NAME POSTGRES_PORT ADMINISTRATOR' >&2; exit 2; }
name=$1 port=$2 administrator=$3
case $name in
  *[!a-z0-9]* | ?????????????* | '') echo "a name has 1 to 12 lowercase letters and digits: $name" >&2; exit 2 ;;
esac
umask 077
install -d -m 700 /etc/latchkey
[ ! -e "/etc/latchkey/$name.env" ] || { echo "/etc/latchkey/$name.env already exists" >&2; exit 1; }

pg_createcluster 15 "latchkey-$name" --port "$port" --encoding UTF8 --locale C -- --data-checksums
echo 'max_connections = 200' >> "/etc/postgresql/15/latchkey-$name/postgresql.conf"
pg_ctlcluster 15 "latchkey-$name" start

owner=$(openssl rand -hex 24) service=$(openssl rand -hex 24)
su postgres -s /bin/sh -c "cd / && psql --quiet --port $port --set ON_ERROR_STOP=1" <<EOF
create role latchkey_owner login password '$owner';
create role latchkey_service login password '$service';
create database latchkey owner latchkey_owner template template0 encoding 'UTF8' locale 'C';
EOF

echo "$name:$(openssl rand -base64 32)" > "/etc/latchkey/$name.keys"
cat > "/etc/latchkey/$name.env" <<EOF
DATABASE_URL=postgres://latchkey_service:$service@127.0.0.1:$port/latchkey
LATCHKEY_MIGRATION_DATABASE_URL=postgres://latchkey_owner:$owner@127.0.0.1:$port/latchkey
LATCHKEY_ROOT_KEYS_FILE=/etc/latchkey/$name.keys
LATCHKEY_CELL=$name
LATCHKEY_ADMIN_EMAIL="$administrator"
LATCHKEY_ADMIN_PASSWORD=$(openssl rand -hex 12)
PUBLIC_URL=http://127.0.0.1:8080
TRUST_PROXY=127.0.0.1
EOF
echo "Made cell $name. Keep a copy of /etc/latchkey/$name.keys elsewhere: without it, the stored values are lost."
