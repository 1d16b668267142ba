#!/bin/sh
# Before a server ends: a master has a replica take over, so that nothing waits until the others miss it.
set -u
is_master() { redis-cli info replication | grep -q '^role:master'; }
is_master || exit 0
id=$(redis-cli cluster myid)
replica=$(redis-cli cluster replicas "$id" | grep -v fail | grep -w connected | head -n 1 | cut -d ' ' -f 2 | cut -d : -f 1)
[ -n "$replica" ] || exit 0
redis-cli -h "$replica" cluster failover >/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
  is_master || exit 0
  sleep 0.5
done
