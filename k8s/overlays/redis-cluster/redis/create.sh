#!/bin/sh
# Makes one cluster of all servers: the first half masters, the others their replicas. May run again: where there is a
# cluster it changes nothing, and what an earlier run left half made is made anew.
set -eu
ask() {
  server=$1
  shift
  redis-cli -h "$server" "$@"
}
# A field of CLUSTER INFO.
field() { ask "$1" cluster info | tr -d '\r' | sed -n "s/^$2://p"; }
# How many replicas a server knows.
replicas() { ask "$1" cluster nodes | grep -c slave || true; }

addresses=""
count=0
for server in $SERVERS; do
  until [ "$(ask "$server" ping 2>/dev/null)" = PONG ]; do
    echo "waiting for $server"
    sleep 1
  done
  addresses="$addresses $(getent ahostsv4 "$server" | head -n 1 | cut -d ' ' -f 1):6379"
  count=$((count + 1))
done

for server in $SERVERS; do
  # All slots have an owner, and there are replicas: it was made once, however it is now.
  if [ "$(field "$server" cluster_slots_assigned)" = 16384 ] && [ "$(replicas "$server")" != 0 ]; then
    echo "$server is part of a cluster already"
    exit 0
  fi
done

# Forgets what an earlier run left half made.
reset() {
  for server in $SERVERS; do
    ask "$server" flushall >/dev/null 2>&1 || true # a replica refuses, and has nothing of its own
    ask "$server" cluster reset soft >/dev/null
  done
}
# Whether every server knows only itself.
alone() {
  for server in $SERVERS; do
    [ "$(field "$server" cluster_known_nodes)" = 1 ] || return 1
  done
}
# One that is not reset yet may greet one that is, which then knows it again: so until it lasts.
reset
until sleep 1 && alone; do
  reset
done
# shellcheck disable=SC2086 # a list of words
redis-cli --cluster create $addresses --cluster-replicas 1 --cluster-yes
half=$((count / 2))
for server in $SERVERS; do
  until [ "$(field "$server" cluster_state)" = ok ] && [ "$(replicas "$server")" = "$half" ]; do
    echo "waiting until $server has heard of it"
    sleep 1
  done
done
echo "the cluster is made"
