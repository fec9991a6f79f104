#!/bin/sh
# Starts a replica of a cell with the settings in /etc/latchkey/NAME.env, and waits until it is ready.
#   start-replica.sh NAME PORT
set -eu
[ $# -eq 2 ] || { echo 'usage: start-replica.sh NAME PORT' >&2; exit 2; }
cd "$(dirname "$0")/../.."
! curl --silent --output /dev/null "http://127.0.0.1:$2/readyz" || { echo "port $2 is in use" >&2; exit 1; }
set -a
. "/etc/latchkey/$1.env"
PORT=$2
set +a
log=/var/log/latchkey-$1-$2.log
nohup node_modules/.bin/node src/main.js >> "$log" 2>&1 &
echo $! > "/run/latchkey-$1-$2.pid"
until curl --silent --fail --output /dev/null "http://127.0.0.1:$2/readyz"; do
  kill -0 $! || { tail -n 3 "$log" >&2; exit 1; }
  sleep 1
done
echo "A replica of cell $1 listens on 127.0.0.1:$2; its log is $log"
